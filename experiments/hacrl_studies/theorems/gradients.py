"""Propositions D.5 and D.6 and Theorem D.11 / 4.3: gradients of the two parts and their alignment."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from hacrl_lab.advantages import capability_aware_baseline
from hacrl_lab.objectives import Objective, ObjectiveSettings, gspo_objective, hacpo_objective, no_bounds
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.gradients import (
    Alignment,
    CrossWeight,
    alignment,
    hete_gradient,
    homo_gradient,
    oracle_advantages,
    same_for_all,
)
from hacrl_lab.theory.groups import response_advantages, standardised
from hacrl_lab.theory.problems import Problem, draw_problems
from hacrl_lab.theory.twins import Update, enumerated_gradients
from hacrl_studies.theorems.finding import Finding, violation

VARIABLE = ResponseSpace(symbols=2, length=3, stops=True)
FIVE_TOKENS = ResponseSpace(symbols=4, length=5)
SETTINGS = ObjectiveSettings(epsilon_low=0.2, epsilon_high=0.2, alpha=1.0, delta=0.2)
UNCLIPPED = partial(hacpo_objective, cross_bounds=no_bounds)
NO_CLIP = CrossWeight(1.0)
HACPO_CLIP = CrossWeight(1.0, low=0.8, high=1.0)
CAP = CrossWeight(1.0, low=0.8, cap=1.0)
STEP = 3.0
"""How far along its own gradient the learner has moved where a self ratio other than 1 is needed."""


def proposition_d5(problems: int) -> Finding:
    """∇J_homo of the objective that trains against the formula, after the learner has moved."""
    drawn = draw_problems(problems, VARIABLE, correlation=0.0)
    rule, ratios = standardised(capability_aware_baseline), drawn.true_ratios()
    advantages = response_advantages(drawn, 2, rule, ratios, 0)
    current = drawn.logits[0] + STEP * homo_gradient(drawn, 0, advantages)
    formula = homo_gradient(drawn, 0, advantages, current=current)
    loose = ObjectiveSettings(epsilon_low=1.0, epsilon_high=1e9)

    def trained(settings: ObjectiveSettings) -> Tensor:
        return _trained(drawn, gspo_objective, settings, [0], current)

    return Finding(
        "Proposition D.5",
        "∇J_homo = E[s·Â·1/abs(y)·Σ∇log π]",
        "no active clip",
        float(_relative(trained(loose), formula).max()),
        problems,
        (
            violation(
                f"an idle clip: ε = 0.2 after a step of {STEP:.0f}·∇J",
                "relative error of ∇J_homo",
                _relative(trained(SETTINGS), formula),
            ),
        ),
    )


def proposition_d6(problems: int) -> Finding:
    """∇J_hete of the objective that trains against the formula."""
    drawn = draw_problems(problems, VARIABLE, correlation=0.5)
    ratios = drawn.true_ratios()
    advantages = response_advantages(drawn, 2, standardised(capability_aware_baseline), ratios, 0)
    formula = hete_gradient(drawn, 0, 1, advantages, ratios, NO_CLIP)
    free, clipped = (_trained(drawn, objective, SETTINGS, [1]) for objective in (UNCLIPPED, hacpo_objective))
    return Finding(
        "Proposition D.6",
        "∇J_hete = E_Q[ω·s^(α+1)·Â·1/abs(y)·Σ∇log π]",
        "no clipping, a constant weight s^α",
        float(_relative(free, formula).max()),
        problems,
        (
            violation("no clipping: clipped to [0.8, 1]", "relative error of ∇J_hete", _relative(clipped, formula)),
            violation(
                "a constant weight: no stop-gradient",
                "relative error of ∇J_hete",
                _relative((SETTINGS.alpha + 1) * formula, formula),
            ),
        ),
    )


def theorem_d11(problems: int) -> Finding:
    """The identity, and how often the two gradients oppose each other."""
    drawn = {rho: draw_alignment_problems(problems, rho) for rho in (0.5, 0.0, -0.5)}
    results = {rho: align(problem, NO_CLIP) for rho, problem in drawn.items()}
    errors = torch.cat([_identity_error(result) for result in results.values()])
    covariance = torch.cat([result.covariance for result in results.values()])
    conclusion = torch.cat([_opposed(result) for result in results.values()])
    return Finding(
        "Theorem D.11 / 4.3",
        "⟨∇J_hete, ∇J_homo⟩ = E_P[C]·‖v‖² + Cov_P(C, Z) > 0",
        "s = 1 on self rollouts (D.7), Cov > 0 (D.12), no clipping, one Â",
        max(float(errors.max()), float((conclusion * (covariance > 0)).max())),
        errors.numel(),
        (
            violation("(how often is D.12 false?)", "Cov ≤ 0", (covariance <= 0).double()),
            *(
                violation(f"D.12: α = {alpha}, correlation {rho}", "−cosine", _opposed(align(problem, weight)))
                for rho, problem in drawn.items()
                for alpha, weight in ((0, CrossWeight(0.0)), (1, NO_CLIP))
            ),
            *(
                violation(
                    f"D.12 and no clipping: correlation {rho}",
                    "−cosine",
                    _opposed(align(problem, HACPO_CLIP)),
                )
                for rho, problem in drawn.items()
            ),
            violation("the same, `hacpo_capped`, correlation -0.5", "−cosine", _opposed(align(drawn[-0.5], CAP))),
            violation(
                f"D.7: after a step of {STEP:.0f}·∇J, correlation 0.5",
                "relative change of ∇J_homo",
                _moved_error(drawn[0.5]),
            ),
        ),
    )


def draw_alignment_problems(problems: int, correlation: float) -> Problem:
    """Four symbols, five tokens, one row of logits for every position."""
    return draw_problems(problems, FIVE_TOKENS, correlation=correlation, rows=FIVE_TOKENS.length)


def align(problem: Problem, weight: CrossWeight) -> Alignment:
    """Agent 0 learns from agent 1 with the oracle's advantage and ω = 1, which scales ∇J_hete only."""
    omega = torch.ones(problem.rewards.shape[:-2], dtype=torch.float64)
    return alignment(problem, 0, 1, oracle_advantages(problem, 0), omega, weight)


def _identity_error(result: Alignment) -> Tensor:
    """Error of Theorem D.11's identity, relative to its two terms."""
    return (result.inner - result.identity).abs() / (result.mean_c * result.norm_squared + result.covariance.abs())


def _opposed(result: Alignment) -> Tensor:
    """How far the gradients oppose each other: −cosine where it is negative, else 0."""
    return (-result.cosine.nan_to_num()).clamp_min(0)


def _moved_error(problem: Problem) -> Tensor:
    """How much ∇J_homo differs from v at the policy to which a few updates have led."""
    advantages = same_for_all(problem, oracle_advantages(problem, 0))
    now = problem.logits[0] + STEP * homo_gradient(problem, 0, advantages)
    v = homo_gradient(Problem(problem.space, (now, problem.logits[1]), problem.rewards), 0, advantages)
    return _relative(homo_gradient(problem, 0, advantages, current=now), v)


def _trained(
    drawn: Problem,
    objective: Objective,
    settings: ObjectiveSettings,
    samplers: list[int],
    current: Tensor | None = None,
) -> Tensor:
    """Gradients of the objective that trains, over all responses of each problem, learner 0: (B, P, rows, A)."""
    gradients = []
    for index in range(len(drawn.rewards)):
        problem = drawn[index]
        ratios = problem.true_ratios()
        advantages = response_advantages(problem, 2, standardised(capability_aware_baseline), ratios, 0)
        now = None if current is None else current[index]
        update = Update(0, ratios, objective, settings, current=now, samplers=samplers)
        gradients.append(enumerated_gradients(problem, update, advantages))
    return torch.stack(gradients)


def _relative(actual: Tensor, expected: Tensor) -> Tensor:
    """‖actual − expected‖/‖expected‖ of every problem."""
    return (actual - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)
