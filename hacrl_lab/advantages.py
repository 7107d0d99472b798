"""Baselines and advantages (Eq. 6-7): what a rollout's reward is compared with.

Every baseline is a function ``(rewards, capability_ratios, learner) -> baseline`` of

    rewards            R[..., j, p, i], sampler j, prompt p, group member i: (..., n, P, G)
    capability_ratios  ω[..., k, j]:                                         (..., n, n)
    learner            k, the index of the learner among the n samplers

and returns an array that broadcasts against ``rewards``. All are plain array operations; a pool of one sampler (n = 1)
gives the single-agent algorithms.

A ``*_mean`` is a formula to the letter, and the theorems speak of it; the ``*_baseline`` of the same name trains and
also guards against prompts whose rewards are all equal (decision 5), HACPO's own also against a mean above 1
(decision 4).

Decisions: 2 (the learner's baseline is used for every sampler's rollouts; the sampler's is
:func:`sampler_capability_aware_baseline`), 4 (rewards in [0, 1] and a baseline above 1: the agent's own mean),
5 (equal rewards: the baseline is their value, the advantage exactly 0).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from hacrl_lab.errors import SettingError

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


def capability_aware_mean(rewards: Tensor, capability_ratios: Tensor, learner: int) -> Tensor:
    """Everyone's rewards brought to the learner's scale, then averaged (Eq. 7).

    μ̂_k[p] = 1/(nG) Σ_j Σ_i ω[k, j]·R[j, p, i]

    Returns:
        Shape (..., 1, P, 1).
    """
    _check_shapes(rewards, capability_ratios, learner)
    return _capability_aware_columns(rewards, capability_ratios, learner).mean(-1, keepdim=True)


def capability_aware_baseline(rewards: Tensor, capability_ratios: Tensor, learner: int) -> Tensor:
    """HACPO's baseline: :func:`capability_aware_mean` (Eq. 7) with decisions 4 and 5.

    Returns:
        Shape (..., 1, P, 1).
    """
    mean = capability_aware_mean(rewards, capability_ratios, learner)
    own_mean = rewards[..., [learner], :, :].mean(-1, keepdim=True)
    return _exact_when_equal(torch.where(_in_unit_interval(rewards) & (mean > 1), own_mean, mean), rewards)


def sampler_capability_aware_baseline(rewards: Tensor, capability_ratios: Tensor, learner: int) -> Tensor:
    """Each rollout against the capability-aware baseline of the agent that *sampled* it, μ̂_j (Eq. 10; decision 2).

    Returns:
        Shape (..., n, P, 1).
    """
    _check_shapes(rewards, capability_ratios, learner)
    samplers = range(rewards.shape[-3])
    return torch.cat([capability_aware_baseline(rewards, capability_ratios, j) for j in samplers], dim=-3)


def leave_one_out_capability_mean(rewards: Tensor, capability_ratios: Tensor, learner: int) -> Tensor:
    """Eq. 7 over the *other* group members, so that no reward is part of its own baseline.

    b[p, i] = 1/(n(G−1)) Σ_j Σ_{i'≠i} ω[k, j]·R[j, p, i']

    Leaving out member i of *every* sampler makes b independent of each of them with the mean of Eq. 7. So for every ω
    that does not depend on these rewards, and every sampler j, exactly

        E[R − b | y sampled by j] = R(y) − E[μ̂_k]:

    one function of the response, the same for self and cross rollouts, which is what the proof of Theorem D.11 takes Â
    to be. With μ̂_k itself the factor of R(y) is 1 − ω[k, j]/(nG), another one for each sampler. What it costs: the
    baseline averages n(G − 1) rewards instead of nG.

    Returns:
        Shape (..., 1, P, G).

    Raises:
        SettingError: a group of one.
    """
    _check_shapes(rewards, capability_ratios, learner)
    return _leave_one_out(_capability_aware_columns(rewards, capability_ratios, learner))


def leave_one_out_capability_baseline(rewards: Tensor, capability_ratios: Tensor, learner: int) -> Tensor:
    """:func:`leave_one_out_capability_mean` with decision 5. Returns shape (..., 1, P, G).

    The guard looks at all rewards, the rollout's own included; the exact statement is of the mean without it.
    """
    return _exact_when_equal(leave_one_out_capability_mean(rewards, capability_ratios, learner), rewards)


def calibrated_mean(rewards: Tensor, capability_ratios: Tensor, learner: int, own_weight: float = 0.5) -> Tensor:
    """Eq. 7 with a ratio of the prompt's own, shrunk towards the global one.

    ω_p[k, j] = λ·R̄_k[p]/R̄_j[p] + (1 − λ)·ω[k, j],  λ = ``own_weight``,  so that  ω_p·R̄_j = λ·R̄_k + (1 − λ)·ω·R̄_j:
    λ times the learner's own mean plus 1 − λ times Eq. 7 (also where R̄_j = 0). For every ω that does not depend on
    these rewards and every prompt, exactly

        E[calibrated mean] − E[R_k] = (1 − λ)·(E[μ̂_k] − E[R_k]):

    the bias that one ω for all prompts leaves on each of them shrinks by 1 − λ. What it costs: variance, since the
    learner's own G rewards weigh more than the others'.

    Args:
        rewards, capability_ratios, learner: as in the module's header.
        own_weight: λ in [0, 1].

    Returns:
        Shape (..., 1, P, 1).
    """
    _check_shapes(rewards, capability_ratios, learner)
    return _calibrated_columns(rewards, capability_ratios, learner, own_weight).mean(-1, keepdim=True)


def calibrated_baseline(rewards: Tensor, capability_ratios: Tensor, learner: int, own_weight: float = 0.5) -> Tensor:
    """:func:`calibrated_mean` with decision 5. Returns shape (..., 1, P, 1)."""
    return _exact_when_equal(calibrated_mean(rewards, capability_ratios, learner, own_weight), rewards)


def group_advantages(rewards: Tensor, baseline: Tensor) -> Tensor:
    """Rewards against their baseline in units of the prompt's spread (Eq. 6).

    A[j, p, i] = (R[j, p, i] − b) / (σ[p] + 1e-6),  σ[p] = sample std (ddof = 1) of all n·G raw rewards of the prompt

    Args:
        rewards: shape (..., n, P, G).
        baseline: one number, or of shape (..., n, P, G) with any of these 1.

    Returns:
        Shape (..., n, P, G), in standard deviations.

    Raises:
        ValueError: the baseline has other axes; one of shape (P, G), for instance, does not say whose it is.

    >>> group_advantages(torch.tensor([[[1.0, 0.0]]]), torch.tensor(0.5))
    tensor([[[ 0.7071, -0.7071]]])
    """
    _check_baseline(rewards, baseline)
    spread = _pooled(rewards).std(-1, correction=1)[..., None, :, None]
    return (rewards - baseline) / (spread + STD_FLOOR)


def _capability_aware_columns(rewards: Tensor, capability_ratios: Tensor, learner: int) -> Tensor:
    """Group member i's part of Eq. 7: 1/n Σ_j ω[k, j]·R[j, p, i], shape (..., 1, P, G)."""
    return (capability_ratios[..., learner, :, None, None] * rewards).mean(-3, keepdim=True)


def _calibrated_columns(rewards: Tensor, capability_ratios: Tensor, learner: int, own_weight: float) -> Tensor:
    """Group member i's part of the calibrated mean, shape (..., 1, P, G)."""
    if not 0 <= own_weight <= 1:
        raise SettingError(f"own_weight must be in [0, 1], got {own_weight}")
    shared = _capability_aware_columns(rewards, capability_ratios, learner)
    return own_weight * rewards[..., [learner], :, :] + (1 - own_weight) * shared


def _leave_one_out(columns: Tensor) -> Tensor:
    """For each group member the mean of the other members' columns: (..., G) -> (..., G)."""
    group = columns.shape[-1]
    if group < 2:
        raise SettingError("group_size must be ≥ 2 with a leave-one-out baseline, got 1")
    return (columns.sum(-1, keepdim=True) - columns) / (group - 1)


def _in_unit_interval(rewards: Tensor) -> Tensor:
    """Whether all of a prompt's rewards lie in [0, 1], shape (..., 1, P, 1)."""
    return ((rewards >= 0) & (rewards <= 1)).all(-1, keepdim=True).all(-3, keepdim=True)


def _pooled(rewards: Tensor) -> Tensor:
    """All samplers' rewards of a prompt side by side: (..., n, P, G) -> (..., P, n·G)."""
    return rewards.movedim(-3, -2).flatten(-2)


def _exact_when_equal(baseline: Tensor, rewards: Tensor) -> Tensor:
    """Decision 5: where a prompt's n·G rewards are all equal, the baseline is that value, to the last bit."""
    pooled = _pooled(rewards)
    low, high = pooled.amin(-1)[..., None, :, None], pooled.amax(-1)[..., None, :, None]
    return torch.where(low == high, low, baseline)


def _check_baseline(rewards: Tensor, baseline: Tensor) -> None:
    _check_three_axes(rewards)
    expected, shape = tuple(rewards.shape[-3:]), tuple(baseline.shape)
    fits = len(shape) >= 3 and all(size in (1, full) for size, full in zip(shape[-3:], expected, strict=True))
    if not (fits or shape == ()):
        sizes = ", ".join(map(str, expected))
        raise ValueError(f"baseline must be a number or have shape (..., {sizes}) with any of these 1, got {shape}")


def _check_three_axes(rewards: Tensor) -> None:
    if rewards.ndim < 3:
        raise ValueError(f"rewards must have shape (..., n, P, G), got {tuple(rewards.shape)}")


def _check_shapes(rewards: Tensor, capability_ratios: Tensor, learner: int) -> None:
    _check_three_axes(rewards)
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
