"""What a study needs of a kind of world."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from hacrl_lab.agents.base import Agent, World
from hacrl_lab.seeding import PURPOSES
from study.teams import Team

WEIGHTS, LESSONS = PURPOSES + 20, PURPOSES + 21  # keys of random streams

WorldT = TypeVar("WorldT", bound=World)
AgentT = TypeVar("AgentT", bound=Agent)


class StudyWorld(ABC, Generic[WorldT, AgentT]):
    """A kind of world with all that a study needs of it; its questions ask for four skills."""

    name: str
    """On the command line."""
    title: str
    """In figures."""

    @abstractmethod
    def sizes(self) -> dict[str, Any]:
        """What results depend on, and what the pages say."""

    @abstractmethod
    def world(self, seeds: Sequence[int]) -> WorldT:
        """One world for every seed."""

    @abstractmethod
    def make_agents(self, team: Team, world: WorldT, seeds: Sequence[int]) -> list[AgentT]:
        """The agents of a team, one copy for every seed, each taught its skills."""

    @abstractmethod
    def success(self, agent: Agent, world: WorldT, seeds: Sequence[int]) -> np.ndarray:
        """How often an agent succeeds, mean over all questions: (S,)."""
