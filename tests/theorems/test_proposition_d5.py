"""Proposition D.5: ∇J_homo = E_{y~π_old}[ s·Â·(1/|y|)·Σ_t ∇ log π(y_t) ]. Needs: no clip that is active."""

import torch
from drawing import assert_close, assert_mean_is, f64, many, problems, some
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hacrl_lab.advantages import capability_aware_baseline
from hacrl_lab.agents.tabular import response_log_probs
from hacrl_lab.objectives import ObjectiveSettings, gspo_objective, hacpo_objective
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.gradients import homo_gradient
from hacrl_lab.theory.groups import ConditionalAdvantages, response_advantages, standardised
from hacrl_lab.theory.problems import Problem, draw_problems
from hacrl_lab.theory.twins import Update, enumerated_gradients, sampled_gradients

LOOSE = ObjectiveSettings(epsilon_low=1.0, epsilon_high=1e6)
TIGHT = ObjectiveSettings(epsilon_low=0.1, epsilon_high=0.2)


def moved(problem: Problem, by: float) -> Tensor:
    """The learner's table after some updates: every logit a little off, in a fixed pattern."""
    table = problem.logits[0]
    return table + by * torch.arange(table.numel(), dtype=torch.float64).reshape(table.shape).sin()


def advantages_of(problem: Problem, group_size: int = 2) -> ConditionalAdvantages:
    rule = standardised(capability_aware_baseline)
    return response_advantages(problem, group_size, rule, problem.true_ratios(), 0)


def gradient_of_the_definition(problem: Problem, advantages: ConditionalAdvantages, current: Tensor) -> Tensor:
    """Autograd through E_{y~π_old}[s·Â], averaged over prompts."""
    table = current.clone().requires_grad_()
    old = problem.log_probs(0)
    ratio = torch.exp((response_log_probs(table, problem.space) - old) / problem.space.lengths)
    value = (old.exp() * ratio * advantages.mean[0]).sum(-1).mean()
    return torch.autograd.grad(value, table)[0]


@many
@given(problems(), st.floats(0, 1))
def test_the_formula_is_the_gradient_of_the_definition(problem: Problem, step: float) -> None:
    advantages, current = advantages_of(problem), moved(problem, step)
    assert_close(
        homo_gradient(problem, 0, advantages, current=current),
        gradient_of_the_definition(problem, advantages, current),
    )


@many
@given(problems(), st.floats(0, 1), st.sampled_from([LOOSE, TIGHT]))
def test_the_objective_that_trains_has_this_gradient(
    problem: Problem, step: float, settings: ObjectiveSettings
) -> None:
    advantages, current = advantages_of(problem), moved(problem, step)
    exact = homo_gradient(
        problem,
        0,
        advantages,
        epsilon_low=settings.epsilon_low,
        epsilon_high=settings.epsilon_high,
        current=current,
    )
    for objective in (gspo_objective, hacpo_objective):
        update = Update(0, problem.true_ratios(), objective, settings, current=current, samplers=[0])
        assert_close(enumerated_gradients(problem, update, advantages), exact)


def test_the_sampled_gradient_agrees() -> None:
    problem = draw_problems(1, ResponseSpace(2, 3, stops=True), correlation=0.3, prompts=2, seed=1)[0]
    rule = standardised(capability_aware_baseline)
    for settings in (LOOSE, TIGHT):
        current = moved(problem, 0.3)
        update = Update(0, problem.true_ratios(), hacpo_objective, settings, current=current, samplers=[0])
        exact = homo_gradient(
            problem,
            0,
            advantages_of(problem, 4),
            epsilon_low=settings.epsilon_low,
            epsilon_high=settings.epsilon_high,
            current=current,
        )
        assert_mean_is(sampled_gradients(problem, update, rule, 4, 4096), exact)


@some
@given(problems())
def test_before_the_first_update_the_ratio_is_one_and_the_clip_is_idle(problem: Problem) -> None:
    advantages = advantages_of(problem)
    free = homo_gradient(problem, 0, advantages)
    assert_close(homo_gradient(problem, 0, advantages, epsilon_low=0.1, epsilon_high=0.1), free)


def test_an_active_clip_breaks_it() -> None:
    # one action of two, old 1/2 each, now 4/5 and 1/5: s = 8/5 and 2/5. Advantages 1 for the first, −1 for the second:
    # both are beyond the bounds in the direction that the clip stops, so nothing is left; the formula gives
    # Σ π_old·s·Â·∇ log π = (4/5)·1·(1/5) − (1/5)·(−4/5)·... = (4/25 + 4/25)·(1, −1)
    problem = Problem(ResponseSpace(2, 1), (f64([[[0, 0]]]),), f64([[1, 0]]))
    current = f64([[[4, 1]]]).log()
    advantages = ConditionalAdvantages(f64([[[1, 0]]]), f64([[[0, 1]]]))
    assert_close(homo_gradient(problem, 0, advantages, current=current), f64([[[8 / 25, -8 / 25]]]))
    clipped = homo_gradient(problem, 0, advantages, epsilon_low=0.2, epsilon_high=0.2, current=current)
    assert_close(clipped, 0.0)
    update = Update(0, torch.ones(1, 1), gspo_objective, ObjectiveSettings(0.2, 0.2), current=current)
    assert_close(enumerated_gradients(problem, update, advantages), 0.0)
