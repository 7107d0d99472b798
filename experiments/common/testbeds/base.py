"""What a study needs of a kind of world."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from common.teams import Team
from hacrl_lab.agents.base import Agent
from hacrl_lab.worlds import World

WorldT = TypeVar("WorldT", bound=World)
AgentT = TypeVar("AgentT", bound=Agent)


class Testbed(ABC, Generic[WorldT, AgentT]):
    """A kind of world with all that a study needs of it; its questions ask for four skills."""

    __test__ = False  # not a class of tests, whatever its name

    name: str
    """Name as written on the command line."""
    title: str
    """Name as written in tables and figures."""
    answers: str
    """How many tokens an answer has, as written in tables."""

    @abstractmethod
    def sizes(self) -> dict[str, Any]:
        """What results depend on, and what the pages say."""

    @abstractmethod
    def world(self, seeds: Sequence[int]) -> WorldT:
        """One world for every seed."""

    @abstractmethod
    def make_agents(self, team: Team, world: WorldT, seeds: Sequence[int]) -> list[AgentT]:
        """The agents of a team, one copy for every seed, each trained on demonstrations of its skills."""

    @abstractmethod
    def success(self, agent: AgentT, world: WorldT, seeds: Sequence[int]) -> np.ndarray:
        """How often an agent succeeds, mean over all questions: (S,)."""
