"""The sound alternatives: each satisfies its statement exactly, where HACPO's own part does not.

The lagged window's statement is in test_remark_d2.py.
"""

from functools import partial

import pytest
import torch
from drawing import assert_close, assert_mean_is, f64, find, many, problems, ratio_matrices, some
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hacrl_lab.advantages import (
    Baseline,
    calibrated_mean,
    capability_aware_mean,
    leave_one_out_capability_mean,
)
from hacrl_lab.methods import get_method
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.gradients import CrossWeight, hete_gradient, oracle_advantages, same_for_all
from hacrl_lab.theory.groups import centred, expected_baseline, problem_groups, response_advantages
from hacrl_lab.theory.problems import Problem, draw_problems
from hacrl_lab.theory.twins import Update, enumerated_gradients, sampled_gradients, sampled_rewards

group_sizes = st.integers(2, 3)


def expected(problem: Problem, baseline: Baseline, ratios: Tensor, learner: int, group_size: int) -> Tensor:
    """E[b] that each sampler's rollouts are compared with: (P, n)."""
    return expected_baseline(problem_groups(problem, group_size), baseline, ratios[None, None], learner)


# ----- Leave-one-out: one advantage function, E[R − b | y, j] = R(y) − E[μ̂_k], for every ω


@many
@given(problems(), group_sizes, st.data())
def test_left_out_rewards_leave_one_advantage_function_for_all(
    problem: Problem, group_size: int, data: st.DataObject
) -> None:
    ratios, k = data.draw(ratio_matrices(problem.agents)), data.draw(st.integers(0, problem.agents - 1))
    mean = response_advantages(problem, group_size, centred(leave_one_out_capability_mean), ratios, k).mean
    baseline = expected(problem, capability_aware_mean, ratios, k, group_size)[:, k]  # E[μ̂_k], (P,)
    for j in range(problem.agents):
        assert_close(mean[j], problem.rewards - baseline.unsqueeze(-1), 1e-11)


@some
@given(problems(prompts=(1,)), group_sizes)
def test_with_the_true_ratio_it_is_the_oracles_advantage(problem: Problem, group_size: int) -> None:
    rule = centred(leave_one_out_capability_mean)
    for k in range(problem.agents):
        mean = response_advantages(problem, group_size, rule, problem.true_ratios(), k).mean
        assert_close(mean, oracle_advantages(problem, k).expand_as(mean), 1e-11)


def test_hacpos_baseline_has_another_function_for_every_sampler() -> None:
    def differ(problem: Problem) -> bool:
        mean = response_advantages(problem, 2, centred(capability_aware_mean), problem.true_ratios(), 0).mean
        return bool((mean[0] - mean[1]).abs().max() > 0.1)

    find(problems(agents=(2,), prompts=(1,)), differ)


# ----- Calibration: the bias of a prompt shrinks by 1 − λ


@many
@given(problems(prompts=(1, 2)), group_sizes, st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.data())
def test_calibration_shrinks_every_prompts_bias_by_its_weight(
    problem: Problem, group_size: int, own_weight: float, data: st.DataObject
) -> None:
    ratios, k = data.draw(ratio_matrices(problem.agents)), data.draw(st.integers(0, problem.agents - 1))
    target = problem.expected_rewards()[k].unsqueeze(-1)
    calibrated = partial(calibrated_mean, own_weight=own_weight)
    shared = expected(problem, capability_aware_mean, ratios, k, group_size) - target
    assert_close(expected(problem, calibrated, ratios, k, group_size) - target, (1 - own_weight) * shared, 1e-11)


def test_calibration_costs_variance_between_equals() -> None:
    # between equal agents Var of a mean of 2·4 rewards is σ²/8; with half of the weight on the own four it is
    # (3/4)²·σ²/4 + (1/4)²·σ²/4 = (10/16)·σ²/4, 5/4 times as much
    problem = draw_problems(1, ResponseSpace(2, 2), correlation=1.0, seed=1)[0]
    rewards, ones = sampled_rewards(problem, 4, 4096), torch.ones(2, 2)
    mean = float(problem.expected_rewards()[0])
    for rule, variance in ((capability_aware_mean, 1 / 8), (calibrated_mean, 10 / 64)):
        square = (rule(rewards, ones, 0)[:, 0, 0, 0] - mean) ** 2
        assert_mean_is(square, mean * (1 - mean) * variance)


# ----- The cap: gradient weight min(s, 1)^(α+1) above the lower bound, nothing lost above 1


@many
@given(problems(), st.sampled_from([0.0, 1.0, 3.0]), st.integers(0, 3), st.data())
def test_the_capped_method_has_truncated_importance_weights(
    problem: Problem, alpha: float, m: int, data: st.DataObject
) -> None:
    ratios = data.draw(ratio_matrices(problem.agents))
    settings = ObjectiveSettings(0.2, 0.2, alpha=alpha, delta=0.4, delta_step=0.1)
    advantages = same_for_all(problem, oracle_advantages(problem, 0))
    others = range(1, problem.agents)
    update = Update(0, ratios, get_method("hacpo_capped").objective, settings, m, samplers=others)
    weight = CrossWeight(alpha, low=0.6 + m * 0.1, cap=1.0)
    exact = torch.stack([hete_gradient(problem, 0, j, advantages, ratios, weight) for j in others]).sum(0)
    assert_close(enumerated_gradients(problem, update, advantages), exact)


def test_the_sampled_capped_gradient_agrees() -> None:
    problem = draw_problems(1, ResponseSpace(2, 3, stops=True), correlation=0.3, seed=8)[0]
    ratios, rule = problem.true_ratios(), centred(leave_one_out_capability_mean)
    settings = ObjectiveSettings(0.2, 0.2, alpha=1.0, delta=0.4, delta_step=0.1)
    update = Update(0, ratios, get_method("hacpo_capped").objective, settings, samplers=[1])
    advantages = same_for_all(problem, oracle_advantages(problem, 0))
    exact = hete_gradient(problem, 0, 1, advantages, ratios, CrossWeight(1.0, 0.6, cap=1.0))
    assert_mean_is(sampled_gradients(problem, update, rule, 4, 4096), exact)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
def test_the_capped_weight_is_continuous_and_never_falls(alpha: float) -> None:
    ratios = torch.linspace(0.8, 3.0, 2201, dtype=torch.float64)
    clipped, capped = CrossWeight(alpha, 0.8, 1.0)(ratios), CrossWeight(alpha, 0.8, cap=1.0)(ratios)
    assert bool((capped.diff() >= 0).all())
    assert float(capped.diff().max()) < 0.005
    assert float(clipped.diff().min()) == -1  # HACPO's falls from 1 to nothing


def test_the_cap_bounds_what_one_rollout_can_do() -> None:
    # s = 4 on a response that the sampler gives 1/4 and the learner 1: without a clip α = 1 would weigh it 16 times
    assert CrossWeight(1.0)(f64(4)) == 16
    assert CrossWeight(1.0, 0.8, cap=1.0)(f64(4)) == 1
