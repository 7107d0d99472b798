import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hacrl_lab.capability import (
    CapabilityTracker,
    LaggedCapabilityTracker,
    capability_ratio,
    capability_ratio_matrix,
)
from hacrl_lab.errors import LabError, SettingError

capabilities = st.lists(st.floats(0, 1e3), min_size=1, max_size=5)


def f64(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_ratio_matrix_divides_row_by_column() -> None:
    # ω[k, j] = P̂_k / P̂_j: 3/4 over 1/4 is 3, 3/4 over 1/2 is 3/2, 1/4 over 1/2 is 1/2
    expected = f64([[1, 3, 3 / 2], [1 / 3, 1, 1 / 2], [2 / 3, 2, 1]])
    assert torch.equal(capability_ratio_matrix(f64([0.75, 0.25, 0.5])), expected)


def test_ratio_of_the_stronger_agent_is_above_one() -> None:
    ratios = capability_ratio_matrix(f64([0.75, 0.25]))
    assert capability_ratio(ratios, of=0, relative_to=1) == 3
    assert capability_ratio(ratios, of=1, relative_to=0) == 1 / 3


def test_ratio_is_picked_for_every_leading_index() -> None:
    ratios = capability_ratio_matrix(f64([[0.75, 0.25], [0.25, 0.5]]))
    assert capability_ratio(ratios, of=0, relative_to=1).tolist() == [3, 0.5]


def test_ratios_stay_within_a_tenth_and_ten() -> None:
    # 1 / 0.05 = 20 is too much; 0.5 / 0.0625 = 8 is not
    assert capability_ratio_matrix(f64([1, 0.05])).tolist() == [[1, 10], [0.1, 1]]
    assert capability_ratio_matrix(f64([0.5, 0.0625])).tolist() == [[1, 8], [0.125, 1]]


def test_agents_without_any_success_are_equal() -> None:
    assert capability_ratio_matrix(f64([0, 0])).tolist() == [[1, 1], [1, 1]]


def test_capabilities_below_the_floor_are_equal() -> None:
    # both count as 1e-8; without the floor the ratio would be 4
    assert capability_ratio_matrix(f64([8e-9, 2e-9])).tolist() == [[1, 1], [1, 1]]
    # 4e-8 over the floor of 1e-8, not over 2e-9
    assert capability_ratio_matrix(f64([4e-8, 2e-9]))[0, 1] == 4


def test_agent_without_any_success_has_the_extreme_ratios() -> None:
    assert capability_ratio_matrix(f64([0, 0.5])).tolist() == [[1, 0.1], [10, 1]]


@settings(derandomize=True, deadline=None)
@given(capabilities)
def test_ratios_of_a_pair_are_reciprocal(capability: list[float]) -> None:
    ratios = capability_ratio_matrix(f64(capability))
    product = ratios * ratios.mT
    assert ((product - 1).abs() <= 4 * torch.finfo(torch.float64).eps).all()  # two divisions and one product


@settings(derandomize=True, deadline=None)
@given(capabilities)
def test_ratio_to_oneself_is_exactly_one(capability: list[float]) -> None:
    assert (capability_ratio_matrix(f64(capability)).diagonal() == 1).all()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_capability_that_is_not_finite_is_a_fault_of_the_program(wrong: float) -> None:
    with pytest.raises(ValueError, match="capability must be finite") as raised:
        capability_ratio_matrix(f64([0.5, wrong]))
    assert not isinstance(raised.value, LabError)


def test_rewards_that_are_negative_on_average_are_the_users_to_change() -> None:
    with pytest.raises(SettingError, match=r"^the mean reward must be ≥ 0 for every agent, .*, got -0\.1; add"):
        capability_ratio_matrix(f64([0.5, -0.1]))


def test_capability_is_the_mean_of_the_last_k_steps_with_the_current_one() -> None:
    # K = 2: 0; (0 + 1/2)/2; (1/2 + 1)/2; (1 + 1/4)/2. Without the current step, or with three, every number differs
    tracker = CapabilityTracker(window=2)
    assert [tracker.update(f64([reward])).item() for reward in (0, 0.5, 1, 0.25)] == [0, 0.25, 0.75, 0.625]


def test_capability_is_the_mean_of_the_steps_there_are_before_k() -> None:
    # 1; (1 + 0)/2; (1 + 0 + 1/2)/3, not divided by K = 5
    tracker = CapabilityTracker(window=5)
    assert [tracker.update(f64([reward])).item() for reward in (1, 0, 0.5)] == [1, 0.5, 0.5]


def test_window_of_one_is_the_current_step() -> None:
    tracker = CapabilityTracker(window=1)
    assert [tracker.update(f64([reward])).item() for reward in (0.25, 1, 0)] == [0.25, 1, 0]


def test_agents_and_seeds_are_tracked_apart() -> None:
    tracker = CapabilityTracker(window=2)
    tracker.update(f64([[0, 1], [0.5, 0.25]]))
    assert tracker.update(f64([[1, 1], [0, 0.75]])).tolist() == [[0.5, 1], [0.25, 0.5]]


def test_tracker_keeps_its_own_copy_without_gradient() -> None:
    tracker, rewards = CapabilityTracker(window=2), f64([1.0])
    tracker.update(rewards)
    rewards.zero_()
    capability = tracker.update(f64([0.5]).requires_grad_())
    assert capability.item() == 0.75
    assert not capability.requires_grad


def test_tracker_continues_from_its_state() -> None:
    first, second = CapabilityTracker(window=3), CapabilityTracker(window=3)
    first.update(f64([0.25]))
    second.update(f64([0.0]))  # replaced, not kept beside the loaded history
    second.load_state(first.state())
    assert second.update(f64([0.75])).item() == 0.5  # (1/4 + 3/4)/2


def test_lagged_capability_is_the_mean_of_the_k_steps_before_the_current_one() -> None:
    # K = 2: nothing before; 0; (0 + 1/2)/2; (1/2 + 1)/2; (1 + 1/4)/2. The current step's 3/4 is in none of them
    tracker = LaggedCapabilityTracker(window=2)
    capability = [tracker.update(f64([reward])).item() for reward in (0, 0.5, 1, 0.25, 0.75)]
    assert capability == [1, 0, 0.25, 0.75, 0.625]


def test_lagged_capability_is_the_mean_of_the_steps_there_are_before_k() -> None:
    # 0; (0 + 1/2)/2; (0 + 1/2 + 1)/3, not divided by K = 5 and without the ones of the first step
    tracker = LaggedCapabilityTracker(window=5)
    assert [tracker.update(f64([reward])).item() for reward in (0, 0.5, 1, 0)] == [1, 0, 0.25, 0.5]


def test_lagged_window_of_one_is_the_step_before() -> None:
    tracker = LaggedCapabilityTracker(window=1)
    assert [tracker.update(f64([reward])).item() for reward in (0.25, 0.5, 0)] == [1, 0.25, 0.5]


def test_lagged_capability_does_not_depend_on_the_current_rewards() -> None:
    capability = []
    for current in (0.0, 1.0):
        tracker = LaggedCapabilityTracker(window=3)
        tracker.update(f64([0.25, 0.75]))
        capability.append(tracker.update(f64([current, 1 - current])).tolist())
    assert capability == [[0.25, 0.75]] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_agents_are_equal_in_the_first_lagged_step(dtype: torch.dtype) -> None:
    first = LaggedCapabilityTracker(window=2).update(torch.tensor([[0, 0.5], [0.25, 1]], dtype=dtype))
    assert torch.equal(first, torch.ones(2, 2, dtype=dtype))
    assert first.dtype == dtype
    assert capability_ratio_matrix(first).tolist() == [[[1, 1], [1, 1]]] * 2


def test_agents_and_seeds_are_tracked_apart_with_a_lag() -> None:
    tracker = LaggedCapabilityTracker(window=2)
    tracker.update(f64([[0, 1], [0.5, 0.25]]))
    assert tracker.update(f64([[1, 1], [0, 0.75]])).tolist() == [[0, 1], [0.5, 0.25]]
    assert tracker.update(f64([[9, 9], [9, 9]])).tolist() == [[0.5, 1], [0.25, 0.5]]


def test_lagged_tracker_keeps_its_own_copy_without_gradient() -> None:
    tracker, rewards = LaggedCapabilityTracker(window=2), f64([0.5]).requires_grad_()
    first = tracker.update(rewards)
    with torch.no_grad():
        rewards.zero_()
    second = tracker.update(f64([1.0]))
    assert second.item() == 0.5  # not the 0 that the caller wrote there since
    second.zero_()
    assert tracker.update(f64([0.0])).item() == 0.75  # (1/2 + 1)/2: what was returned is the caller's as well
    assert not first.requires_grad
    assert not second.requires_grad


def test_lagged_tracker_continues_from_its_state() -> None:
    first, second = LaggedCapabilityTracker(window=2), LaggedCapabilityTracker(window=2)
    for reward in (1.0, 0.25, 0.75):
        first.update(f64([reward]))
    second.update(f64([0.0]))  # replaced, not kept beside the loaded history
    second.load_state(first.state())
    # (1/4 + 3/4)/2; (3/4 + 0)/2; (0 + 1/2)/2: the loaded steps leave the window in their turn
    for tracker in (first, second):
        assert [tracker.update(f64([reward])).item() for reward in (0, 0.5, 1)] == [0.5, 0.375, 0.25]


def test_lagged_tracker_without_a_past_continues_without_one() -> None:
    tracker = LaggedCapabilityTracker(window=2)
    tracker.update(f64([0.25]))
    tracker.load_state(LaggedCapabilityTracker(window=2).state())
    assert tracker.update(f64([0.5])).item() == 1


TRACKERS = [CapabilityTracker, LaggedCapabilityTracker]


@pytest.mark.parametrize("kind", TRACKERS)
def test_change_of_shape_is_refused(kind: type[CapabilityTracker]) -> None:
    tracker = kind(window=2)
    tracker.update(f64([0.5, 0.5]))
    with pytest.raises(ValueError, match=r"mean_rewards must keep its shape \(2,\), got \(3,\)"):
        tracker.update(f64([0.5, 0.5, 0.5]))


@pytest.mark.parametrize("kind", TRACKERS)
def test_empty_window_is_refused(kind: type[CapabilityTracker]) -> None:
    with pytest.raises(ValueError, match="window must be at least 1 step, got 0"):
        kind(window=0)
