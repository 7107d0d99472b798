"""Which cross rollouts pass HACPO's clip, as a function of their length, and from which length right answers do.

Setting. Learner k, sampler j, an answer y of L tokens, the same tokens on both sides. Its deficit

    Δ = Σ_t (log π_j(y_t | ...) − log π_k(y_t | ...))    in nats, so that s = exp(−Δ/L) (Eq. 11).

c of its tokens decide; their deficit together, the *skill deficit* D, is fixed, as c is. The other n = L − c tokens are
style: their deficits d_t are independent, with mean κ (which is KL(π_j‖π_k) per style token, hence ≥ 0), variance v and
range r. So Δ = D + Σ_style d_t. After m updates of a step, s must be in [1 − δ + m·δ_step, 1] (Eq. 13-14); the *token
budget* is λ_m = ln(1/(1 − δ + m·δ_step)), 0.223 nats for δ = 0.2 and m = 0.

Law of long answers. A cross rollout passes iff 0 ≤ Δ ≤ λ_m·L. As L grows with c and D fixed, the chance that it is not
below the lower bound tends to 1 if κ < λ_m, to 0 if κ > λ_m, whatever the skills. On average, right answers with
D > λ_m·c pass from the length L* = c + (D − λ_m·c)/(λ_m − κ) on.

What holds on average is here, chances are in :mod:`hacrl_lab.theory.passing_chance`. The law is about the clip:
whether the rollouts that pass it help the learner is another question.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hacrl_lab.errors import SettingError
from hacrl_lab.importance import stepwise_lower_bound

Number = float | Tensor
"""A number, or an array of numbers that is broadcast with the others."""


@dataclass(frozen=True)
class StyleDistance:
    """How far a learner's style is from a sampler's: d = log π_j(a) − log π_k(a) of a style token a that j samples."""

    mean: Number
    """κ, the mean of d: KL(π_j‖π_k), nats per token, ≥ 0."""
    variance: Number
    """v, the variance of d, nats²."""
    spread: Number
    """r, the largest d minus the smallest, nats."""
    overlap: Number
    """ρ = Σ_a √(π_j(a)·π_k(a)), the Bhattacharyya coefficient: 1 for equal styles, below 1 for any others."""


@dataclass(frozen=True)
class CrossAnswers:
    """Answers of one kind that a learner gets from a sampler; all fields are broadcast."""

    length: Number
    """L, tokens."""
    decisive: Number
    """c, how many of them decide."""
    skill_deficit: Number
    """D, the deficit of the decisive tokens together, nats; negative if the learner finds them likelier."""
    style: StyleDistance
    """κ, v, r, ρ of the other tokens."""

    def __post_init__(self) -> None:
        if not (_f64(self.decisive) >= 0).all() or not (self.style_tokens >= 0).all() or not (self.tokens > 0).all():
            raise SettingError(f"length must be > 0 and ≥ decisive ≥ 0, got {self.length} and {self.decisive}")

    @property
    def tokens(self) -> Tensor:
        """L, float64."""
        return _f64(self.length)

    @property
    def style_tokens(self) -> Tensor:
        """Style tokens, n = L − c."""
        return _f64(self.length) - self.decisive

    @property
    def mean_deficit(self) -> Tensor:
        """E[Δ] = n·κ + D, nats."""
        return self.style_tokens * self.style.mean + self.skill_deficit

    @property
    def deficit_std(self) -> Tensor:
        """The standard deviation √(n·v) of Δ, nats."""
        return (self.style_tokens * self.style.variance).sqrt()


def token_budget(delta: float, delta_step: float = 0.0, minibatch_index: int = 0) -> float:
    """λ_m = ln(1/(1 − δ + m·δ_step)): the largest deficit that passes, nats per token; infinite for a bound of 0.

    Args:
        delta, delta_step, minibatch_index: δ, δ_step and m, as for
            :func:`~hacrl_lab.importance.stepwise_lower_bound`.

    >>> round(token_budget(0.2), 3), round(token_budget(0.2, delta_step=0.025, minibatch_index=3), 3)
    (0.223, 0.134)
    """
    bound = stepwise_lower_bound(delta, delta_step, minibatch_index)
    return math.inf if bound == 0 else -math.log(bound)


def passes(deficit: Tensor, length: Number, budget: float) -> Tensor:
    """Whether a cross rollout keeps its gradient: 0 ≤ Δ ≤ λ·L.

    Proof: it keeps it iff 1 − δ + m·δ_step ≤ s ≤ 1 (decision 3); take −L·ln of all sides, with s = exp(−Δ/L).

    Args:
        deficit: Δ, nats, any shape.
        length: L, tokens on either side, broadcastable.
        budget: λ_m.

    >>> passes(torch.tensor([-0.1, 0.0, 1.3, 1.3]), torch.tensor([8, 8, 4, 8]), token_budget(0.2))
    tensor([False,  True, False,  True])
    """
    return (deficit >= 0) & (deficit <= budget * _f64(length))


def crossing_length(budget: float, style_mean: Number, skill_deficit: Number, decisive: Number) -> Tensor:
    """L*, the smallest L ≥ c for which the mean deficit is within the budget, E[Δ] ≤ λ·L.

    L* = c                               if D ≤ λ·c: the decisive tokens pass by themselves
    L* = c + (D − λ·c)/(λ − κ)           if D > λ·c and κ < λ; this is (D − c·κ)/(λ − κ)
    L* = ∞                               if D > λ·c and κ ≥ λ

    Proof: E[Δ] ≤ λ·L iff n·κ + D ≤ λ·(n + c) iff D − λ·c ≤ (λ − κ)·n: what the decisive tokens overdraw is saved by
    the style tokens, λ − κ each. So for κ < λ all L ≥ L* pass on average; for κ = λ all or none do; for κ > λ and
    D ≤ λ·c those with n ≤ (λ·c − D)/(κ − λ) do and longer ones do not.

    Args:
        budget: λ_m, nats per token.
        style_mean: κ, nats per style token, ≥ 0.
        skill_deficit: D, nats.
        decisive: c, tokens.

    Returns:
        L* as a real number (answers have whole lengths: round up), broadcast shape.

    Raises:
        ValueError: κ < 0.

    At the paper's mean cross ratio 0.8955 (Table 6), taken as e^(−κ), with two decisive tokens and a right answer that
    the sampler finds e^1.3 times likelier than style alone explains, before a step's first update and after each:

    >>> kappa = -math.log(0.8955)
    >>> budgets = [token_budget(0.2, 0.025, m) for m in range(5)]
    >>> [round(float(crossing_length(budget, kappa, 1.3 + 2 * kappa, 2)), 1) for budget in budgets]
    [11.5, 15.9, 24.9, 56.1, inf]
    """
    kappa = _f64(style_mean)
    if not (kappa >= 0).all():
        raise ValueError(f"style_mean is a KL divergence and must be ≥ 0, got {style_mean}")
    decisive = _f64(decisive)
    if budget == math.inf:
        return torch.broadcast_tensors(decisive, kappa, _f64(skill_deficit))[0]
    overdrawn = (skill_deficit - budget * decisive).clamp_min(0)
    crossing = torch.where(kappa < budget, decisive + overdrawn / (budget - kappa), math.inf)
    return torch.where(overdrawn == 0, decisive, crossing)


def open_updates(style_mean: float, delta: float, delta_step: float) -> float:
    """How many updates of a step, m = 0, 1 ..., have a budget λ_m > κ, so that long answers pass in them.

    These are the m with 1 − δ + m·δ_step < e^(−κ); from then on L* is infinite (unless D ≤ λ_m·c). Infinitely many for
    δ_step = 0 and κ < λ_0.

    Args:
        style_mean: κ, nats per style token, ≥ 0.
        delta, delta_step: δ and δ_step.

    >>> open_updates(-math.log(0.8955), delta=0.2, delta_step=0.025)
    4
    """
    if not style_mean >= 0:
        raise ValueError(f"style_mean is a KL divergence and must be ≥ 0, got {style_mean}")
    if delta_step == 0:
        return math.inf if style_mean < token_budget(delta) else 0
    updates = 0
    while style_mean < token_budget(delta, delta_step, updates):
        updates += 1
    return updates


def width_for(answers: CrossAnswers, deviations: float, updates: int, delta_step: float) -> Tensor:
    """The smallest δ that leaves z standard deviations between E[Δ] and the budget in the last of M updates.

    δ = 1 − exp(−(n·κ + D + z·√(n·v))/L) + (M − 1)·δ_step

    This is λ_{M−1}·L = E[Δ] + z·√(n·v), solved for δ; earlier updates have larger budgets. It is 0 where the right side
    is ≤ 0, since the bound is never above 1, and 1 where more would be needed: no δ is then enough. Long answers need
    1 − e^(−κ) + (M − 1)·δ_step, whatever their skill deficit.

    The chance of falling below the bound is then at most 1/(1 + z²) (Cantelli's inequality), at most exp(−2·z²·v/r²)
    (Hoeffding's), and about Φ(−z) for many style tokens.

    Args:
        answers: those that are to pass.
        deviations: z ≥ 0.
        updates: M ≥ 1, the updates of a step.
        delta_step: δ_step.
    """
    needed = answers.mean_deficit + deviations * answers.deficit_std
    width = 1 - torch.exp(-needed / answers.tokens) + (updates - 1) * delta_step
    return torch.where(needed > 0, width.clamp_max(1), 0)


def smallest_weight(budget: float, alpha: float) -> float:
    """(1 − δ + m·δ_step)^(1+α) = e^(−(1+α)·λ_m): no cross rollout that passes has a smaller weight.

    The weight s·sg(s)^α of a cross rollout's gradient is s^(1+α) (Eq. 12), and s is at least the bound. So for what
    passes, α takes away a bounded part, whatever the skills and the length. (Its gradient has the factor 1/L besides,
    as that of an own rollout.)

    Args:
        budget: λ_m.
        alpha: α ≥ 0.

    >>> [round(smallest_weight(token_budget(0.2), alpha), 3) for alpha in (0, 1, 3)]
    [0.8, 0.64, 0.41]
    """
    return math.exp(-(1 + alpha) * budget)


def _f64(values: Number) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)
