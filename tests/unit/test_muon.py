"""Muon in float32: what it does to singular values, and that it steps as torch's own does, to bfloat16's rounding."""

from __future__ import annotations

import pytest
import torch

from hacrl_runs.own_pair.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 24), (8, 40), (40, 8)])
def test_an_orthogonalised_matrix_keeps_its_directions_and_loses_its_sizes(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    sizes = left.T @ orthogonal(matrix) @ right.T
    torch.testing.assert_close(sizes, torch.diag(torch.diag(sizes)))
    assert torch.all((torch.diag(sizes) > 0.6) & (torch.diag(sizes) < 1.3))


@pytest.mark.parametrize("shape", [(24, 24), (8, 40), (40, 8)])
def test_steps_are_those_of_torch(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator)
    ours, torchs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizers = (
        Muon([ours], lr=0.02, weight_decay=0.1),
        torch.optim.Muon([torchs], lr=0.02, weight_decay=0.1),
    )
    for _ in range(4):
        ours.grad = torchs.grad = torch.randn(shape, generator=generator)
        for optimizer in optimizers:
            optimizer.step()
    moved = (torchs - start).norm()
    assert moved > 0.02
    assert (ours - torchs).norm() < 0.01 * moved
