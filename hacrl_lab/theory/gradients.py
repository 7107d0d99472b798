"""Exact policy gradients of HACPO's two parts, and how well they agree (Propositions D.5, D.6, Theorem D.11/4.3).

Notation of the paper: P and Q are the learner's and a sampler's sequence probabilities, s = (P/Q)^(1/|y|),
g(y) = Â(y)·(1/|y|)·∇ log P(y), v = E_P[g], Z(y) = ⟨g(y), v⟩ and C(y) = ω·w(s)·Q/P with the gradient weight w of
:func:`gradient_weight`; without clipping w = s^(α+1) and C = ω·(P/Q)^((α+1)/|y| − 1).

Gradients are with respect to the learner's table, prompts averaged (as in the objective).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hacrl_lab.agents.tabular import response_log_probs
from hacrl_lab.theory.groups import ConditionalAdvantages
from hacrl_lab.theory.problems import Problem, score_dot, score_sum


@dataclass(frozen=True)
class CrossWeight:
    """How much a cross rollout's gradient counts: w(s) = min(s, cap)^(α+1) where low ≤ s ≤ high, else 0.

    The defaults are no clipping at all. HACPO's clip is low = 1 − δ + m·δ_step, high = 1; the capped alternative has
    the same low and cap = 1.
    """

    alpha: float = 1.0
    low: float = 0.0
    high: float = float("inf")
    cap: float = float("inf")

    def __call__(self, ratio: Tensor) -> Tensor:
        """W of every ratio s: any shape."""
        inside = (ratio >= self.low) & (ratio <= self.high)
        return torch.where(inside, ratio.clamp_max(self.cap).pow(self.alpha + 1), 0)


def homo_gradient(
    problem: Problem,
    learner: int,
    advantages: ConditionalAdvantages,
    *,
    epsilon_low: float = float("inf"),
    epsilon_high: float = float("inf"),
    current: Tensor | None = None,
) -> Tensor:
    """∇J_homo = E_{y~π_old}[ s·Â·(1/|y|)·Σ_t ∇ log π(y_t) ] (Proposition D.5), where PPO's clip lets it pass.

    Args:
        problem: its table of the learner is the old policy, which sampled.
        learner: k.
        advantages: of every response, (..., n, P, Y) parts; the learner's own are used.
        epsilon_low, epsilon_high: the clip; by default there is none.
        current: the learner's table now; by default the old one, then s = 1.

    Returns:
        As the learner's table, (..., P, rows, actions).
    """
    old = problem.log_probs(learner)
    now = problem.logits[learner] if current is None else current
    ratio = torch.exp((response_log_probs(now, problem.space) - old) / problem.space.lengths)
    positive, negative = (part[..., learner, :, :] for part in (advantages.positive, advantages.negative))
    passed = positive * (ratio <= 1 + epsilon_high) - negative * (ratio >= 1 - epsilon_low)
    weights = old.exp() * ratio * passed / problem.space.lengths
    return score_sum(problem.space, now, weights) / weights.shape[-2]


def hete_gradient(
    problem: Problem,
    learner: int,
    sampler: int,
    advantages: ConditionalAdvantages,
    ratios: Tensor,
    weight: CrossWeight,
    *,
    current: Tensor | None = None,
) -> Tensor:
    """One sampler's part of ∇J_hete = E_Q[ ω·w(s)·Â·(1/|y|)·Σ_t ∇ log π(y_t) ] (Proposition D.6).

    Args:
        problem: its table of the sampler is the policy that sampled.
        learner, sampler: k and j.
        advantages: of every response, (..., n, P, Y) parts; the sampler's are used.
        ratios: ω, (..., n, n); the factor is ω[j, k].
        weight: w, with the clip's bounds if there is one.
        current: the learner's table now; by default the problem's.

    Returns:
        As the learner's table, (..., P, rows, actions).
    """
    now = problem.logits[learner] if current is None else current
    log_q = problem.log_probs(sampler)
    ratio = torch.exp((response_log_probs(now, problem.space) - log_q) / problem.space.lengths)
    factor = ratios[..., sampler, learner, None, None] * advantages.mean[..., sampler, :, :]
    weights = log_q.exp() * weight(ratio) * factor / problem.space.lengths
    return score_sum(problem.space, now, weights) / weights.shape[-2]


@dataclass(frozen=True)
class Alignment:
    """The quantities of Theorem D.11 for one learner and one sampler; all (...)."""

    inner: Tensor
    """⟨∇J_hete, ∇J_homo⟩ with ∇J_homo = v."""
    mean_c: Tensor
    """E_P[C]."""
    norm_squared: Tensor
    """‖v‖²."""
    covariance: Tensor
    """Cov_P(C, Z)."""
    correlation: Tensor
    """corr_P(C, Z), Assumption D.12; nan where C or Z is constant."""
    cosine: Tensor
    """Cosine of the angle between ∇J_hete and ∇J_homo; nan where one of them is 0."""

    @property
    def identity(self) -> Tensor:
        """The right-hand side of Theorem D.11, E_P[C]·‖v‖² + Cov_P(C, Z)."""
        return self.mean_c * self.norm_squared + self.covariance


def alignment(
    problem: Problem, learner: int, sampler: int, advantages: Tensor, omega: Tensor, weight: CrossWeight
) -> Alignment:
    """Both sides of Theorem D.11/4.3, at the old policy (Assumption D.7 with s = 1 on self rollouts).

    The left side is the inner product of two gradients; the right side never forms the second gradient.

    Args:
        problem: leading axes (...).
        learner, sampler: k and j.
        advantages: Â, one function of the response for both: (..., P, Y).
        omega: ω[j, k], shape (...).
        weight: w of the cross rollouts.
    """
    space, table = problem.space, problem.logits[learner]
    log_p, log_q = problem.log_probs(learner), problem.log_probs(sampler)
    prompts = log_p.shape[-2]
    p, q = log_p.exp() / prompts, log_q.exp() / prompts  # joint probabilities of prompt and response
    over_length = advantages / space.lengths
    importance = weight(torch.exp((log_p - log_q) / space.lengths)) * omega[..., None, None]

    v = score_sum(space, table, p * over_length)
    hete = score_sum(space, table, q * importance * over_length)
    inner, norm_squared, hete_squared = (_dot(a, b) for a, b in ((hete, v), (v, v), (hete, hete)))

    c = importance * torch.exp(log_q - log_p)
    z = over_length * score_dot(space, table, v)
    mean_c, mean_z = _mean(p, c), _mean(p, z)
    covariance = _mean(p, c * z) - mean_c * mean_z
    variances = (_mean(p, c**2) - mean_c**2) * (_mean(p, z**2) - mean_z**2)
    return Alignment(
        inner,
        mean_c,
        norm_squared,
        covariance,
        covariance / variances.clamp_min(0).sqrt(),
        inner / (norm_squared * hete_squared).sqrt(),
    )


def oracle_advantages(problem: Problem, learner: int) -> Tensor:
    """Â(y) = R(y) − E_{π_k}[R | p], the advantage with a perfect baseline: (..., P, Y)."""
    return problem.rewards - problem.expected_rewards()[..., learner, :].unsqueeze(-1)


def same_for_all(problem: Problem, advantages: Tensor) -> ConditionalAdvantages:
    """One advantage function (..., P, Y) for the rollouts of every sampler."""
    everyone = advantages.unsqueeze(-3).expand(*advantages.shape[:-2], problem.agents, *advantages.shape[-2:])
    return ConditionalAdvantages(everyone.clamp_min(0), (-everyone).clamp_min(0))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """⟨a, b⟩ over the table: (..., P, rows, actions) -> (...)."""
    return (a * b).sum((-3, -2, -1))


def _mean(probabilities: Tensor, values: Tensor) -> Tensor:
    """E over prompts and responses: (..., P, Y) -> (...)."""
    return (probabilities * values).sum((-2, -1))
