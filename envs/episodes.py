"""Any discrete Gymnasium environment as a world: an initial state is a prompt, an episode a response, worth 0 or 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from hacrl_lab.agents.episodic import Act, Episodes
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream

NOISE = 2**31  # seeds of the environment's own randomness


def reached_the_end(episodes: Episodes) -> Tensor:
    """The environment ended the episode before time ran out: it was solved, where only a solution ends it."""
    return episodes.terminated


def return_above(bar: float) -> Callable[[Episodes], Tensor]:
    """The sum of rewards is above a bar."""
    return lambda episodes: episodes.returns > bar


class EpisodeWorld:
    """Episodes of an environment with a verifiable outcome.

    Args:
        make: makes one copy of the environment, with a ``Discrete`` action space.
        success: says of every episode (..., P, G) whether it succeeded.
        max_steps: moves after which an episode is cut off.
        starts: how many different initial states there are, the environment's ``reset(seed=0 ... starts − 1)``. The
            start is the same for a whole group; what the environment draws afterwards is not.

    Raises:
        ValueError: an action space that is not discrete.
    """

    def __init__(
        self,
        make: Callable[[], gymnasium.Env[Any, Any]],
        success: Callable[[Episodes], Tensor],
        max_steps: int,
        starts: int = 1,
    ) -> None:
        self._make = make
        self._success = success
        self.max_steps = max_steps
        self.starts = starts
        self._copies = [make()]
        if not isinstance(self._copies[0].action_space, gymnasium.spaces.Discrete):
            raise ValueError(f"the action space must be Discrete, got {self._copies[0].action_space}")
        self.moves = int(self._copies[0].action_space.n)
        self.observation_space = self._copies[0].observation_space
        self.observation_size = gymnasium.spaces.flatdim(self.observation_space)
        """D of the flattened observations: one-hot for discrete parts, as they are for boxes."""

    def sample_prompts(self, count: int, stream: RandomStream) -> EnvironmentStarts:
        """Draw initial states."""
        return EnvironmentStarts(self, stream.integers(self.starts, count))

    def verify(self, prompts: EnvironmentStarts, rollouts: RolloutBatch) -> Tensor:
        """1 where the episode succeeded: (..., P, G)."""
        return self._success(rollouts.responses).double()

    def copies(self, count: int) -> list[gymnasium.Env[Any, Any]]:
        """That many environments; they are kept for the next call."""
        self._copies += [self._make() for _ in range(count - len(self._copies))]
        return self._copies[:count]


@dataclass(frozen=True)
class EnvironmentStarts:
    """Initial states of an :class:`EpisodeWorld`."""

    world: EpisodeWorld
    numbers: Tensor
    """The seeds of ``reset``: (..., P)."""

    def play(self, act: Act, group_size: int, stream: RandomStream) -> Episodes:
        """Play G episodes from every start side by side until all have ended or been cut off."""
        shape = (*self.numbers.shape, group_size)
        starts = self.numbers.unsqueeze(-1).expand(shape).flatten().tolist()
        noise = stream.integers(NOISE, *shape[-2:]).flatten().tolist()
        copies = self.world.copies(len(starts))
        now = np.stack([self._start(*one) for one in zip(copies, starts, noise, strict=True)])
        live, terminated = np.ones(len(starts), dtype=bool), np.zeros(len(starts), dtype=bool)
        returns = np.zeros(len(starts))
        seen, moves, mask = [], [], []
        while live.any() and len(moves) < self.world.max_steps:
            seen.append(torch.from_numpy(now.copy()).reshape(*shape, -1))
            mask.append(torch.from_numpy(live.copy()).reshape(shape))
            moves.append(act(seen[-1], mask[-1]) * mask[-1])
            for index in np.flatnonzero(live):
                move = int(moves[-1].flatten()[index])
                observation, reward, terminated[index], truncated, _ = copies[index].step(move)
                now[index] = self._flat(observation)
                returns[index] += float(reward)
                live[index] = not (terminated[index] or truncated)
        return Episodes(
            observations=torch.stack(seen, dim=-2),
            moves=torch.stack(moves, dim=-1),
            mask=torch.stack(mask, dim=-1),
            returns=torch.from_numpy(returns).reshape(shape),
            terminated=torch.from_numpy(terminated).reshape(shape),
        )

    def _start(self, env: gymnasium.Env[Any, Any], start: int, noise: int) -> np.ndarray:
        observation, _ = env.reset(seed=start)
        env.unwrapped.np_random = np.random.default_rng(noise)
        return self._flat(observation)

    def _flat(self, observation: Any) -> np.ndarray:
        return np.asarray(gymnasium.spaces.flatten(self.world.observation_space, observation), dtype=np.float64)
