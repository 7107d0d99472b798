"""The objectives GRPO, GSPO (and Naive, which is GSPO's over a pool) and HACPO, as pure functions (Eq. 47-53).

An objective is *maximised*. It takes one learner's :class:`ObjectiveInputs` and the :class:`ObjectiveSettings` and
returns an :class:`ObjectiveValue`. The pool has n samplers; a single-agent method is a pool of one.

Decisions: 3 (no gradient outside the clip bounds), 8 (J is the sum over samplers of the mean over their group, not
the mean over the pool: a factor n).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hacrl_lab.errors import SettingError
from hacrl_lab.importance import (
    exponential_weight,
    hard_clip,
    masked_mean,
    mean_log_prob,
    ppo_clipped,
    ppo_surrogate,
    sequence_importance_ratio,
    stepwise_lower_bound,
    token_importance_ratio,
)


@dataclass(frozen=True)
class ObjectiveSettings:
    """The numbers of the objectives; each objective reads those that it needs."""

    epsilon_low: float = 0.2
    """Own rollouts: importance ratios are clipped below at 1 - epsilon_low (the paper at full scale: 3e-4)."""
    epsilon_high: float = 0.2
    """Own rollouts: importance ratios are clipped above at 1 + epsilon_high (the paper at full scale: 4e-4)."""
    alpha: float = 1.0
    """Cross rollouts: exponent of the exponential weight sg(s)^alpha."""
    delta: float = 0.2
    """Cross rollouts: importance ratios are clipped to [1 - delta + m * delta_step, 1]."""
    delta_step: float = 0.025
    """Cross rollouts: how much each mini-batch update m of a step tightens that bound."""
    kl_weight: float = 0.0
    """Own rollouts: weight of the KL divergence to the policy before training, k3 estimator; 0 leaves it out."""

    def __post_init__(self) -> None:
        for name in ("epsilon_low", "epsilon_high", "alpha", "delta", "delta_step", "kl_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SettingError(f"{name} must be a number ≥ 0, got {getattr(self, name)}")
        if self.delta > 1 or self.epsilon_low > 1:
            raise SettingError(f"delta and epsilon_low must be ≤ 1, got {self.delta} and {self.epsilon_low}")


@dataclass(frozen=True)
class ObjectiveInputs:
    """Everything that one learner's objective needs; last axes n samplers, P prompts, G group members, T tokens."""

    log_probs: Tensor
    """The learner's log-probability of every token of every rollout, differentiable, nats: (..., n, P, G, T)."""
    mask: Tensor
    """True on the response's tokens: (..., n, P, G, T)."""
    old_log_probs: Tensor
    """The learner's token log-probabilities of its *own* rollouts before the step's first update: (..., P, G, T')."""
    sampler_mean_log_probs: Tensor
    """Each sampler's mean log-probability of its own rollouts, nats per token: (..., n, P, G)."""
    advantages: Tensor
    """(..., n, P, G)."""
    capability_ratios: Tensor
    """ω[k, j]: (..., n, n)."""
    learner: int
    """k, the learner's index in the pool."""
    minibatch_index: int
    """m, mini-batch updates that came before in this step."""
    reference_log_probs: Tensor | None = None
    """Token log-probabilities of the learner's own rollouts before training, nats, (..., P, G, T'); None where the
    objective has no KL penalty, or the mini-batch no own rollouts."""

    def __post_init__(self) -> None:
        n, prompts, group = self.advantages.shape[-3:]
        for name, expected in (("log_probs", (n, prompts, group)), ("mask", (n, prompts, group))):
            shape = tuple(getattr(self, name).shape)
            if shape[-4:-1] != expected:
                raise ValueError(f"{name} must have shape (..., {n}, {prompts}, {group}, T), got {shape}")
        if self.sampler_mean_log_probs.shape[-3:] != (n, prompts, group):
            raise ValueError(
                f"sampler_mean_log_probs must have shape (..., {n}, {prompts}, {group}), "
                f"got {tuple(self.sampler_mean_log_probs.shape)}"
            )
        if self.capability_ratios.shape[-2:] != (n, n):
            raise ValueError(
                f"capability_ratios must have shape (..., {n}, {n}), got {tuple(self.capability_ratios.shape)}"
            )
        if not 0 <= self.learner < n:
            raise ValueError(f"learner must be an index in [0, {n}), got {self.learner}")

    @property
    def sequence_ratio(self) -> Tensor:
        """Ratio s of every rollout, differentiable: (..., n, P, G)."""
        return sequence_importance_ratio(mean_log_prob(self.log_probs, self.mask), self.sampler_mean_log_probs)


@dataclass(frozen=True)
class ObjectiveValue:
    """What an objective returns."""

    value: Tensor
    """J, to be maximised: (...), one number per leading index."""
    importance_ratio: Tensor
    """Mean ratio by sampler, without gradient: (..., n)."""
    clip_fraction: Tensor
    """Share of each sampler's rollouts (GRPO: tokens) that contribute no gradient because of a clip bound: (..., n).

    A rollout whose advantage is 0 contributes none in any case and is not among them.
    """
    advantage_mass: Tensor
    """Σ A⁺ and Σ A⁻ of each sampler's rollouts, right and wrong answers apart: (..., n, 2)."""
    kept_mass: Tensor
    """The part of it that no clip bound leaves without a gradient: (..., n, 2)."""


Objective = Callable[[ObjectiveInputs, ObjectiveSettings], ObjectiveValue]


def grpo_objective(inputs: ObjectiveInputs, settings: ObjectiveSettings) -> ObjectiveValue:
    """GRPO: token-level ratios, the mean over a response's tokens, then over its group, then over prompts.

    J = mean_p 1/G Σ_i 1/|y_i| Σ_t min(r_t·A_i, clip(r_t, 1−ε_low, 1+ε_high)·A_i),  r_t = π(y_t)/π^old(y_t)

    Raises:
        ValueError: a pool of more than one sampler (token-level ratios need one tokenizer), or log-probabilities of
            different shapes.
    """
    if inputs.advantages.shape[-3] != 1:
        raise ValueError(
            f"GRPO learns from its own rollouts only, got a pool of {inputs.advantages.shape[-3]} samplers"
        )
    if inputs.old_log_probs.shape[-3:] != inputs.log_probs.shape[-3:]:
        raise ValueError(
            f"old_log_probs must have shape {tuple(inputs.log_probs.shape[-3:])} as log_probs, "
            f"got {tuple(inputs.old_log_probs.shape)}"
        )
    low, high = 1 - settings.epsilon_low, 1 + settings.epsilon_high
    ratio = token_importance_ratio(inputs.log_probs, inputs.old_log_probs.unsqueeze(-4), inputs.mask)
    advantages = inputs.advantages.unsqueeze(-1)
    per_rollout = masked_mean(ppo_surrogate(ratio, advantages, low, high), inputs.mask)
    clipped = ppo_clipped(ratio, advantages, low, high)
    return ObjectiveValue(
        _over_prompts(per_rollout),
        importance_ratio=masked_mean(ratio.detach().flatten(-3), inputs.mask.flatten(-3)),
        clip_fraction=masked_mean(clipped.to(ratio.dtype).flatten(-3), inputs.mask.flatten(-3)),
        advantage_mass=_advantage_mass(inputs.advantages),
        kept_mass=_advantage_mass(inputs.advantages * masked_mean((~clipped).to(ratio.dtype), inputs.mask)),
    )


def gspo_objective(inputs: ObjectiveInputs, settings: ObjectiveSettings) -> ObjectiveValue:
    """GSPO: sequence-level ratios with PPO's clip, over every sampler of the pool.

    J = mean_p Σ_j 1/G Σ_i min(s·A, clip(s, 1−ε_low, 1+ε_high)·A)

    A pool of one is GSPO; the pool of all agents with the plain group mean is the paper's Naive sharing.
    """
    low, high = 1 - settings.epsilon_low, 1 + settings.epsilon_high
    ratio = inputs.sequence_ratio
    value = _over_prompts(ppo_surrogate(ratio, inputs.advantages, low, high))
    clipped = ppo_clipped(ratio, inputs.advantages, low, high)
    return _sequence_level(value, ratio, clipped, inputs.advantages)


def capability_coefficient(inputs: ObjectiveInputs) -> Tensor:
    """ω[j, k] for every sampler j and the learner k: above 1 for stronger samplers (Eq. 10). Shape (..., n)."""
    return inputs.capability_ratios[..., :, inputs.learner]


def unit_coefficient(inputs: ObjectiveInputs) -> Tensor:
    """1 for every sampler: capability dropped from the update (the ablation of Table 3). Shape (..., n)."""
    return torch.ones_like(capability_coefficient(inputs))


def stepwise_bounds(inputs: ObjectiveInputs, settings: ObjectiveSettings) -> tuple[float, float]:
    """Cross rollouts' clip bounds [1 − δ + m·δ_step, 1] (Eq. 13-14)."""
    return stepwise_lower_bound(settings.delta, settings.delta_step, inputs.minibatch_index), 1.0


def lower_bound_only(inputs: ObjectiveInputs, settings: ObjectiveSettings) -> tuple[float, float]:
    """Cross rollouts' lower bound 1 − δ + m·δ_step and no upper one: ratios above 1 keep their gradient."""
    return stepwise_bounds(inputs, settings)[0], float("inf")


def no_bounds(inputs: ObjectiveInputs, settings: ObjectiveSettings) -> tuple[float, float]:
    """Cross rollouts without a clip (the ablation of Figure 4)."""
    return 0.0, float("inf")


def epsilon_bounds(inputs: ObjectiveInputs, settings: ObjectiveSettings) -> tuple[float, float]:
    """Cross rollouts with the bounds of own ones, [1 − ε_low, 1 + ε_high]."""
    return 1 - settings.epsilon_low, 1 + settings.epsilon_high


def hacpo_objective(
    inputs: ObjectiveInputs,
    settings: ObjectiveSettings,
    *,
    coefficient: Callable[[ObjectiveInputs], Tensor] = capability_coefficient,
    cross_bounds: Callable[[ObjectiveInputs, ObjectiveSettings], tuple[float, float]] = stepwise_bounds,
    cross_weight: Callable[[Tensor, float], Tensor] = exponential_weight,
    cross_clip: Callable[[Tensor, Tensor, float, float], Tensor] = hard_clip,
) -> ObjectiveValue:
    """HACPO: GSPO on the learner's own rollouts plus weighted cross rollouts with a hard clip (Eq. 47-53).

    J_homo = mean_p 1/G Σ_i min(s·A, clip(s, 1−ε_low, 1+ε_high)·A)                        own rollouts
    J_hete = mean_p Σ_{j≠k} 1/G Σ_i c·sg(c)^α · ω[j,k] · A,   c = clip(s, 1−δ+m·δ_step, 1)  the others'
    J      = J_homo + J_hete

    Args:
        inputs: the learner's rollout pool.
        settings: ε, α, δ, δ_step.
        coefficient: the weight of each sampler's rollouts, shape (..., n).
        cross_bounds: the clip bounds of cross rollouts.
        cross_weight: the constant factor of the clipped ratio, from c and α.
        cross_clip: c, the ratio of cross rollouts that counts, from s, A and the bounds.
    """
    n, k = inputs.advantages.shape[-3], inputs.learner
    others = [j for j in range(n) if j != k]
    ratio = inputs.sequence_ratio

    own_bounds = epsilon_bounds(inputs, settings)
    own_ratio, own_advantages = ratio[..., [k], :, :], inputs.advantages[..., [k], :, :]
    j_homo = _over_prompts(ppo_surrogate(own_ratio, own_advantages, *own_bounds))

    low, high = cross_bounds(inputs, settings)
    cross_ratio, cross_advantages = ratio[..., others, :, :], inputs.advantages[..., others, :, :]
    counted = cross_clip(cross_ratio, cross_advantages, low, high)
    constant = cross_weight(counted, settings.alpha)
    weight = coefficient(inputs)[..., others, None, None] * constant
    j_hete = _over_prompts(counted * weight * cross_advantages)

    clipped = torch.empty_like(ratio, dtype=torch.bool)
    clipped[..., [k], :, :] = ppo_clipped(own_ratio, own_advantages, *own_bounds)
    clipped[..., others, :, :] = (counted != cross_ratio) & (cross_advantages != 0)
    return _sequence_level(j_homo + j_hete, ratio, clipped, inputs.advantages)


def kl_to_reference(inputs: ObjectiveInputs) -> Tensor:
    """The k3 estimator of the divergence from the policy before training, on own rollouts: ≥ 0, differentiable, nats.

    mean_p 1/G Σ_i 1/|y_i| Σ_t (e^r_t − 1 − r_t),  r_t = log π_ref(y_t) − log π(y_t)

    In expectation over own rollouts it is KL(π‖π_ref) per token (Schulman, 2020).

    Returns:
        Shape (...).

    Raises:
        ValueError: the inputs have no ``reference_log_probs``, or of another shape than own log-probabilities.
    """
    if inputs.reference_log_probs is None:
        raise ValueError("the divergence from the policy before training needs reference_log_probs, got None")
    width, k = inputs.reference_log_probs.shape[-1], inputs.learner
    mask, log_probs = inputs.mask[..., k, :, :, :width], inputs.log_probs[..., k, :, :, :width]
    if inputs.reference_log_probs.shape != log_probs.shape:
        raise ValueError(
            f"reference_log_probs must have shape {tuple(log_probs.shape)} as own log_probs, "
            f"got {tuple(inputs.reference_log_probs.shape)}"
        )
    log_ratio = torch.where(mask, inputs.reference_log_probs - log_probs, 0)
    return masked_mean(log_ratio.exp() - 1 - log_ratio, mask).mean((-2, -1))


def penalised(objective: Objective, inputs: ObjectiveInputs, settings: ObjectiveSettings) -> ObjectiveValue:
    """An objective minus ``kl_weight`` times :func:`kl_to_reference`, if the inputs have a reference.

    Args:
        objective: what is maximised without the penalty.
        inputs, settings: as for the objective.
    """
    result = objective(inputs, settings)
    if inputs.reference_log_probs is None:
        return result
    return replace(result, value=result.value - settings.kl_weight * kl_to_reference(inputs))


def _sequence_level(value: Tensor, ratio: Tensor, clipped: Tensor, advantages: Tensor) -> ObjectiveValue:
    """What an objective of sequence ratios returns, from which rollouts (..., n, P, G) are clipped."""
    return ObjectiveValue(
        value,
        importance_ratio=_by_sampler(ratio),
        clip_fraction=_by_sampler(clipped.to(ratio.dtype)),
        advantage_mass=_advantage_mass(advantages),
        kept_mass=_advantage_mass(advantages * ~clipped),
    )


def _advantage_mass(advantages: Tensor) -> Tensor:
    """Sums of positive and of negative advantages: (..., n, P, G) -> (..., n, 2)."""
    return torch.stack([(sign * advantages).clamp_min(0).sum((-2, -1)) for sign in (1, -1)], dim=-1)


def _over_prompts(terms: Tensor) -> Tensor:
    """Mean over the group, sum over samplers, mean over prompts: (..., n, P, G) -> (...)."""
    return terms.mean(-1).sum(-2).mean(-1)


def _by_sampler(values: Tensor) -> Tensor:
    """Mean over prompts and group, without gradient: (..., n, P, G) -> (..., n)."""
    return values.detach().mean((-2, -1))
