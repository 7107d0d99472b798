"""Any discrete Gymnasium environment as a world: an initial state is a prompt, an episode a response, worth 0 or 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from hacrl_envs.simulators import Simulator, simulator
from hacrl_lab.errors import SettingError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.worlds import Act, Episodes

NOISE = 2**31  # seeds of the environment's own randomness


def reached_the_end(episodes: Episodes) -> Tensor:
    """The environment ended the episode before time ran out: it was solved, where only a solution ends it."""
    return episodes.terminated


def return_above(bar: float) -> Callable[[Episodes], Tensor]:
    """The sum of rewards is above a bar."""
    return partial(_return_above, bar=bar)


def _return_above(episodes: Episodes, bar: float) -> Tensor:
    return episodes.returns > bar


class EpisodeWorld:
    """Episodes of an environment with a verifiable outcome.

    Args:
        make: makes one copy of the environment, with a ``Discrete`` action space.
        success: says of every episode (..., P, G) whether it succeeded.
        max_steps: moves after which an episode is cut off.
        starts: the initial states, as seeds of the environment's ``reset``; a number stands for 0 ... starts − 1. The
            start is the same for a whole group; what the environment draws afterwards is not.

    Raises:
        ValueError: an action space that is not discrete.
        SettingError: no starts, or no moves.
    """

    def __init__(
        self,
        make: Callable[[], gymnasium.Env[Any, Any]],
        success: Callable[[Episodes], Tensor],
        max_steps: int,
        starts: int | Sequence[int] = 1,
    ) -> None:
        self.env = make()
        if not isinstance(self.env.action_space, gymnasium.spaces.Discrete):
            raise ValueError(f"the action space must be Discrete, got {self.env.action_space}")
        if max_steps < 1:
            raise SettingError(f"max_steps must be ≥ 1, got {max_steps}")
        self._success = success
        self.max_steps = max_steps
        self.starts = torch.arange(starts) if isinstance(starts, int) else torch.tensor(starts)
        if len(self.starts) == 0:
            raise SettingError("starts must name at least one initial state")
        self.moves = int(self.env.action_space.n)
        self.observation_size = gymnasium.spaces.flatdim(self.env.observation_space)
        """D of the flattened observations: one-hot for discrete parts, as they are for boxes."""
        self.simulator = simulator(make)

    def sample_prompts(self, count: int, stream: RandomStream) -> EnvironmentStarts:
        """Draw initial states."""
        return self.starts_at(self.starts[stream.integers(len(self.starts), count)])

    def starts_at(self, numbers: Tensor) -> EnvironmentStarts:
        """Given initial states, as prompts: seeds of ``reset``, (..., P)."""
        return EnvironmentStarts(self.simulator, self.moves, self.max_steps, numbers)

    def verify(self, prompts: EnvironmentStarts, rollouts: RolloutBatch) -> Tensor:
        """1 where the episode succeeded: (..., P, G)."""
        return self._success(rollouts.responses).double()


@dataclass(frozen=True)
class EnvironmentStarts:
    """Initial states of an :class:`EpisodeWorld` that can be played from; what counts as success is not among them."""

    simulator: Simulator
    """Plays the episodes."""
    moves: int
    """Number of single moves."""
    max_steps: int
    """Moves after which an episode is cut off."""
    numbers: Tensor
    """The seeds of ``reset``: (..., P)."""

    def play(self, act: Act, group_size: int, stream: RandomStream) -> Episodes:
        """Play G episodes from every start side by side until all have ended or been cut off."""
        shape = (*self.numbers.shape, group_size)
        starts = self.numbers.unsqueeze(-1).expand(shape).flatten().tolist()
        noise = stream.integers(NOISE, *shape[-2:]).flatten().tolist()
        now = self.simulator.start(starts, noise)
        live, terminated = np.ones(len(starts), dtype=bool), np.zeros(len(starts), dtype=bool)
        returns = np.zeros(len(starts))
        seen, moves, mask = [], [], []
        while live.any() and len(moves) < self.max_steps:
            seen.append(torch.from_numpy(now.copy()).reshape(*shape, -1))
            mask.append(torch.from_numpy(live.copy()).reshape(shape))
            moves.append(act(seen[-1], mask[-1]) * mask[-1])
            going = np.flatnonzero(live)
            outcome = self.simulator.step(going, moves[-1].flatten().numpy()[going])
            now[going], terminated[going] = outcome.observations, outcome.terminated
            returns[going] += outcome.rewards
            live[going] = ~(outcome.terminated | outcome.truncated)
        return Episodes(
            observations=torch.stack(seen, dim=-2),
            moves=torch.stack(moves, dim=-1),
            mask=torch.stack(mask, dim=-1),
            returns=torch.from_numpy(returns).reshape(shape),
            terminated=torch.from_numpy(terminated).reshape(shape),
        )
