"""Random streams: explicit, derived from (run seed, key...), the same however many seeds advance together."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from hacrl_lab.errors import SettingError

Seeds = int | Sequence[int]
"""One run's seed, or the seeds of several runs that advance together along a leading axis."""


class StepStream(IntEnum):
    """Second part of the keys of the training loop, after the number of the step; the third is the agent, if any."""

    PROMPTS = 0
    """The step's prompts."""
    GENERATION = 1
    """One agent's sampling."""
    MINIBATCHES = 2
    """The order in which one learner takes the prompts."""


class Stream(IntEnum):
    """First part of all other keys: numbers that no training step has. Worlds draw from streams without a key."""

    EXAMPLES = 2**31
    """Initial weights in the documentation's examples and in tests."""
    BANDIT_WEIGHTS = 2**31 + 1
    """Initial logits of agents that answer a bandit's questions."""
    ENVIRONMENT_WEIGHTS = 2**31 + 10
    """Initial weights of agents that act in a Gymnasium environment."""
    ENVIRONMENT_DEMONSTRATIONS = 2**31 + 11
    """Demonstrations to agents that act in a Gymnasium environment."""
    TEAM_WEIGHTS = 2**31 + 20
    """Initial weights of a team of agents with different skills."""
    TEAM_DEMONSTRATIONS = 2**31 + 21
    """Demonstrations that give the agents of a team their skills."""
    CRITIC_WEIGHTS = 2**31 + 30
    """Initial weights of PPO's critics."""
    HABITS = 2**31 + 40
    """Preferences of an agent that have nothing to do with reward."""
    STYLES = 2**31 + 41
    """Styles of long answers."""
    NETWORK_DEMONSTRATIONS = 2**31 + 42
    """Long answers that networks imitate before they train."""
    EVALUATION = 2**31 + 43
    """Responses in evaluations."""
    EPOCHS = 2**31 + 44
    """The order in which each epoch asks a fixed set of problems."""


class RandomStream:
    """The random numbers of one purpose, for instance agent 1's sampling in step 7 of the run with seed 0.

    With a sequence of S seeds every draw has a leading axis S, and row s is exactly what the stream of seed s alone
    would give. With one int there is no leading axis.

    Args:
        seeds: run seed or seeds, ≥ 0.
        key: integers ≥ 0 that name the purpose (see :class:`Stream` and :class:`StepStream`); different keys give
            independent streams.

    Raises:
        SettingError: no seeds, or a negative one.

    >>> both, alone = RandomStream([3, 4], 1), RandomStream(4, 1)
    >>> bool((both.uniform(2)[1] == alone.uniform(2)).all())
    True
    """

    def __init__(self, seeds: Seeds, *key: int) -> None:
        self.batched = not isinstance(seeds, int)
        all_seeds = [seeds] if isinstance(seeds, int) else list(seeds)
        if not all_seeds or min(all_seeds) < 0:
            raise SettingError(f"seeds must be at least one and ≥ 0, got {seeds}")
        self._seeds = seeds
        self._key = key
        # a spawn key, unlike appended entropy, tells (0,) from () and (1, 0) from (1,)
        self._generators = [
            np.random.default_rng(np.random.SeedSequence(s, spawn_key=tuple(map(int, key)))) for s in all_seeds
        ]

    @property
    def step(self) -> int:
        """The training step, counted from 0, that the stream belongs to; 0 of a stream that belongs to none.

        >>> RandomStream(0, 7, StepStream.PROMPTS).step, RandomStream(0).step, RandomStream(0, Stream.EPOCHS).step
        (7, 0, 0)
        """
        return self._key[0] if self._key and self._key[0] < min(Stream) else 0

    def elsewhere(self, *key: int) -> RandomStream:
        """A stream of the same seeds with another key, at its beginning."""
        return RandomStream(self._seeds, *key)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), float64, shape (S?, *shape)."""
        return self._stack([generator.random(shape) for generator in self._generators])

    def integers(self, high: int, *shape: int) -> Tensor:
        """Integers in [0, high), int64, shape (S?, *shape)."""
        return self._stack([generator.integers(high, size=shape) for generator in self._generators])

    def permutation(self, count: int) -> Tensor:
        """A random order of 0 ... count − 1, shape (S?, count)."""
        return self._stack([generator.permutation(count) for generator in self._generators])

    @property
    def numpy(self) -> np.random.Generator:
        """The one generator of an unbatched stream, for code that draws with numpy.

        Raises:
            ValueError: several seeds advance together.
        """
        if self.batched:
            raise ValueError(f"this stream draws for {len(self._generators)} seeds at once; it has no single generator")
        return self._generators[0]

    def _stack(self, draws: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(draws) if self.batched else draws[0])
