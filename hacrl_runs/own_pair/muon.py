"""Muon in the parameters' own precision.

``torch.optim.Muon`` orthogonalises in bfloat16. On a CPU without instructions for it (AVX2) such matrix products take
36 times as long as in float32 (2 against 71 GFLOP/s), and pre-training the tiny pair took 11 minutes.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients a, b, c of a·x + b·x³ + c·x⁵, which has the steepest rise at 0 among those that stay near 1
(K. Jordan, https://kellerjordan.github.io/posts/muon/)."""
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Steps of equal size in every direction of a matrix: the update is the nearest orthogonal matrix to the momentum.

    B ← μB + (1 − μ)g;  W ← (1 − ηλ)W − η √max(1, rows / columns) · orthogonal((1 − μ)g + μB)

    Args:
        matrices: parameters, each (rows, columns).
        lr: η.
        weight_decay: λ.
        momentum: μ.
    """

    def __init__(self, matrices: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change every matrix by its gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                momentum = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
                momentum.lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonal(matrix.grad.lerp(momentum, group["momentum"]))
                rows, columns = matrix.shape
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * max(1, rows / columns) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """About UVᵀ of a matrix USVᵀ: its singular values become 0.7 to 1.2, by five steps of Newton and Schulz.

    Args:
        matrix: (rows, columns).
    """
    a, b, c = QUINTIC
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide
