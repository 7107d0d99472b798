import math
import re
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hacrl_lab.advantages import (
    Baseline,
    calibrated_baseline,
    calibrated_mean,
    capability_aware_baseline,
    capability_aware_mean,
    group_advantages,
    group_mean_baseline,
    leave_one_out_baseline,
    leave_one_out_capability_baseline,
    leave_one_out_capability_mean,
    sampler_capability_aware_baseline,
)
from hacrl_lab.errors import LabError

BASELINES: tuple[Baseline, ...] = (
    group_mean_baseline,
    leave_one_out_baseline,
    capability_aware_baseline,
    sampler_capability_aware_baseline,
    leave_one_out_capability_baseline,
    calibrated_baseline,
)


def f64(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# Two samplers, one prompt, two rollouts each; agent 1 is twice as able: ω[0, 1] = 1/2, ω[1, 0] = 2.
REWARDS = f64([[[3, 1]], [[2, 6]]])
RATIOS = f64([[1, 0.5], [2, 1]])

# The same agents' rewards where leaving one out makes a difference, for a group of two and one of three. Brought to a
# learner's scale and averaged over the samplers, member by member:
#                               learner 0                                learner 1 (twice as much)
#   PAIRS       (3 + 2/2)/2 = 2, (1 + 8/2)/2 = 5/2                       4, 5
#   TRIPLES     (3 + 2/2)/2 = 2, (1 + 4/2)/2 = 3/2, (2 + 18/2)/2 = 11/2  4, 3, 11
PAIRS = f64([[[3, 1]], [[2, 8]]])
TRIPLES = f64([[[3, 1, 2]], [[2, 4, 18]]])


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


@pytest.mark.parametrize("baseline", [capability_aware_mean, capability_aware_baseline])
def test_capability_aware_mean_is_over_the_members_of_everyone(baseline: Baseline) -> None:
    # (2 + 5/2)/2 and (2 + 3/2 + 11/2)/3; twice as much for learner 1
    assert baseline(PAIRS, RATIOS, 0).tolist() == [[[2.25]]]
    assert baseline(PAIRS, RATIOS, 1).tolist() == [[[4.5]]]
    assert baseline(TRIPLES, RATIOS, 0).tolist() == [[[3]]]
    assert baseline(TRIPLES, RATIOS, 1).tolist() == [[[6]]]


@pytest.mark.parametrize("baseline", [leave_one_out_capability_mean, leave_one_out_capability_baseline])
def test_leave_one_out_capability_mean_is_over_the_other_members_of_everyone(baseline: Baseline) -> None:
    # the other member's 5/2 and 2; the other two's (3/2 + 11/2)/2, (2 + 11/2)/2, (2 + 3/2)/2; learner 1 twice as much
    assert baseline(PAIRS, RATIOS, 0).tolist() == [[[2.5, 2]]]
    assert baseline(PAIRS, RATIOS, 1).tolist() == [[[5, 4]]]
    assert baseline(TRIPLES, RATIOS, 0).tolist() == [[[3.5, 3.75, 1.75]]]
    assert baseline(TRIPLES, RATIOS, 1).tolist() == [[[7, 7.5, 3.5]]]


@pytest.mark.parametrize("baseline", [calibrated_mean, calibrated_baseline])
def test_calibrated_mean_has_a_ratio_of_the_prompts_own(baseline: Baseline) -> None:
    # PAIRS: the agents' means are 2 and 5. Learner 0: ω_p[0, 1] = (2/5 + 1/2)/2 = 9/20, so (2 + 9/20·5)/2 = 17/8;
    # learner 1: ω_p[1, 0] = (5/2 + 2)/2 = 9/4, so (9/4·2 + 5)/2 = 19/4
    assert baseline(PAIRS, RATIOS, 0).tolist() == [[[2.125]]]
    assert baseline(PAIRS, RATIOS, 1).tolist() == [[[4.75]]]
    # TRIPLES: means 2 and 8. ω_p[0, 1] = (2/8 + 1/2)/2 = 3/8: (2 + 3/8·8)/2; ω_p[1, 0] = (8/2 + 2)/2 = 3: (3·2 + 8)/2
    assert baseline(TRIPLES, RATIOS, 0).tolist() == [[[2.5]]]
    assert baseline(TRIPLES, RATIOS, 1).tolist() == [[[7]]]


@pytest.mark.parametrize("baseline", [calibrated_mean, calibrated_baseline])
def test_own_weight_is_that_of_the_learners_own_mean(baseline: Callable[..., Tensor]) -> None:
    # a quarter of the own mean, 2 and 5 or 2 and 8, and three quarters of Eq. 7's, 9/4 and 9/2 or 3 and 6
    assert baseline(PAIRS, RATIOS, 0, own_weight=0.25).tolist() == [[[2 / 4 + 9 / 4 * 3 / 4]]]
    assert baseline(PAIRS, RATIOS, 1, own_weight=0.25).tolist() == [[[5 / 4 + 9 / 2 * 3 / 4]]]
    assert baseline(TRIPLES, RATIOS, 0, own_weight=0.25).tolist() == [[[2 / 4 + 3 * 3 / 4]]]
    assert baseline(TRIPLES, RATIOS, 1, own_weight=0.25).tolist() == [[[8 / 4 + 6 * 3 / 4]]]


@pytest.mark.parametrize("baseline", [calibrated_mean, calibrated_baseline])
def test_own_weight_of_zero_is_the_capability_aware_mean_and_of_one_the_own_mean(
    baseline: Callable[..., Tensor],
) -> None:
    means = ((PAIRS, 0, 2.25, 2), (PAIRS, 1, 4.5, 5), (TRIPLES, 0, 3, 2), (TRIPLES, 1, 6, 8))
    for rewards, learner, shared, own in means:
        assert baseline(rewards, RATIOS, learner, own_weight=0).tolist() == [[[shared]]]
        assert baseline(rewards, RATIOS, learner, own_weight=1).tolist() == [[[own]]]


def test_calibrated_mean_is_finite_where_another_agent_has_no_reward() -> None:
    # ω_p[0, 1] would be 2/0. Learner 0: half of 2 and half of (2 + 0)/2; learner 1: half of 0 and half of (2·2 + 0)/2
    rewards = f64([[[3, 1]], [[0, 0]]])
    assert calibrated_mean(rewards, RATIOS, 0).tolist() == [[[1.5]]]
    assert calibrated_mean(rewards, RATIOS, 1).tolist() == [[[1]]]


def test_prompts_have_baselines_of_their_own() -> None:
    # the second prompt's rewards are ten times the first's
    rewards = torch.cat([REWARDS, 10 * REWARDS], dim=-2)
    assert capability_aware_baseline(rewards, RATIOS, 0).tolist() == [[[2], [20]]]
    assert sampler_capability_aware_baseline(rewards, RATIOS, 0).tolist() == [[[2], [20]], [[4], [40]]]
    rewards = torch.cat([PAIRS, 10 * PAIRS], dim=-2)
    assert capability_aware_mean(rewards, RATIOS, 0).tolist() == [[[2.25], [22.5]]]
    assert leave_one_out_capability_mean(rewards, RATIOS, 0).tolist() == [[[2.5, 2], [25, 20]]]
    assert calibrated_mean(rewards, RATIOS, 0).tolist() == [[[2.125], [21.25]]]


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


def test_the_other_means_of_binary_rewards_may_be_above_one() -> None:
    # the learner 1 of the test above, without decision 4: member by member (4·1 + 1)/2 and (4·1 + 0)/2
    rewards, ratios = f64([[[1, 1]], [[1, 0]]]), f64([[1, 0.25], [4, 1]])
    assert capability_aware_mean(rewards, ratios, 1).tolist() == [[[2.25]]]
    for loo in (leave_one_out_capability_mean, leave_one_out_capability_baseline):
        assert loo(rewards, ratios, 1).tolist() == [[[2, 2.5]]]
    for calibrated in (calibrated_mean, calibrated_baseline):
        assert calibrated(rewards, ratios, 1).tolist() == [[[1.375]]]  # (1/2 + 9/4)/2


def test_binary_baseline_of_exactly_one_stays() -> None:
    # (1 + 0 + 3/2 + 3/2)/4 = 1, while the learner's own mean is 1/2
    rewards, ratios = f64([[[1, 0]], [[1, 1]]]), f64([[1, 1.5], [2 / 3, 1]])
    assert capability_aware_baseline(rewards, ratios, 0).tolist() == [[[1]]]


def test_baseline_above_one_stays_for_rewards_above_one() -> None:
    # prompt 0 is in [0, 1]: (1 + 0 + 4 + 4)/4 > 1, so 1/2; prompt 1 is not: (2 + 0 + 8 + 8)/4 = 4.5
    rewards, ratios = f64([[[1, 0], [2, 0]], [[1, 1], [2, 2]]]), f64([[1, 4], [0.25, 1]])
    assert capability_aware_baseline(rewards, ratios, 0).tolist() == [[[0.5], [4.5]]]


def test_graded_rewards_in_the_unit_interval_have_the_same_guard() -> None:
    # (1/4 + 0 + 4·(1 + 1/2))/4 > 1, so the learner's own mean, 1/8
    ratios = f64([[1, 4], [0.25, 1]])
    assert capability_aware_baseline(f64([[[0.25, 0]], [[1, 0.5]]]), ratios, 0).tolist() == [[[0.125]]]


@pytest.mark.parametrize("reward", [1.5, -0.5])
def test_one_reward_outside_the_unit_interval_switches_the_guard_off(reward: float) -> None:
    # (1 + 0 + 4·(1 + r))/4 although the learner's own rewards are 0 and 1; 2.75, or below 1 for r = -1/2: 0.75
    ratios = f64([[1, 4], [0.25, 1]])
    mean = capability_aware_baseline(f64([[[1, 0]], [[1, reward]]]), ratios, 0).item()
    assert mean == (1 + 4 * (1 + reward)) / 4


def test_capability_invents_no_signal_where_all_rewards_are_equal() -> None:
    # without decision 5 the baseline would be (1 + 1 + 1/2 + 1/2)/4 = 3/4
    assert capability_aware_baseline(torch.ones(2, 1, 2), RATIOS.float(), 0).tolist() == [[[1]]]
    assert leave_one_out_capability_baseline(torch.ones(2, 1, 2), RATIOS.float(), 0).tolist() == [[[1, 1]]]
    assert calibrated_baseline(torch.ones(2, 1, 2), RATIOS.float(), 0).tolist() == [[[1]]]


def test_means_of_equal_rewards_are_those_of_any_rewards() -> None:
    # without decision 5: member by member (1 + 1/2)/2 = 3/4; calibrated (1 + 3/4)/2
    rewards = torch.ones(2, 1, 2)
    assert capability_aware_mean(rewards, RATIOS.float(), 0).tolist() == [[[0.75]]]
    assert leave_one_out_capability_mean(rewards, RATIOS.float(), 0).tolist() == [[[0.75, 0.75]]]
    assert calibrated_mean(rewards, RATIOS.float(), 0).tolist() == [[[0.875]]]


def test_equal_rewards_of_one_prompt_leave_the_others_alone() -> None:
    # prompt 1: (0 + 1 + 1/2)/4; its members 0 and (1 + 1/2)/2, each the other's baseline; (1/2 + 3/8)/2
    rewards = f64([[[1, 1], [0, 1]], [[1, 1], [0, 1]]])
    assert capability_aware_baseline(rewards, RATIOS, 0).tolist() == [[[1], [0.375]]]
    assert leave_one_out_capability_baseline(rewards, RATIOS, 0).tolist() == [[[1, 1], [0.75, 0]]]
    assert calibrated_baseline(rewards, RATIOS, 0).tolist() == [[[1], [0.4375]]]


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


@settings(derandomize=True, deadline=None)
@given(
    rewards=st.lists(st.integers(-100, 100), min_size=6, max_size=6),
    changed=st.lists(st.integers(-100, 100), min_size=2, max_size=2),
    member=st.integers(0, 2),
    learner=st.integers(0, 1),
)
def test_leave_one_out_capability_mean_ignores_the_member_of_every_sampler(
    rewards: list[int], changed: list[int], member: int, learner: int
) -> None:
    before = f64(rewards).reshape(2, 1, 3)
    after = before.clone()
    after[:, 0, member] = f64(changed)
    means = [leave_one_out_capability_mean(r, RATIOS, learner).flatten() for r in (before, after)]
    same = means[0] == means[1]  # whole numbers and halves: the sums are exact
    assert same[member]
    # the others' means move by ω[k, ·]·Δ/(n(G − 1)), which is 0 only if the changes of the samplers cancel
    moved = RATIOS[learner] @ (after - before)[:, 0, member] / 4
    others = [i for i in range(3) if i != member]
    assert torch.equal((means[1] - means[0])[others], moved.expand(2))


def test_pool_of_one_gives_the_single_agent_baselines() -> None:
    rewards, alone = f64([[[0.3, 0.1, 0.9], [1.7, 0.2, 0.4]]]), torch.ones(1, 1, dtype=torch.float64)
    for baseline in (capability_aware_baseline, sampler_capability_aware_baseline, calibrated_baseline):
        assert torch.equal(baseline(rewards, alone, 0), group_mean_baseline(rewards, alone, 0))
    expected = leave_one_out_baseline(rewards, alone, 0)
    assert torch.equal(leave_one_out_capability_baseline(rewards, alone, 0), expected)


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


@pytest.mark.parametrize("baseline", [leave_one_out_capability_mean, leave_one_out_capability_baseline])
def test_leaving_one_out_of_a_group_of_one_is_refused(baseline: Baseline) -> None:
    with pytest.raises(ValueError, match="group_size must be ≥ 2 with a leave-one-out baseline, got 1"):
        baseline(f64([[[1]], [[0]]]), RATIOS, 0)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("baseline", [calibrated_mean, calibrated_baseline])
def test_own_weight_outside_zero_and_one_is_refused(baseline: Callable[..., Tensor], wrong: float) -> None:
    with pytest.raises(ValueError, match=rf"own_weight must be in \[0, 1\], got {wrong}"):
        baseline(REWARDS, RATIOS, 0, own_weight=wrong)


def test_ratios_of_another_number_of_agents_are_refused() -> None:
    for baseline in BASELINES:
        with pytest.raises(ValueError, match=r"capability_ratios must have shape \(\.\.\., 2, 2\), got \(3, 3\)"):
            baseline(REWARDS, torch.ones(3, 3), 0)


@pytest.mark.parametrize("learner", [-1, 2])
def test_learner_outside_the_pool_is_refused(learner: int) -> None:
    for baseline in (capability_aware_mean, capability_aware_baseline, leave_one_out_capability_mean, calibrated_mean):
        with pytest.raises(ValueError, match=rf"learner must be an index in \[0, 2\), got {learner}"):
            baseline(REWARDS, RATIOS, learner)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_rewards_that_are_not_finite_are_refused(wrong: float) -> None:
    for baseline in BASELINES:
        with pytest.raises(ValueError, match="rewards must be finite, got inf or nan"):
            baseline(f64([[[1, wrong]], [[0, 1]]]), RATIOS, 0)


@pytest.mark.parametrize("shape", [(3, 4), (1, 4), (3, 1), (3,), (1, 4, 3), (2, 1, 3)])
def test_a_baseline_that_does_not_say_whose_it_is_is_refused(shape: tuple[int, ...]) -> None:
    """(P, G) and (P, 1) would be broadcast to all samplers; a transposed one to other axes than were meant."""
    message = (
        rf"baseline must be a number or have shape \(\.\.\., 2, 3, 4\) with any of these 1, got {re.escape(str(shape))}"
    )
    with pytest.raises(ValueError, match=message) as caught:
        group_advantages(torch.rand(2, 3, 4), torch.zeros(shape))
    assert not isinstance(caught.value, LabError)


@pytest.mark.parametrize("shape", [(), (1, 3, 1), (2, 3, 4), (2, 1, 1), (1, 1, 1), (5, 1, 3, 1)])
def test_a_baseline_with_the_three_axes_is_taken(shape: tuple[int, ...]) -> None:
    assert group_advantages(torch.rand(2, 3, 4), torch.zeros(shape)).shape[-3:] == (2, 3, 4)


def test_advantages_of_rewards_without_the_three_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rewards must have shape \(\.\.\., n, P, G\), got \(3, 4\)"):
        group_advantages(torch.rand(3, 4), torch.tensor(0.5))
