"""Proposition D.6: ∇J_hete = E_Q[ ω·s^(α+1)·Â·(1/|y|)·Σ_t ∇ log π(y_t) ]. Needs: no clipping, a constant weight."""

from functools import partial

import torch
from drawing import assert_close, assert_mean_is, f64, many, problems, ratio_matrices
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hacrl_lab.advantages import capability_aware_baseline
from hacrl_lab.agents.tabular import response_log_probs
from hacrl_lab.objectives import ObjectiveSettings, hacpo_objective, no_bounds
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.gradients import CrossWeight, hete_gradient, same_for_all
from hacrl_lab.theory.groups import ConditionalAdvantages, response_advantages, standardised
from hacrl_lab.theory.problems import Problem, draw_problems
from hacrl_lab.theory.twins import Update, enumerated_gradients, sampled_gradients

unclipped = partial(hacpo_objective, cross_bounds=no_bounds)
alphas = st.sampled_from([0.0, 0.5, 1.0, 3.0])


def advantages_of(problem: Problem, ratios: Tensor, learner: int, group_size: int = 2) -> ConditionalAdvantages:
    rule = standardised(capability_aware_baseline)
    return response_advantages(problem, group_size, rule, ratios, learner)


def others(problem: Problem, learner: int) -> list[int]:
    return [j for j in range(problem.agents) if j != learner]


def gradient_of_the_definition(
    problem: Problem, advantages: ConditionalAdvantages, ratios: Tensor, alpha: float, constant_weight: bool
) -> Tensor:
    """Autograd through Σ_{j≠0} E_{y~π_j}[s·sg(s)^α·ω[j, 0]·Â], averaged over prompts."""
    table = problem.logits[0].clone().requires_grad_()
    value = torch.zeros(())
    for j in others(problem, 0):
        log_q = problem.log_probs(j)
        ratio = torch.exp((response_log_probs(table, problem.space) - log_q) / problem.space.lengths)
        weight = (ratio.detach() if constant_weight else ratio) ** alpha
        value = value + (log_q.exp() * ratio * weight * ratios[j, 0] * advantages.mean[j]).sum(-1).mean()
    return torch.autograd.grad(value, table)[0]


@many
@given(problems(), alphas, st.data())
def test_the_formula_is_the_gradient_of_the_definition(problem: Problem, alpha: float, data: st.DataObject) -> None:
    ratios = data.draw(ratio_matrices(problem.agents))
    advantages = advantages_of(problem, ratios, 0)
    weight = CrossWeight(alpha)
    exact = torch.stack([hete_gradient(problem, 0, j, advantages, ratios, weight) for j in others(problem, 0)]).sum(0)
    assert_close(exact, gradient_of_the_definition(problem, advantages, ratios, alpha, True))


@many
@given(problems(agents=(2, 3, 4)), alphas, st.data())
def test_the_objective_that_trains_has_this_gradient(problem: Problem, alpha: float, data: st.DataObject) -> None:
    learner = data.draw(st.integers(0, problem.agents - 1))
    ratios = data.draw(ratio_matrices(problem.agents))
    advantages = advantages_of(problem, ratios, learner)
    settings = ObjectiveSettings(0.2, 0.2, alpha=alpha)
    for j in others(problem, learner):
        update = Update(learner, ratios, unclipped, settings, samplers=[j])
        exact = hete_gradient(problem, learner, j, advantages, ratios, CrossWeight(alpha))
        assert_close(enumerated_gradients(problem, update, advantages), exact)


@many
@given(problems(), alphas, st.integers(0, 4), st.sampled_from([0.1, 0.5]), st.data())
def test_with_clipping_only_ratios_inside_the_stepwise_bounds_count(
    problem: Problem, alpha: float, m: int, delta: float, data: st.DataObject
) -> None:
    ratios = data.draw(ratio_matrices(problem.agents))
    advantages = advantages_of(problem, ratios, 0)
    settings = ObjectiveSettings(0.2, 0.2, alpha=alpha, delta=delta, delta_step=0.025)
    update = Update(0, ratios, hacpo_objective, settings, minibatch_index=m, samplers=others(problem, 0))
    weight = CrossWeight(alpha, low=min(1.0, 1 - delta + m * 0.025), high=1.0)
    exact = torch.stack([hete_gradient(problem, 0, j, advantages, ratios, weight) for j in others(problem, 0)]).sum(0)
    assert_close(enumerated_gradients(problem, update, advantages), exact)


def test_the_sampled_gradient_agrees() -> None:
    problem = draw_problems(1, ResponseSpace(2, 3, stops=True), correlation=0.6, agents=3, prompts=2, seed=2)[0]
    ratios, settings = problem.true_ratios(), ObjectiveSettings(0.2, 0.2, alpha=1.0, delta=0.5, delta_step=0.05)
    rule = standardised(capability_aware_baseline)
    advantages = advantages_of(problem, ratios, 0, group_size=4)
    for objective, weight in ((unclipped, CrossWeight(1.0)), (hacpo_objective, CrossWeight(1.0, 0.6, 1.0))):
        update = Update(0, ratios, objective, settings, minibatch_index=2, samplers=[1, 2])
        exact = torch.stack([hete_gradient(problem, 0, j, advantages, ratios, weight) for j in (1, 2)]).sum(0)
        assert_mean_is(sampled_gradients(problem, update, rule, 4, 4096), exact)


# ----- Each assumption is needed


@many
@given(problems(), alphas)
def test_without_the_stop_gradient_the_gradient_is_alpha_plus_one_times_as_large(
    problem: Problem, alpha: float
) -> None:
    ratios = problem.true_ratios()
    advantages = advantages_of(problem, ratios, 0)
    constant, moving = (gradient_of_the_definition(problem, advantages, ratios, alpha, c) for c in (True, False))
    assert_close(moving, (alpha + 1) * constant, 1e-11)


def test_a_sampler_that_the_learner_agrees_with_too_much_contributes_no_gradient() -> None:
    # learner 3/4 and 1/4, sampler 1/2 each: s = 3/2 on the right response (above 1), 1/2 on the wrong one (below 0.8).
    # HACPO's gradient is 0. Without the clip (α = 0, Â = ±1): Σ Q·s·Â·∇ log P = (3/4)(1/4) + (1/4)(3/4) = 3/8.
    # Capped at 1: (1/2)·1·(1/4) = 1/8, the right response alone
    problem = Problem(ResponseSpace(2, 1), (f64([[[3, 1]]]).log(), f64([[[1, 1]]]).log()), f64([[1, 0]]))
    advantages, ones = same_for_all(problem, f64([[1, -1]])), torch.ones(2, 2)
    free, clipped, capped = CrossWeight(0), CrossWeight(0, 0.8, 1.0), CrossWeight(0, 0.8, cap=1.0)
    for weight, size in ((free, 3 / 8), (clipped, 0), (capped, 1 / 8)):
        assert_close(hete_gradient(problem, 0, 1, advantages, ones, weight), f64([[[size, -size]]]))


def test_most_of_a_distant_samplers_rollouts_are_clipped_away() -> None:
    """300 problems at correlation 0: the share of E_Q that lies in [0.8, 1], and above 1."""
    problem = draw_problems(300, ResponseSpace(4, 5), correlation=0.0)
    log_p, log_q = problem.log_probs(0), problem.log_probs(1)
    ratio, q = torch.exp((log_p - log_q) / 5), log_q.exp()
    inside = (q * ((ratio >= 0.8) & (ratio <= 1))).sum(-1).mean()
    above = (q * (ratio > 1)).sum(-1).mean()
    assert 0.02 < float(inside) < 0.2
    assert 0.02 < float(above) < 0.2
