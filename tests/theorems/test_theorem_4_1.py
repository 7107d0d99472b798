"""Theorem 4.1 / D.3: E[μ̂_k] = E_{y~π_k}[R], if ω does not depend on the batch and ω·E[R_j] = E[R_k]."""

import pytest
import torch
from drawing import assert_close, assert_mean_is, f64, find, many, problems, some
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hacrl_lab.advantages import capability_aware_baseline, capability_aware_mean
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.groups import expected_baseline, problem_groups, reward_groups
from hacrl_lab.theory.problems import Problem, draw_problems
from hacrl_lab.theory.twins import sampled_rewards


def prompt_bias(problem: Problem, group_size: int, learner: int) -> Tensor:
    """E[μ̂_k[p]] − E[R_k | p] with one oracle ratio for all prompts: (..., P)."""
    groups = problem_groups(problem, group_size)
    ratios = problem.true_ratios()[..., None, None, :, :]
    expected = expected_baseline(groups, capability_aware_mean, ratios, learner)[..., learner]
    return expected - problem.expected_rewards()[..., learner, :]


@many
@given(problems(prompts=(1,), levels=(0.0, 0.5, 2.0)), st.integers(1, 3), st.data())
def test_with_the_true_ratio_the_baseline_is_the_learners_expected_reward(
    problem: Problem, group_size: int, data: st.DataObject
) -> None:
    learner = data.draw(st.integers(0, problem.agents - 1))
    assert_close(prompt_bias(problem, group_size, learner), 0.0, 1e-11)  # ω up to a hundred


@many
@given(problems(agents=(2, 3), prompts=(2, 3)), st.integers(1, 3))
def test_with_one_ratio_for_all_prompts_it_holds_on_average_over_prompts(problem: Problem, group_size: int) -> None:
    for learner in range(problem.agents):
        assert_close(prompt_bias(problem, group_size, learner).mean(), 0.0, 1e-11)


@some
@given(problems(prompts=(2,)), st.integers(1, 3))
def test_each_prompt_keeps_the_bias_that_the_ratio_misses_there(problem: Problem, group_size: int) -> None:
    # 1/n Σ_j (ω[k, j]·E[R_j | p] − E[R_k | p])
    ratios, expected = problem.true_ratios(), problem.expected_rewards()
    for k in range(problem.agents):
        formula = (ratios[k].unsqueeze(-1) * expected - expected[k]).mean(0)
        assert_close(prompt_bias(problem, group_size, k), formula, 1e-11)


def test_the_sampled_baseline_agrees() -> None:
    problem = draw_problems(1, ResponseSpace(2, 3, stops=True), correlation=0.3, agents=3, prompts=2, seed=3)[0]
    rewards, ratios = sampled_rewards(problem, 4, 4096), problem.true_ratios()
    assert_mean_is(rewards.mean(-1), problem.expected_rewards())
    for learner in range(3):
        sampled = capability_aware_mean(rewards, ratios, learner)[:, 0, :, 0]
        assert_mean_is(sampled, prompt_bias(problem, 4, learner) + problem.expected_rewards()[learner])


# ----- Each assumption is needed


def test_one_ratio_for_all_prompts_is_wrong_on_each_of_them() -> None:
    # agent 0 solves prompt A with 3/4 and B with 1/4, agent 1 the other way round: ω = 1, and μ̂_0 is 1/2 on both
    chances = f64(
        [[[1 / 4, 3 / 4], [3 / 4, 1 / 4]], [[3 / 4, 1 / 4], [1 / 4, 3 / 4]]]
    )  # (prompt, agent, reward 0 or 1)
    groups = reward_groups((0, 1), chances, group_size=2)
    expected = expected_baseline(groups, capability_aware_mean, torch.ones(1, 2, 2), 0)[:, 0]
    assert_close(expected, f64([1 / 2, 1 / 2]))  # E[R_0] is 3/4 and 1/4: biases −1/4 and +1/4, 0 on average


def test_the_search_finds_such_a_prompt() -> None:
    found = find(problems(agents=(2,), prompts=(2,)), lambda p: bool((prompt_bias(p, 1, 0).abs() > 0.1).any()))
    assert found.rewards.shape[0] == 2
    assert float(prompt_bias(found, 1, 0).sum()) == pytest.approx(0, abs=1e-12)


def test_a_wrong_ratio_moves_the_baseline() -> None:
    # p_0 = 1/2, p_1 = 1/4: the true ω[0, 1] is 2; with 1 the baseline is (1/2 + 1/4)/2
    groups = reward_groups((0, 1), f64([[1 / 2, 1 / 2], [3 / 4, 1 / 4]]), group_size=2)
    assert_close(expected_baseline(groups, capability_aware_mean, f64([[[1, 2], [0.5, 1]]]), 0), 1 / 2)
    assert_close(expected_baseline(groups, capability_aware_mean, torch.ones(1, 2, 2), 0), 3 / 8)


def test_the_guards_of_the_trained_baseline_cost_a_little_of_it() -> None:
    # p_0 = 1/2, p_1 = 1/4, ω[0, 1] = 2, G = 1. Rewards (R_0, R_1), chance, Eq. 7 and the baseline that trains:
    #   (0, 0) 3/8  0    0
    #   (1, 0) 3/8  1/2  1/2
    #   (0, 1) 1/8  1    1
    #   (1, 1) 1/8  3/2  1     all equal: decision 5
    # Eq. 7: 3/16 + 1/8 + 3/16 = 1/2 = E[R_0]. Trained: 3/16 + 1/8 + 1/8 = 7/16
    groups = reward_groups((0, 1), f64([[1 / 2, 1 / 2], [3 / 4, 1 / 4]]), group_size=1)
    ratios = f64([[[1, 2], [0.5, 1]]])
    assert_close(expected_baseline(groups, capability_aware_mean, ratios, 0), 1 / 2)
    assert_close(expected_baseline(groups, capability_aware_baseline, ratios, 0), 7 / 16)


def test_the_guards_change_nothing_between_equals() -> None:
    # with ω = 1, Eq. 7 never exceeds 1 and is the common value where rewards are equal
    groups = reward_groups((0, 1), f64([[0.6, 0.4], [0.6, 0.4], [0.6, 0.4]]), group_size=3)
    ones = torch.ones(1, 3, 3, dtype=torch.float64)
    for learner in range(3):
        assert_close(expected_baseline(groups, capability_aware_baseline, ones, learner), 0.4)


# ----- How much


def test_prompts_of_unrelated_difficulty_are_off_by_a_tenth() -> None:
    """300 problems of two unrelated agents and eight prompts: mean |bias| of one prompt."""
    problem = draw_problems(300, ResponseSpace(4, 1), correlation=0.0, prompts=8)
    bias = prompt_bias(problem, 1, 0)
    assert float(bias.mean().abs()) < 1e-12
    assert 0.05 < float(bias.abs().mean()) < 0.15
