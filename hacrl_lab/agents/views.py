"""What an agent may make of the flattened observations of a Gymnasium environment: (..., D) -> (..., F)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

View = Callable[[Tensor], Tensor]


def as_it_is(observations: Tensor) -> Tensor:
    """The environment's own observation, flattened."""
    return observations


def row_and_column(columns: int, observations: Tensor) -> Tensor:
    """A one-hot cell of a grid as a one-hot row beside a one-hot column: (..., cells) -> (..., rows + columns)."""
    grid = observations.unflatten(-1, (-1, columns))
    return torch.cat([grid.sum(-1), grid.sum(-2)], dim=-1)


def taxi_parts(observations: Tensor) -> Tensor:
    """Taxi's 500 states as row, column, passenger's place and destination, one-hot beside each other: 19 features."""
    grid = observations.unflatten(-1, (5, 5, 5, 4))
    return torch.cat([grid.sum([d for d in (-4, -3, -2, -1) if d != axis]) for axis in (-4, -3, -2, -1)], dim=-1)


def pole_signs(observations: Tensor) -> Tensor:
    """CartPole's four numbers, squashed, so that small angles look large."""
    return torch.tanh(observations * torch.tensor([1.0, 1.0, 10.0, 1.0], dtype=torch.float64))


def card_sum_only(observations: Tensor) -> Tensor:
    """Blackjack without the dealer's card: the player's sum (32) and whether an ace counts 11 (2)."""
    return torch.cat([observations[..., :32], observations[..., 43:]], dim=-1)
