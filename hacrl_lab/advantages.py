"""Baselines and advantages (Eq. 6-7): what a rollout's reward is compared with.

Every baseline is a function ``(rewards, capability_ratios, learner) -> baseline`` of

    rewards            R[..., j, p, i], sampler j, prompt p, group member i: (..., n, P, G)
    capability_ratios  ω[..., k, j]:                                         (..., n, n)
    learner            k, the index of the learner among the n samplers

and returns an array that broadcasts against ``rewards``. All are plain array operations; a pool of one sampler (n = 1)
gives the single-agent algorithms.

Decisions: D2 (the learner's baseline is used for every sampler's rollouts; the sampler's is
:func:`sampler_capability_aware_baseline`), D4 (binary rewards and a baseline above 1: the agent's own mean),
D5 (equal rewards: the baseline is their value, the advantage exactly 0).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

STD_FLOOR = 1e-6
"""Added to the group's standard deviation before dividing by it (Eq. 6)."""


class Baseline(Protocol):
    """A function from rewards to what they are compared with; see the module's header for the shapes."""

    def __call__(self, rewards: Tensor, capability_ratios: Tensor, learner: int) -> Tensor:
        """The baseline of one learner."""
        ...


def group_mean_baseline(rewards: Tensor, capability_ratios: Tensor, learner: int) -> Tensor:
    """The plain mean of all n·G rewards of the prompt: GRPO's and GSPO's baseline, and Naive's over the pool.

    Returns:
        Shape (..., 1, P, 1).

    >>> group_mean_baseline(torch.tensor([[[1.0, 0.0, 0.0, 0.0]]]), torch.ones(1, 1), 0)
    tensor([[[0.2500]]])
    """
    _check_shapes(rewards, capability_ratios, learner)
    mean = _pooled(rewards).mean(-1)  # (..., P)
    return _exact_when_equal(mean[..., None, :, None], rewards)


def leave_one_out_baseline(rewards: Tensor, capability_ratios: Tensor, learner: int) -> Tensor:
    """The mean of the *other* n·G − 1 rewards of the prompt, so that no reward is part of its own baseline (RLOO).

    b[j, p, i] = (Σ R[·, p, ·] − R[j, p, i]) / (n·G − 1)

    Returns:
        Shape (..., n, P, G).
    """
    _check_shapes(rewards, capability_ratios, learner)
    pooled = _pooled(rewards)
    total = pooled.sum(-1)[..., None, :, None]
    return _exact_when_equal((total - rewards) / (pooled.shape[-1] - 1), rewards)


def capability_aware_baseline(rewards: Tensor, capability_ratios: Tensor, learner: int) -> Tensor:
    """Everyone's rewards brought to the learner's scale, then averaged (Eq. 7).

    μ̂_k[p] = 1/(nG) Σ_j Σ_i ω[k, j]·R[j, p, i]

    Returns:
        Shape (..., 1, P, 1).
    """
    _check_shapes(rewards, capability_ratios, learner)
    means = _capability_aware_means(rewards, capability_ratios)  # (..., n, P)
    return _exact_when_equal(means[..., learner, :][..., None, :, None], rewards)


def sampler_capability_aware_baseline(rewards: Tensor, capability_ratios: Tensor, learner: int) -> Tensor:
    """Each rollout against the capability-aware baseline of the agent that *sampled* it, μ̂_j (Eq. 10's reading; D2).

    Returns:
        Shape (..., n, P, 1).
    """
    _check_shapes(rewards, capability_ratios, learner)
    return _exact_when_equal(_capability_aware_means(rewards, capability_ratios).unsqueeze(-1), rewards)


def group_advantages(rewards: Tensor, baseline: Tensor) -> Tensor:
    """Rewards against their baseline in units of the prompt's spread (Eq. 6).

    A[j, p, i] = (R[j, p, i] − b) / (σ[p] + 1e-6),  σ[p] = sample std (ddof = 1) of all n·G raw rewards of the prompt

    Args:
        rewards: shape (..., n, P, G).
        baseline: anything that broadcasts to it.

    Returns:
        Shape (..., n, P, G), in standard deviations.

    >>> group_advantages(torch.tensor([[[1.0, 0.0]]]), torch.tensor(0.5))
    tensor([[[ 0.7071, -0.7071]]])
    """
    spread = _pooled(rewards).std(-1, correction=1)[..., None, :, None]
    return (rewards - baseline) / (spread + STD_FLOOR)


def _capability_aware_means(rewards: Tensor, capability_ratios: Tensor) -> Tensor:
    """μ̂_k[p] of every agent k at once, shape (..., n, P), with decision D4."""
    rescaled = capability_ratios[..., None, None] * rewards.unsqueeze(-4)  # (..., k, j, P, G)
    means = _pooled(rescaled).mean(-1)
    binary = ((rewards == 0) | (rewards == 1)).all(-1).all(-2, keepdim=True)  # (..., 1, P)
    return torch.where(binary & (means > 1), rewards.mean(-1), means)


def _pooled(rewards: Tensor) -> Tensor:
    """All samplers' rewards of a prompt side by side: (..., n, P, G) -> (..., P, n·G)."""
    return rewards.movedim(-3, -2).flatten(-2)


def _exact_when_equal(baseline: Tensor, rewards: Tensor) -> Tensor:
    """Decision D5: where a prompt's n·G rewards are all equal, the baseline is that value, to the last bit."""
    pooled = _pooled(rewards)
    low, high = pooled.amin(-1)[..., None, :, None], pooled.amax(-1)[..., None, :, None]
    return torch.where(low == high, low, baseline)


def _check_shapes(rewards: Tensor, capability_ratios: Tensor, learner: int) -> None:
    if rewards.ndim < 3:
        raise ValueError(f"rewards must have shape (..., n, P, G), got {tuple(rewards.shape)}")
    samplers, group = rewards.shape[-3], rewards.shape[-1]
    if samplers * group < 2:
        raise ValueError(
            f"rewards must hold at least two rollouts a prompt for a sample std, got n·G = {samplers * group}"
        )
    if capability_ratios.shape[-2:] != (samplers, samplers):
        raise ValueError(
            f"capability_ratios must have shape (..., {samplers}, {samplers}), got {tuple(capability_ratios.shape)}"
        )
    if not 0 <= learner < samplers:
        raise ValueError(f"learner must be an index in [0, {samplers}), got {learner}")
    if not bool(torch.isfinite(rewards).all()):
        raise ValueError("rewards must be finite, got inf or nan")
