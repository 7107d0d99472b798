"""Importance ratios between a learner and a sampler, their exponential weight and their clip bounds (Eq. 11-14).

Log-probabilities are natural logarithms (nats). Decisions: 1 (δ is the width of the cross bound), 3 (a clipped ratio
is a constant), 9 (the mini-batch index m is ``minibatch_index``).
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last axis where ``mask`` is true: (..., T) -> (...); 0 where it nowhere is.

    Args:
        values: shape (..., T).
        mask: of the same shape, or (T,) for all rows alike.

    Raises:
        ValueError: the mask has another shape.
    """
    _check_mask(values, mask)
    return torch.where(mask, values, 0).sum(-1) / mask.sum(-1).clamp_min(1)


def mean_log_prob(token_log_probs: Tensor, mask: Tensor) -> Tensor:
    """Length-normalised log-probability of each response: 1/|y| Σ_t log π(y_t | ...), in nats per token.

    Args:
        token_log_probs: shape (..., T).
        mask: true on the response's tokens, shape (..., T), or (T,) for all responses alike.

    Returns:
        Shape (...); 0 for a response without tokens.

    >>> mean_log_prob(torch.tensor([-1.0, -3.0, -9.0]), torch.tensor([True, True, False]))
    tensor(-2.)
    """
    return masked_mean(token_log_probs, mask)


def sequence_importance_ratio(learner_mean_log_prob: Tensor, sampler_mean_log_prob: Tensor) -> Tensor:
    """Sequence-level ratio s = exp(mean_t log π_k(y_t) − mean_t log π_j^old(y_t)) (Eq. 11; GSPO for j = k).

    Each side's mean is over *its own* tokens of the response, so the two may use different tokenizers.

    Args:
        learner_mean_log_prob, sampler_mean_log_prob: nats per token, of equally many axes (...).

    Raises:
        ValueError: one has more axes than the other, or another size along one of them.

    >>> sequence_importance_ratio(torch.tensor(-1.0), torch.tensor(-1.0))
    tensor(1.)
    """
    _check_axes(learner_mean_log_prob=learner_mean_log_prob, sampler_mean_log_prob=sampler_mean_log_prob)
    return torch.exp(learner_mean_log_prob - sampler_mean_log_prob)


def token_importance_ratio(log_probs: Tensor, old_log_probs: Tensor, mask: Tensor) -> Tensor:
    """Token-level ratio π(y_t)/π^old(y_t) (GRPO); 1 outside the mask.

    Args:
        log_probs, old_log_probs: nats, shape (..., T).
        mask: shape (..., T).

    Raises:
        ValueError: the shapes do not fit each other.
    """
    _check_mask(log_probs, mask)
    _check_axes(log_probs=log_probs, old_log_probs=old_log_probs)
    return torch.exp(torch.where(mask, log_probs - old_log_probs, 0))


def exponential_weight(ratio: Tensor, alpha: float) -> Tensor:
    """The constant factor sg(s)^α that makes s̃ = s·sg(s)^α (Eq. 12): distant samplers' rollouts count less.

    Args:
        ratio: s > 0, any shape; no gradient flows through the result.
        alpha: α ≥ 0; 0 switches the weight off.

    >>> exponential_weight(torch.tensor(0.5), alpha=2.0)
    tensor(0.2500)
    """
    if not alpha >= 0:
        raise ValueError(f"alpha must be ≥ 0, got {alpha}")
    return ratio.detach().pow(alpha)


def capped_weight(ratio: Tensor, alpha: float) -> Tensor:
    """The constant factor sg(min(s, 1)^α / max(s, 1)): a ratio above 1 counts as 1 and keeps its gradient.

    d(s·capped_weight(s))/d log s = min(s, 1)^(α+1), which is continuous and never falls as s grows; with a clip at 1
    (decision 3) it jumps to 0 there. For s ≤ 1 it is :func:`exponential_weight`. This is the truncated importance
    weight of V-trace and CISPO.

    Args:
        ratio: s > 0, any shape; no gradient flows through the result.
        alpha: α ≥ 0.

    >>> capped_weight(torch.tensor([0.5, 4.0]), alpha=2.0)
    tensor([0.2500, 0.2500])
    """
    return exponential_weight(ratio.clamp_max(1), alpha) / ratio.detach().clamp_min(1)


def stepwise_lower_bound(delta: float, delta_step: float, minibatch_index: int) -> float:
    """Lower clip bound of cross rollouts, 1 − δ + m·δ_step, never above 1 (Eq. 13-14).

    Args:
        delta: δ in [0, 1], the bound's width before the first update of a step.
        delta_step: how much each mini-batch update tightens it, ≥ 0.
        minibatch_index: m ≥ 0, mini-batch updates already made within this step.

    >>> round(stepwise_lower_bound(0.2, 0.025, 2), 3)
    0.85
    """
    if not 0 <= delta <= 1:
        raise ValueError(f"delta must be in [0, 1], got {delta}")
    if not delta_step >= 0:
        raise ValueError(f"delta_step must be ≥ 0, got {delta_step}")
    if minibatch_index < 0:
        raise ValueError(f"minibatch_index must be ≥ 0, got {minibatch_index}")
    return min(1.0, 1.0 - delta + minibatch_index * delta_step)


def clip_ratio(ratio: Tensor, low: float, high: float) -> Tensor:
    """clip(s, low, high): identity (gradient 1) inside the closed interval, a constant (gradient 0) outside.

    Raises:
        ValueError: low > high.
    """
    if low > high:
        raise ValueError(f"low must be ≤ high, got [{low}, {high}]")
    return ratio.clamp(low, high)


def ppo_surrogate(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """PPO's clipped surrogate min(s·A, clip(s, low, high)·A), element by element.

    Args:
        ratio: s, any shape.
        advantages: A, of equally many axes, each of the same size or 1; or one number.
        low, high: the bounds.

    Raises:
        ValueError: the advantages have other axes.
    """
    _check_axes(ratio=ratio, advantages=advantages)
    return torch.minimum(ratio * advantages, clip_ratio(ratio, low, high) * advantages)


def ppo_clipped(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """Where :func:`ppo_surrogate` is constant, so that the rollout contributes no gradient. Boolean."""
    _check_axes(ratio=ratio, advantages=advantages)
    return ((ratio > high) & (advantages > 0)) | ((ratio < low) & (advantages < 0))


def hard_clip(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """The ratio that counts if both bounds hold whatever the advantage: clip(s, low, high) (decision 3)."""
    _check_axes(ratio=ratio, advantages=advantages)
    return clip_ratio(ratio, low, high)


def ppo_clip(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """The ratio that counts in :func:`ppo_surrogate`: c·A = min(s·A, clip(s, low, high)·A).

    The lower bound holds for A < 0 only and the upper bound for A > 0 only: a right answer below the bounds and a wrong
    one above them keep their s and contribute a gradient.

    >>> ppo_clip(torch.tensor([0.5, 0.5]), torch.tensor([1.0, -1.0]), 0.8, 1.0)
    tensor([0.5000, 0.8000])
    """
    return torch.where(ppo_clipped(ratio, advantages, low, high), clip_ratio(ratio, low, high), ratio)


def ppo_lower_hard_upper(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """The ratio that counts if the lower bound holds for A ≤ 0 only, as in PPO, and the upper one always.

    >>> ppo_lower_hard_upper(torch.tensor([0.5, 0.5, 2.0]), torch.tensor([1.0, -1.0, -1.0]), 0.8, 1.0)
    tensor([0.5000, 0.8000, 1.0000])
    """
    _check_axes(ratio=ratio, advantages=advantages)
    return torch.where(advantages > 0, ratio.clamp_max(high), clip_ratio(ratio, low, high))


def hard_lower_ppo_upper(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """The ratio that counts if the upper bound holds for A ≥ 0 only, as in PPO, and the lower one always.

    >>> hard_lower_ppo_upper(torch.tensor([2.0, 2.0, 0.5]), torch.tensor([1.0, -1.0, 1.0]), 0.8, 1.0)
    tensor([1.0000, 2.0000, 0.8000])
    """
    _check_axes(ratio=ratio, advantages=advantages)
    return torch.where(advantages < 0, ratio.clamp_min(low), clip_ratio(ratio, low, high))


def _check_axes(**arrays: Tensor) -> None:
    """Arrays that are combined element by element have equally many axes, each of the same size or 1; or none at all.

    Without this check an array of shape (P, G) would be taken for every sampler's.
    """
    (first, first_shape), *others = [(name, tuple(array.shape)) for name, array in arrays.items()]
    for name, shape in others:
        fits = len(shape) == len(first_shape) and all(
            a == b or 1 in (a, b) for a, b in zip(shape, first_shape, strict=True)
        )
        if not (fits or shape == ()):
            raise ValueError(f"{name} must have the axes of {first}, {first_shape}, got {shape}")


def _check_mask(values: Tensor, mask: Tensor) -> None:
    if mask.shape not in (values.shape, values.shape[-1:]):
        raise ValueError(f"mask must have shape {tuple(values.shape)} as what it masks, got {tuple(mask.shape)}")
