"""How fast this machine multiplies matrices: those of a model's own layers, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.benchmark import Timer

from language_benchmark.operations import COUNTED, linear_layers

ROWS = 512
"""Of the products whose rate is that of scoring and updates."""
Rates = Mapping[str, float]
"""Operations a second, by part of a step."""


@torch.no_grad()
def matrix_rate(model: Any, rows: int, dtype: torch.dtype) -> float:
    """Operations a second of the products of all linear layers of a model, one after the other.

    Args:
        model: its weights are read from memory as in a forward pass.
        rows: of the other factor.
        dtype: of both; weights of another type are copied before the clock starts.
    """
    weights = [layer.weight.detach().to(dtype) for layer in linear_layers(model)]
    device = weights[0].device
    factors = {size: torch.rand(rows, size, dtype=dtype, device=device) for size in {one.shape[1] for one in weights}}

    def products() -> None:
        for weight in weights:
            torch.mm(factors[weight.shape[1]], weight.T)

    timer = Timer("products()", globals={"products": products}, num_threads=torch.get_num_threads())
    return 2.0 * rows * sum(weight.numel() for weight in weights) / timer.blocked_autorange(min_run_time=0.1).median


def rates_of(model: Any, answers: int, tokens: int, dtype: torch.dtype) -> Rates:
    """The rates that a step could have.

    Args:
        model: of one agent.
        answers: that are sampled side by side, so that a product has so many rows.
        tokens: rows of a product in other passes.
        dtype: see :func:`matrix_rate`.
    """
    rows = {part: answers if part == "generation" else tokens for part in COUNTED}
    measured = {count: matrix_rate(model, count, dtype) for count in sorted(set(rows.values()))}
    return {part: measured[count] for part, count in rows.items()}
