"""Corollary 4.2: E[A_k] = 0 on self rollouts, before dividing by σ, under the assumptions of Theorem 4.1.

And what the paper passes over: a rollout's own reward in its own baseline, and the division by the group's std.
"""

import torch
from drawing import assert_close, assert_mean_is, f64, find, many, problems, ratio_matrices, some
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hacrl_lab.advantages import (
    capability_aware_baseline,
    capability_aware_mean,
    group_mean_baseline,
    leave_one_out_capability_mean,
)
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.gradients import homo_gradient, oracle_advantages, same_for_all
from hacrl_lab.theory.groups import (
    centred,
    expected_advantage,
    problem_groups,
    response_advantages,
    reward_groups,
    standardised,
)
from hacrl_lab.theory.problems import Problem, draw_problems
from hacrl_lab.theory.twins import sampled_rewards

one_prompt = problems(prompts=(1,))


def mean_advantages(problem: Problem, group_size: int, learner: int, standard: bool = False) -> Tensor:
    """E[A] of each sampler's rollouts with the oracle's ratio: (n, P)."""
    rule = standardised(capability_aware_mean) if standard else centred(capability_aware_mean)
    groups = problem_groups(problem, group_size)
    return expected_advantage(groups, rule, problem.true_ratios()[None, None], learner).mT


@many
@given(one_prompt, st.integers(1, 3))
def test_self_advantages_average_to_zero(problem: Problem, group_size: int) -> None:
    for learner in range(problem.agents):
        assert_close(mean_advantages(problem, group_size, learner)[learner], 0.0, 1e-11)


@many
@given(one_prompt, st.integers(1, 3))
def test_cross_advantages_average_to_the_difference_of_the_agents(problem: Problem, group_size: int) -> None:
    expected = problem.expected_rewards()
    for learner in range(problem.agents):
        difference = expected - expected[learner]
        assert_close(mean_advantages(problem, group_size, learner), difference, 1e-11)


def test_the_sampled_advantages_agree() -> None:
    problem = draw_problems(1, ResponseSpace(2, 3, stops=True), correlation=0.3, agents=3, seed=3)[0]
    rewards, ratios = sampled_rewards(problem, 4, 4096), problem.true_ratios()
    for learner in range(3):
        sampled = centred(capability_aware_mean)(rewards, ratios, learner).mean(-1)
        assert_mean_is(sampled, mean_advantages(problem, 4, learner))


# ----- Each assumption is needed


def test_dividing_by_the_std_leaves_an_average() -> None:
    # p_0 = 1/2, p_1 = 1/4, ω[0, 1] = 2, G = 1; σ of two rewards 0 and 1 is √(1/2); of equal ones 0 (then 1e-6 remains).
    #   (R_0, R_1)   chance  μ̂_0  R_0 − μ̂_0   divided by σ
    #   (1, 0)       3/8     1/2     1/2         √2/2
    #   (0, 1)       1/8     1      −1          −√2
    #   (1, 1)       1/8     3/2    −1/2        −(1/2)/1e-6 without decision 5, 0 with it
    # before: 3/16 − 1/8 − 1/16 = 0. Divided, with decision 5: √2·(3/16 − 1/8) = √2/16
    groups = reward_groups((0, 1), f64([[1 / 2, 1 / 2], [3 / 4, 1 / 4]]), group_size=1)
    ratios = f64([[[1, 2], [0.5, 1]]])
    assert_close(expected_advantage(groups, centred(capability_aware_mean), ratios, 0)[0], 0.0)
    divided = expected_advantage(groups, standardised(capability_aware_baseline), ratios, 0)[0]
    assert_close(divided, 2**0.5 / 16, 2e-6)


@some
@given(st.integers(1, 9), st.integers(2, 4))
def test_one_agent_alone_keeps_the_zero_after_dividing(tenths: int, group_size: int) -> None:
    # Σ_i (R_i − mean) = 0 in every group, whatever it is divided by
    groups = reward_groups((0, 1), f64([[1 - tenths / 10, tenths / 10]]), group_size)
    ones = torch.ones(1, 1, 1, dtype=torch.float64)
    assert_close(expected_advantage(groups, standardised(group_mean_baseline), ones, 0), 0.0)


def test_one_ratio_for_all_prompts_leaves_an_average_on_each() -> None:
    found = find(problems(agents=(2,), prompts=(2,)), lambda p: bool((mean_advantages(p, 1, 0)[0].abs() > 0.1).any()))
    assert_close(mean_advantages(found, 1, 0)[0].sum(), 0.0)


# ----- A rollout's own reward sits in its own baseline


@many
@given(one_prompt, st.integers(2, 3), st.data())
def test_the_own_reward_only_scales_the_self_gradient(problem: Problem, group_size: int, data: st.DataObject) -> None:
    # E[A | y] = (1 − 1/(nG))·(R(y) − E[R_k]): a factor on every response
    learner = data.draw(st.integers(0, problem.agents - 1))
    included = response_advantages(problem, group_size, centred(capability_aware_mean), problem.true_ratios(), learner)
    oracle = same_for_all(problem, oracle_advantages(problem, learner))
    factor = 1 - 1 / (problem.agents * group_size)
    gradient = homo_gradient(problem, learner, included)
    assert_close(gradient, factor * homo_gradient(problem, learner, oracle), 1e-11)


@some
@given(problems(prompts=(1, 2)), st.integers(2, 3), st.data())
def test_the_own_reward_counts_differently_for_every_sampler(
    problem: Problem, group_size: int, data: st.DataObject
) -> None:
    # E[A | R = 1, j] − E[A | R = 0, j] = 1 − ω[k, j]/(nG); left out, it is 1 for every sampler
    learner = data.draw(st.integers(0, problem.agents - 1))
    ratios = data.draw(ratio_matrices(problem.agents))
    for rule, slope in (
        (capability_aware_mean, 1 - ratios[learner] / (problem.agents * group_size)),
        (leave_one_out_capability_mean, torch.ones(problem.agents, dtype=torch.float64)),
    ):
        mean = response_advantages(problem, group_size, centred(rule), ratios, learner).mean  # (n, P, Y)
        for p, rewards in enumerate(problem.rewards):
            if bool((rewards == 0).any()):
                right, wrong = int((rewards == 1).nonzero()[0]), int((rewards == 0).nonzero()[0])
                assert_close(mean[:, p, right] - mean[:, p, wrong], slope, 1e-11)


# ----- Dividing by the group's std


def plain_and_divided(problem: Problem, group_size: int) -> tuple[Tensor, Tensor]:
    """Agent 0's expected self gradient without and with the division by σ, each as one vector: (..., D)."""
    rule = group_mean_baseline if problem.agents == 1 else capability_aware_baseline
    plain, divided = (
        homo_gradient(problem, 0, response_advantages(problem, group_size, kind(rule), problem.true_ratios(), 0))
        for kind in (centred, standardised)
    )
    return plain.flatten(-3), divided.flatten(-3)


def turn(problem: Problem, group_size: int) -> Tensor:
    """1 − cosine of the two: (...)."""
    return 1 - torch.nn.functional.cosine_similarity(*plain_and_divided(problem, group_size), dim=-1)


@many
@given(problems(agents=(1,), prompts=(1,)), st.integers(2, 6))
def test_one_agent_on_one_prompt_keeps_the_direction(problem: Problem, group_size: int) -> None:
    # the divided advantages of a group still add up to 0, so E[A | R] of a 0/1 reward is a factor times R − E[R]
    plain, divided = plain_and_divided(problem, group_size)
    assert_close(plain.norm() * divided.norm() - plain @ divided, 0.0)


def test_over_several_prompts_the_std_turns_the_gradient() -> None:
    """Easy and hard prompts get larger weights. 300 problems of one agent, eight prompts, G = 8."""
    turned = turn(draw_problems(300, ResponseSpace(4, 1), correlation=0.0, agents=1, prompts=8), 8)
    assert bool((turned > 1e-5).all())
    assert 1e-3 < float(turned.mean()) < 1e-2


def test_with_two_agents_the_std_hardly_turns_the_gradient_of_one_prompt() -> None:
    """Divided, the advantages do not average to 0, and a constant one favours short answers. 300 problems, G = 4."""
    turned = turn(draw_problems(300, ResponseSpace(2, 3, stops=True), correlation=0.0), 4)
    assert 1e-6 < float(turned.max()) < 1e-3


def test_with_three_rewards_the_std_turns_the_gradient_of_one_prompt() -> None:
    # four responses, equally likely, rewards 0, 0, 1, 3; G = 2. Two rewards with difference d have σ = |d|/√2, so that
    # (d/2)/σ = ±√2/2 whatever d is. E[A | R]/(√2/2) is the chance that the other is less minus that it is more:
    # −1/2, −1/2, 1/2 − 1/4 and 3/4. Before the division it is half of R − 1
    problem = Problem(ResponseSpace(4, 1), (torch.zeros(1, 1, 4, dtype=torch.float64),), f64([[0, 0, 1, 3]]))
    plain, divided = plain_and_divided(problem, 2)
    assert_close(plain / plain[-1], f64([-1, -1, 0, 2]) / 2)
    assert_close(divided / divided[-1], f64([-2, -2, 1, 3]) / 3, 1e-5)  # σ + 1e-6
