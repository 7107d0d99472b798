"""Theorem 4.1 / D.3, Corollary 4.2 and what the paper passes over about groups."""

from __future__ import annotations

import torch
from torch import Tensor

from hacrl_lab.advantages import (
    Baseline,
    calibrated_mean,
    capability_aware_baseline,
    capability_aware_mean,
    group_mean_baseline,
    leave_one_out_capability_baseline,
    leave_one_out_capability_mean,
)
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.gradients import homo_gradient
from hacrl_lab.theory.groups import (
    Rule,
    centred,
    expected_advantage,
    expected_baseline,
    problem_groups,
    response_advantages,
    standardised,
)
from hacrl_lab.theory.problems import Problem, draw_problems
from hacrl_studies.theorems.finding import Finding, violation

SPACE = ResponseSpace(symbols=4, length=1)
PROMPTS, GROUP = 8, 4


def theorem_4_1(problems: int) -> Finding:
    """The baseline's bias with two to four agents on one prompt, and with one ratio for eight prompts."""
    single = [draw_problems(problems, SPACE, correlation=0.0, agents=n) for n in (2, 3, 4)]
    errors = torch.cat([_bias(problem, capability_aware_mean, 2).flatten() for problem in single])
    many = draw_problems(problems, SPACE, correlation=0.0, prompts=PROMPTS)
    return Finding(
        "Theorem 4.1 / D.3",
        "E[μ̂_k] = E[R_k]",
        "ω independent of the batch, ω·E[R_j] = E[R_k] on the prompt",
        float(errors.abs().max()),
        errors.numel(),
        (
            violation(
                "the prompt's own ω: the true global ω, 8 prompts",
                "abs(bias) on a prompt",
                _bias(many, capability_aware_mean, 2).abs().flatten(),
            ),
            violation(
                "the same, but `hacpo_calibrated`",
                "abs(bias) on a prompt",
                _bias(many, calibrated_mean, 2).abs().flatten(),
            ),
            violation(
                "Eq. 7 to the letter: with the guards of decisions 4 and 5, G = 4",
                "abs(bias)",
                _bias(single[0], capability_aware_baseline, GROUP).abs().flatten(),
            ),
            violation(
                "the same, `hacpo_loo` with the guard of decision 5",
                "abs(bias)",
                _bias(single[0], leave_one_out_capability_baseline, GROUP).abs().flatten(),
            ),
        ),
    )


def corollary_4_2(problems: int) -> Finding:
    """The mean self advantage before and after dividing by the group's std."""
    single = [draw_problems(problems, SPACE, correlation=0.0, agents=n) for n in (2, 3, 4)]
    errors = torch.cat([_self_mean(problem, centred(capability_aware_mean), 2).flatten() for problem in single])
    many = draw_problems(problems, SPACE, correlation=0.0, prompts=PROMPTS)
    two, trained = single[0], standardised(capability_aware_baseline)
    return Finding(
        "Corollary 4.2",
        "E[A_k] = 0 on self rollouts",
        "the same; before dividing by σ",
        float(errors.abs().max()),
        errors.numel(),
        (
            violation(
                "the prompt's own ω: the true global ω, 8 prompts",
                "abs(E[A]) on a prompt",
                _self_mean(many, centred(capability_aware_mean), 2).abs().flatten(),
            ),
            violation(
                "before dividing: divided (and decisions 4, 5), G = 4",
                "abs(E[A])",
                _self_mean(two, trained, GROUP).abs().flatten(),
            ),
            violation(
                "self rollouts: the other agent's",
                "abs(E[A])",
                _cross_mean(two, centred(capability_aware_mean), 2).abs().flatten(),
            ),
        ),
    )


def own_reward(problems: int) -> Finding:
    """A rollout's own reward inside its own baseline."""
    problem = draw_problems(problems, SPACE, correlation=0.0)
    ratios = problem.true_ratios()
    included = response_advantages(problem, GROUP, centred(capability_aware_mean), ratios, 0)
    left_out = response_advantages(problem, GROUP, centred(leave_one_out_capability_mean), ratios, 0)
    factor = 1 - 1 / (2 * GROUP)
    scaled = homo_gradient(problem, 0, included) - factor * homo_gradient(problem, 0, left_out)
    return Finding(
        "Own reward in its own baseline",
        f"scales the self gradient by 1 − 1/(nG), here {factor}",
        "the true ω on the prompt",
        float(scaled.abs().max()),
        problems,
        (
            violation(
                "self rollouts: cross ones have 1 − ω[k, j]/(nG)",
                "abs(difference of factors)",
                (ratios[:, 0, 1] - 1).abs() / (2 * GROUP),
            ),
        ),
    )


def group_std(problems: int) -> Finding:
    """The direction of the expected self gradient with and without the division by the group's std."""
    alone = draw_problems(problems, ResponseSpace(2, 3, stops=True), correlation=0.0, agents=1)
    pair = draw_problems(problems, ResponseSpace(2, 3, stops=True), correlation=0.0)
    many = draw_problems(problems, SPACE, correlation=0.0, agents=1, prompts=PROMPTS)
    return Finding(
        "Dividing by the group's std",
        "keeps the direction of the self gradient",
        "one agent, one prompt, 0/1 rewards",
        float(_turn(alone, group_mean_baseline, 8).abs().max()),
        problems,
        (
            violation("one prompt: 8 prompts, G = 8", "1 − cosine", _turn(many, group_mean_baseline, 8)),
            violation(
                "one agent: 2 agents, G = 4", "1 − cosine", _turn(pair, capability_aware_baseline, 4).clamp_min(0)
            ),
        ),
    )


def _bias(problem: Problem, baseline: Baseline, group_size: int) -> Tensor:
    """E[b] − E[R_0 | p] with the true global ratio: (B, P)."""
    groups = problem_groups(problem, group_size)
    ratios = problem.true_ratios()[:, None, None]
    return expected_baseline(groups, baseline, ratios, 0)[..., 0] - problem.expected_rewards()[:, 0]


def _mean_advantages(problem: Problem, rule: Rule, group_size: int) -> Tensor:
    """E[A] of each sampler's rollouts for learner 0: (B, P, n)."""
    return expected_advantage(problem_groups(problem, group_size), rule, problem.true_ratios()[:, None, None], 0)


def _self_mean(problem: Problem, rule: Rule, group_size: int) -> Tensor:
    return _mean_advantages(problem, rule, group_size)[..., 0]


def _cross_mean(problem: Problem, rule: Rule, group_size: int) -> Tensor:
    return _mean_advantages(problem, rule, group_size)[..., 1]


def _turn(problem: Problem, baseline: Baseline, group_size: int) -> Tensor:
    """1 − cosine between learner 0's expected self gradients: (B,)."""
    plain, divided = (
        homo_gradient(problem, 0, response_advantages(problem, group_size, rule(baseline), problem.true_ratios(), 0))
        for rule in (centred, standardised)
    )
    return 1 - torch.nn.functional.cosine_similarity(plain.flatten(1), divided.flatten(1))
