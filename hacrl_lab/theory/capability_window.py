"""The capability ratio when it is measured from rewards: what depends on the batch (Remark D.2), how fast it settles.

The setting: two agents with success probabilities p_k and p_j on every prompt, N = B·G verified answers of each in a
step. The rewards of a window are then binomial counts, and all of them can be listed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from hacrl_lab.capability import (
    CapabilityTracker,
    LaggedCapabilityTracker,
    capability_ratio,
    capability_ratio_matrix,
)

NEGLIGIBLE = 1e-18
"""Cases less likely than this are left out of the lists."""


@dataclass(frozen=True)
class WindowLaw:
    """The joint distribution of the measured ratio and the current batch; arrays are (M,), M cases."""

    probabilities: Tensor
    """Probabilities of the cases."""
    omega: Tensor
    """ω[k, j] as the tracker measures it."""
    current_mean: Tensor
    """R̄_j, the current batch's mean reward of agent j."""

    def mean(self, values: Tensor) -> float:
        """E of a quantity."""
        return float((self.probabilities * values).sum())

    @property
    def dependence(self) -> float:
        """Cov(ω[k, j], R̄_j), which Assumption D.1 takes to be 0; a part 1/n of it is a bias of μ̂_k."""
        return self.mean(self.omega * self.current_mean) - self.mean(self.omega) * self.mean(self.current_mean)

    @property
    def omega_std(self) -> float:
        """Standard deviation of ω[k, j]."""
        return max(0.0, self.mean(self.omega**2) - self.mean(self.omega) ** 2) ** 0.5


def window_law(successes: tuple[float, float], answers: int, window: int, *, current_included: bool) -> WindowLaw:
    """List everything that a window of K steps can hold and let the real tracker measure ω in each case.

    Args:
        successes: p_k and p_j, the same in every step.
        answers: N, verified answers of each agent in a step.
        window: K.
        current_included: whether the window ends with the current batch (Eq. 8) or just before it (the lagged tracker).
    """
    tracker = CapabilityTracker(window) if current_included else LaggedCapabilityTracker(window)
    earlier = window - 1 if current_included else window
    counts = [_binomial(earlier * answers, p) for p in successes] + [_binomial(answers, p) for p in successes]
    probabilities = _outer([probability for _, probability in counts]).flatten()
    kept = probabilities > NEGLIGIBLE
    axes = torch.meshgrid(*[values for values, _ in counts], indexing="ij")
    past_k, past_j, now_k, now_j = (axis.flatten()[kept] for axis in axes)
    for _ in range(earlier):  # the mean of the window depends on the sum over earlier steps only
        tracker.update(torch.stack([past_k, past_j], -1) / (earlier * answers))
    now = torch.stack([now_k, now_j], -1) / answers
    ratios = capability_ratio_matrix(tracker.update(now))
    return WindowLaw(probabilities[kept], capability_ratio(ratios, of=0, relative_to=1), now[:, 1])


def capability_variance(prompt_successes: Tensor, window: int, batch: int, group_size: int) -> float:
    """Var(P̂) = (Var_q(p) + E_q[p(1 − p)]/G) / (K·B) for prompts q drawn independently.

    Answers to the same prompt share its difficulty, so that more of them (G) remove only the second term: the rate
    1/√(K·B·G) holds for equally hard prompts alone.

    Args:
        prompt_successes: p(q), all prompts equally likely, shape (Q,).
        window, batch, group_size: K steps of B prompts with G answers each.
    """
    between = prompt_successes.var(correction=0)
    within = (prompt_successes * (1 - prompt_successes)).mean()
    return float((between + within / group_size) / (window * batch))


def _binomial(count: int, success: float) -> tuple[Tensor, Tensor]:
    """Values 0 ... count and their probabilities."""
    values = torch.arange(count + 1, dtype=torch.float64)
    return values, torch.from_numpy(stats.binom.pmf(values.numpy(), count, success))


def _outer(vectors: list[Tensor]) -> Tensor:
    """The outer product of vectors: one axis each."""
    product = vectors[0]
    for vector in vectors[1:]:
        product = product.unsqueeze(-1) * vector
    return product
