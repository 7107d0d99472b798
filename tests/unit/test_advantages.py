import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hacrl_lab.advantages import (
    Baseline,
    capability_aware_baseline,
    group_advantages,
    group_mean_baseline,
    leave_one_out_baseline,
    sampler_capability_aware_baseline,
)

BASELINES: tuple[Baseline, ...] = (
    group_mean_baseline,
    leave_one_out_baseline,
    capability_aware_baseline,
    sampler_capability_aware_baseline,
)


def f64(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# Two samplers, one prompt, two rollouts each; agent 1 is twice as able: ω[0, 1] = 1/2, ω[1, 0] = 2.
REWARDS = f64([[[3, 1]], [[2, 6]]])
RATIOS = f64([[1, 0.5], [2, 1]])


def test_group_mean_is_over_every_reward_of_the_prompt() -> None:
    # (3 + 1 + 2 + 6)/4 = 3, and for the second prompt (0 + 0 + 4 + 0)/4 = 1
    rewards = f64([[[3, 1], [0, 0]], [[2, 6], [4, 0]]])
    assert group_mean_baseline(rewards, RATIOS, 0).tolist() == [[[3], [1]]]


def test_leave_one_out_is_the_mean_of_the_other_rewards() -> None:
    # the others of 3 are 1, 2, 6 with mean 9/3; of 1: 11/3; of 2: 10/3; of 6: 6/3
    assert torch.equal(leave_one_out_baseline(REWARDS, RATIOS, 0), f64([[[9 / 3, 11 / 3]], [[10 / 3, 6 / 3]]]))


def test_capability_aware_baseline_brings_rewards_to_the_learners_scale() -> None:
    # learner 0: (3 + 1 + (2 + 6)/2)/4 = 2; learner 1: (2·(3 + 1) + 2 + 6)/4 = 4
    assert capability_aware_baseline(REWARDS, RATIOS, 0).tolist() == [[[2]]]
    assert capability_aware_baseline(REWARDS, RATIOS, 1).tolist() == [[[4]]]


def test_samplers_baseline_is_the_samplers_own_whoever_learns() -> None:
    # the two baselines of the test above, one for each sampler
    for learner in (0, 1):
        assert sampler_capability_aware_baseline(REWARDS, RATIOS, learner).tolist() == [[[2]], [[4]]]


def test_prompts_have_baselines_of_their_own() -> None:
    # the second prompt's rewards are ten times the first's
    rewards = torch.cat([REWARDS, 10 * REWARDS], dim=-2)
    assert capability_aware_baseline(rewards, RATIOS, 0).tolist() == [[[2], [20]]]
    assert sampler_capability_aware_baseline(rewards, RATIOS, 0).tolist() == [[[2], [20]], [[4], [40]]]


def test_advantage_is_the_distance_in_sample_standard_deviations() -> None:
    # rewards 3, 1, 2, 6 with mean 3: squares 0 + 4 + 1 + 9 = 14 over 4 − 1; baseline 2 gives 1, −1, 0, 4
    sigma = math.sqrt(14 / 3)
    expected = f64([[[1, -1]], [[0, 4]]]) / (sigma + 1e-6)
    torch.testing.assert_close(group_advantages(REWARDS, f64([[[2]]])), expected, rtol=1e-15, atol=0)


def test_spread_is_that_of_each_prompt() -> None:
    # prompt 0: 1, 0 with σ = sqrt(1/2); prompt 1: 8, 0 with σ = 8·sqrt(1/2): same advantages but for the 1e-6
    advantages = group_advantages(f64([[[1, 0], [8, 0]]]), f64([[[0.5], [4]]]))
    expected = [[0.5 / (math.sqrt(0.5) + 1e-6)], [4 / (8 * math.sqrt(0.5) + 1e-6)]]
    torch.testing.assert_close(advantages, f64([expected]) * f64([1, -1]), rtol=1e-15, atol=0)


def test_floor_keeps_a_small_spread_from_blowing_up() -> None:
    # σ of 1e-6 and 0 is 1e-6·sqrt(1/2), so that the advantage is ±0.5e-6/(1e-6·(sqrt(1/2) + 1))
    advantages = group_advantages(f64([[[1e-6, 0]]]), f64([[[0.5e-6]]]))
    torch.testing.assert_close(advantages[0, 0, 0].item(), 0.5 / (math.sqrt(0.5) + 1), rtol=1e-14, atol=0)


def test_binary_baseline_above_one_becomes_the_learners_own_mean() -> None:
    # ω[1, 0] = 4 gives learner 1 the mean (4·1 + 4·1 + 1 + 0)/4 = 2.25 > 1; its own rewards 1, 0 have mean 1/2
    rewards, ratios = f64([[[1, 1]], [[1, 0]]]), f64([[1, 0.25], [4, 1]])
    assert capability_aware_baseline(rewards, ratios, 1).tolist() == [[[0.5]]]
    # learner 0: (1 + 1 + 1/4)/4 = 9/16 is possible and stays
    assert capability_aware_baseline(rewards, ratios, 0).tolist() == [[[9 / 16]]]
    assert sampler_capability_aware_baseline(rewards, ratios, 0).tolist() == [[[9 / 16]], [[0.5]]]


def test_binary_baseline_of_exactly_one_stays() -> None:
    # (1 + 0 + 3/2 + 3/2)/4 = 1, while the learner's own mean is 1/2
    rewards, ratios = f64([[[1, 0]], [[1, 1]]]), f64([[1, 1.5], [2 / 3, 1]])
    assert capability_aware_baseline(rewards, ratios, 0).tolist() == [[[1]]]


def test_baseline_above_one_stays_for_rewards_that_are_not_binary() -> None:
    # prompt 0 is binary: (1 + 0 + 4 + 4)/4 > 1, so 1/2; prompt 1 is not: (2 + 0 + 8 + 8)/4 = 4.5
    rewards, ratios = f64([[[1, 0], [2, 0]], [[1, 1], [2, 2]]]), f64([[1, 4], [0.25, 1]])
    assert capability_aware_baseline(rewards, ratios, 0).tolist() == [[[0.5], [4.5]]]


def test_one_reward_that_is_not_binary_makes_the_prompt_not_binary() -> None:
    # (1 + 0 + 4·(1 + 1/2))/4 = 1.75 although the learner's own rewards are 0 and 1
    ratios = f64([[1, 4], [0.25, 1]])
    assert capability_aware_baseline(f64([[[1, 0]], [[1, 0.5]]]), ratios, 0).tolist() == [[[1.75]]]


def test_capability_invents_no_signal_where_all_rewards_are_equal() -> None:
    # without decision D5 the baseline would be (1 + 1 + 1/2 + 1/2)/4 = 3/4
    assert capability_aware_baseline(torch.ones(2, 1, 2), RATIOS.float(), 0).tolist() == [[[1]]]


def test_equal_rewards_of_one_prompt_leave_the_others_alone() -> None:
    # prompt 1: (0 + 1 + 1/2)/4
    rewards = f64([[[1, 1], [0, 1]], [[1, 1], [0, 1]]])
    assert capability_aware_baseline(rewards, RATIOS, 0).tolist() == [[[1], [0.375]]]


@settings(derandomize=True, deadline=None)
@given(
    value=st.floats(-1e6, 1e6),
    samplers=st.integers(1, 3),
    prompts=st.integers(1, 3),
    group=st.integers(2, 5),
    ratio=st.floats(0.1, 10),
)
def test_equal_rewards_give_zero_advantage(value: float, samplers: int, prompts: int, group: int, ratio: float) -> None:
    rewards = torch.full((samplers, prompts, group), value, dtype=torch.float64)
    ratios = torch.full((samplers, samplers), ratio, dtype=torch.float64)
    for baseline in BASELINES:
        for learner in range(samplers):
            assert (group_advantages(rewards, baseline(rewards, ratios, learner)) == 0.0).all()


@settings(derandomize=True, deadline=None)
@given(
    rewards=st.lists(st.integers(-100, 100), min_size=6, max_size=6),
    changed=st.integers(-100, 100),
    at=st.integers(0, 5),
)
def test_leave_one_out_ignores_the_own_reward_and_no_other(rewards: list[int], changed: int, at: int) -> None:
    before = f64(rewards).reshape(2, 1, 3)
    after = before.clone()
    after.view(-1)[at] = changed
    baselines = [leave_one_out_baseline(r, RATIOS, 0).flatten() for r in (before, after)]
    same = baselines[0] == baselines[1]  # whole numbers: the sums are exact
    assert same[at]
    if changed != rewards[at]:
        assert same.sum() == 1


def test_pool_of_one_gives_the_plain_group_mean() -> None:
    rewards, alone = f64([[[0.3, 0.1, 0.9], [1.7, 0.2, 0.4]]]), torch.ones(1, 1, dtype=torch.float64)
    for baseline in (capability_aware_baseline, sampler_capability_aware_baseline):
        assert torch.equal(baseline(rewards, alone, 0), group_mean_baseline(rewards, alone, 0))


def test_leading_axes_are_independent() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards = torch.randint(0, 2, (2, 3, 2, 4, 5), generator=generator).double()
    ratios = torch.rand(2, 3, 2, 2, generator=generator, dtype=torch.float64) * 4
    for baseline in BASELINES:
        batched = group_advantages(rewards, baseline(rewards, ratios, 1))
        for a, b in torch.cartesian_prod(torch.arange(2), torch.arange(3)):
            alone = group_advantages(rewards[a, b], baseline(rewards[a, b], ratios[a, b], 1))
            assert torch.equal(batched[a, b], alone)


def test_rewards_without_the_three_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rewards must have shape \(\.\.\., n, P, G\), got \(2, 2\)"):
        group_mean_baseline(torch.zeros(2, 2), RATIOS, 0)


def test_one_rollout_a_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two rollouts a prompt for a sample std, got n·G = 1"):
        group_mean_baseline(torch.zeros(1, 3, 1), torch.ones(1, 1), 0)


def test_ratios_of_another_number_of_agents_are_refused() -> None:
    with pytest.raises(ValueError, match=r"capability_ratios must have shape \(\.\.\., 2, 2\), got \(3, 3\)"):
        capability_aware_baseline(REWARDS, torch.ones(3, 3), 0)


@pytest.mark.parametrize("learner", [-1, 2])
def test_learner_outside_the_pool_is_refused(learner: int) -> None:
    with pytest.raises(ValueError, match=rf"learner must be an index in \[0, 2\), got {learner}"):
        capability_aware_baseline(REWARDS, RATIOS, learner)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_rewards_that_are_not_finite_are_refused(wrong: float) -> None:
    for baseline in BASELINES:
        with pytest.raises(ValueError, match="rewards must be finite, got inf or nan"):
            baseline(f64([[[1, wrong]], [[0, 1]]]), RATIOS, 0)
