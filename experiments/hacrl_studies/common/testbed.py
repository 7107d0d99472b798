"""What a study needs of a kind of world."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np

from hacrl_lab.agent import Agent
from hacrl_lab.worlds import World
from hacrl_studies.common.teams import Team

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

    def agents(self, team: Team, seeds: Sequence[int]) -> list[AgentT]:
        """What :meth:`make_agents` makes, as copies: it takes time, and all methods begin with the same agents."""
        return copy.deepcopy(_made(self, team, tuple(seeds)))

    @abstractmethod
    def success(self, agent: AgentT, world: WorldT, seeds: Sequence[int]) -> np.ndarray:
        """How often an agent succeeds, mean over all questions: (S,)."""


@lru_cache(maxsize=2)  # of a team: those of the tuning seeds and those of the reported ones
def _made(testbed: Testbed[Any, AgentT], team: Team, seeds: Sequence[int]) -> list[AgentT]:
    return testbed.make_agents(team, testbed.world(seeds), seeds)
