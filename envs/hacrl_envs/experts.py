"""Demonstrations for Gymnasium environments: the best policy of a table of transitions, or a rule of thumb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from hacrl_envs.episodes import EnvironmentStarts
from hacrl_lab.demonstrations import DEMONSTRATIONS
from hacrl_lab.errors import SettingError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream

Policy = Callable[[Tensor], Tensor]
"""Flattened observations (..., D) -> moves (...)."""


def optimal_policy(env: gymnasium.Env[Any, Any], discount: float = 0.99) -> Policy:
    """The best policy of a toy-text environment, by value iteration on its table of transitions ``P``.

    Args:
        env: an environment with ``P[state][move] = [(probability, next state, reward, terminated), ...]`` and discrete
            observations.
        discount: below 1, so that shorter ways are better.

    Raises:
        ValueError: the environment has no such table.
    """
    table = getattr(env.unwrapped, "P", None)
    if table is None:
        raise ValueError(f"{env.unwrapped.__class__.__name__} has no table of transitions P")
    states, moves = len(table), len(table[0])
    expected = np.zeros((states, moves))
    follow = np.zeros((states, moves, states))
    for state in range(states):
        for move in range(moves):
            for probability, after, reward, terminated in table[state][move]:
                expected[state, move] += probability * reward
                follow[state, move, after] += probability * (not terminated)
    values = np.zeros(states)
    while True:
        scores = expected + discount * follow @ values
        if np.abs(scores.max(1) - values).max() < 1e-10:
            break
        values = scores.max(1)
    best = torch.from_numpy(scores.argmax(1))
    return lambda observations: best[observations.argmax(-1)]


def demonstrate(
    starts: EnvironmentStarts, policy: Policy, group_size: int, mistakes: float, stream: RandomStream
) -> RolloutBatch:
    """Episodes of a policy that now and then makes a random move.

    Args:
        starts: where to begin, (..., P).
        policy: what is demonstrated.
        group_size: episodes from each start.
        mistakes: probability of a random move, in [0, 1].
        stream: source of randomness.
    """
    if not 0 <= mistakes <= 1:
        raise SettingError(f"mistakes must be in [0, 1], got {mistakes}")

    def act(observations: Tensor, live: Tensor) -> Tensor:
        errs = stream.uniform(*live.shape[-2:]) < mistakes
        return torch.where(errs, stream.integers(starts.moves, *live.shape[-2:]), policy(observations))

    episodes = starts.play(act, group_size, stream)
    return RolloutBatch(DEMONSTRATIONS, episodes, episodes.terminated)
