"""The contract of worlds: what agents are asked, and how their responses are verified.

Agents see prompts, which hold no answers; verification, and whatever it needs to know, stays with the world.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream


class World(Protocol):
    """Where prompts come from and how a response is verified.

    A world whose verifier can fail has an attribute ``undecided_share``: of the responses of the last ``verify``, the
    share that has the reward 0 because no verdict was reached.
    """

    def sample_prompts(self, count: int, stream: RandomStream) -> Any:
        """Draw ``count`` prompts, in a form that this world's agents understand and that holds no answers."""
        ...

    def verify(self, prompts: Any, rollouts: RolloutBatch) -> Tensor:
        """The verifiable reward of every response to prompts that this world has drawn: (..., P, G)."""
        ...


@dataclass(frozen=True)
class TextPrompts:
    """P problems in words."""

    questions: Sequence[str]
    """What is asked."""
    topics: Sequence[tuple[str, ...]]
    """What each problem is about, for tables by topic; may be empty."""


@dataclass(frozen=True)
class Episodes:
    """G episodes from each of P starts, in the environment's own terms."""

    observations: Tensor
    """The observation before each move, flattened: (..., P, G, T, D)."""
    moves: Tensor
    """Single moves: (..., P, G, T)."""
    mask: Tensor
    """True on the moves that were made: (..., P, G, T)."""
    returns: Tensor
    """Sum of the environment's rewards: (..., P, G)."""
    terminated: Tensor
    """True where the environment ended the episode, false where time ran out: (..., P, G)."""


Act = Callable[[Tensor, Tensor], Tensor]
"""(observations (..., P, G, D), which episodes continue (..., P, G)) -> the next single moves (..., P, G)."""


class Starts(Protocol):
    """The prompts of a world of episodes: initial states that can be played from."""

    def play(self, act: Act, group_size: int, stream: RandomStream) -> Episodes:
        """Play G episodes from every start; the stream gives the environment's own randomness."""
        ...

    @property
    def numbers(self) -> Tensor:
        """A number for each start: (..., P)."""
        ...
