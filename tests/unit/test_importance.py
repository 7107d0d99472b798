import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from hacrl_lab.errors import LabError
from hacrl_lab.importance import (
    capped_weight,
    clip_ratio,
    exponential_weight,
    hard_clip,
    hard_lower_ppo_upper,
    masked_mean,
    mean_log_prob,
    ppo_clip,
    ppo_clipped,
    ppo_lower_hard_upper,
    ppo_surrogate,
    sequence_importance_ratio,
    stepwise_lower_bound,
    token_importance_ratio,
)


def f64(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def gradient(value: Tensor, of: Tensor) -> list[float]:
    return torch.autograd.grad(value.sum(), of)[0].tolist()


def test_mean_log_prob_is_over_the_responses_tokens() -> None:
    # (−1 − 3)/2 for two tokens, −5/1 for one
    log_probs, mask = f64([[-1, -3, -9], [-5, -7, -9]]), torch.tensor([[True, True, False], [True, False, False]])
    assert mean_log_prob(log_probs, mask).tolist() == [-2, -5]


def test_mean_log_prob_of_no_tokens_is_zero() -> None:
    assert mean_log_prob(f64([-1, -2]), torch.tensor([False, False])) == 0


def test_each_token_has_an_equal_part_of_the_means_gradient() -> None:
    log_probs = f64([-1, -3, -9]).requires_grad_()
    assert gradient(mean_log_prob(log_probs, torch.tensor([True, True, False])), log_probs) == [0.5, 0.5, 0]


@pytest.mark.parametrize("anything", [float("nan"), float("-inf")])
def test_what_stands_outside_the_mask_does_not_matter(anything: float) -> None:
    log_probs, mask = f64([-1, anything]).requires_grad_(), torch.tensor([True, False])
    mean, ratio = mean_log_prob(log_probs, mask), token_importance_ratio(log_probs, f64([-1, anything]), mask)
    assert mean == -1
    assert ratio.tolist() == [1, 1]
    assert gradient(mean, log_probs) == [1, 0]
    assert gradient(ratio, log_probs) == [1, 0]


def test_sequence_ratio_is_learner_over_sampler() -> None:
    # exp(ln 1/2 − ln 1/4) = 2: above 1, the learner likes the response more
    ratio = sequence_importance_ratio(f64(math.log(0.5)), f64(math.log(0.25)))
    assert ratio.item() == pytest.approx(2, rel=1e-15)


def test_token_ratio_is_new_over_old() -> None:
    ratio = token_importance_ratio(f64([0, -1]), f64([-math.log(2), -1]), torch.tensor([True, True]))
    assert ratio.tolist() == pytest.approx([2, 1], rel=1e-15)


def test_exponential_weight_is_the_ratio_to_the_power_alpha() -> None:
    ratios = f64([0.5, 1, 2])
    assert exponential_weight(ratios, 2).tolist() == [0.25, 1, 4]
    assert exponential_weight(ratios, 1).tolist() == [0.5, 1, 2]
    assert exponential_weight(ratios, 0).tolist() == [1, 1, 1]


def test_exponential_weight_is_a_constant_to_autograd() -> None:
    # d(s·sg(s)^α)/ds = s^α; without the stop-gradient it would be (α + 1)·s^α
    ratio = f64([0.5]).requires_grad_()
    assert gradient(ratio * exponential_weight(ratio, 2), ratio) == [0.25]


def test_capped_weight_makes_a_ratio_above_one_count_as_one() -> None:
    # min(s, 1)^(α+1)/s: below 1 it is s^α, above 1 it is 1/s whatever α
    ratios = f64([0.25, 0.5, 1, 2, 4])
    assert capped_weight(ratios, 2).tolist() == [0.0625, 0.25, 1, 0.5, 0.25]
    assert capped_weight(ratios, 1).tolist() == [0.25, 0.5, 1, 0.5, 0.25]
    assert capped_weight(ratios, 0).tolist() == [1, 1, 1, 0.5, 0.25]
    assert (ratios * capped_weight(ratios, 2)).tolist() == [0.015625, 0.125, 1, 1, 1]


def test_capped_weight_is_a_constant_to_autograd() -> None:
    # d(s·sg(w))/ds = w = min(s, 1)³/s; without the stop-gradient it would be 3s² below 1 and 0 above
    ratio = f64([0.5, 1, 2, 4]).requires_grad_()
    weight = capped_weight(ratio, 2)
    assert not weight.requires_grad
    assert gradient(ratio * weight, ratio) == [0.25, 1, 0.5, 0.25]


def test_capped_ratio_has_the_gradient_of_its_value_per_log_ratio() -> None:
    # d(s·w)/d log s = s·w = min(s, 1)^(α+1): 1/2 and 1/4 below 1, 1 from there on, where a clip at 1 gives 0
    for alpha, below in ((0, 0.5), (1, 0.25)):
        log_ratio = f64([math.log(0.5), 0, math.log(2), math.log(16)]).requires_grad_()
        ratio = log_ratio.exp()
        slope = gradient(ratio * capped_weight(ratio, alpha), log_ratio)
        assert slope == pytest.approx([below, 1, 1, 1], rel=1e-15)


def test_lower_bound_tightens_with_every_minibatch_and_stops_at_one() -> None:
    # 1 − 1/4 + m/8
    assert [stepwise_lower_bound(0.25, 0.125, m) for m in range(4)] == [0.75, 0.875, 1, 1]


def test_delta_is_the_width_of_the_bound() -> None:
    # decision 1: the published lower bound 0.9 is δ = 0.1
    assert stepwise_lower_bound(0.1, 0, 7) == 0.9
    assert stepwise_lower_bound(1, 0, 0) == 0


def test_clip_is_constant_outside_and_the_identity_inside() -> None:
    ratio = f64([0.5, 0.75, 1, 1.5, 2]).requires_grad_()
    clipped = clip_ratio(ratio, 0.75, 1.5)
    assert clipped.tolist() == [0.75, 0.75, 1, 1.5, 1.5]
    assert gradient(clipped, ratio) == [0, 1, 1, 1, 0]  # the ends belong to the inside


def test_ppos_surrogate_is_the_smaller_of_both_products() -> None:
    # bounds [3/4, 3/2]. A = 2: min(1, 1.5), min(2, 2), min(4, 3). A = −2: min(−1, −1.5), min(−2, −2), min(−4, −3)
    ratio = f64([[0.5, 1, 2], [0.5, 1, 2]]).requires_grad_()
    surrogate = ppo_surrogate(ratio, f64([[2], [-2]]), 0.75, 1.5)
    assert surrogate.tolist() == [[1, 2, 3], [-1.5, -2, -4]]
    # only the constant branches lose their gradient A: too high a ratio of a good one, too low a ratio of a bad one
    assert gradient(surrogate, ratio) == [[2, 2, 0], [0, -2, -2]]


def test_clipped_says_where_ppos_surrogate_is_constant() -> None:
    ratio = f64([0.5, 0.75, 1, 1.5, 2])
    assert ppo_clipped(ratio, f64(2), 0.75, 1.5).tolist() == [False, False, False, False, True]
    assert ppo_clipped(ratio, f64(-2), 0.75, 1.5).tolist() == [True, False, False, False, False]
    assert ppo_clipped(ratio, f64(0), 0.75, 1.5).tolist() == [False] * 5


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"alpha must be ≥ 0, got -0\.5"):
        exponential_weight(f64(1), -0.5)
    with pytest.raises(ValueError, match=r"delta must be in \[0, 1\], got 1\.5"):
        stepwise_lower_bound(1.5, 0, 0)
    with pytest.raises(ValueError, match=r"delta must be in \[0, 1\], got -0\.1"):
        stepwise_lower_bound(-0.1, 0, 0)
    with pytest.raises(ValueError, match=r"delta_step must be ≥ 0, got -0\.1"):
        stepwise_lower_bound(0.2, -0.1, 0)
    with pytest.raises(ValueError, match="minibatch_index must be ≥ 0, got -1"):
        stepwise_lower_bound(0.2, 0.1, -1)
    with pytest.raises(ValueError, match=r"low must be ≤ high, got \[2, 1\]"):
        clip_ratio(f64(1), 2, 1)


PLANTED = f64([[[-1, -2], [-3, -4]], [[-1, -2], [-3, -4]]])  # (n, P, G) = (2, 2, 2)


@pytest.mark.parametrize(
    "function", [ppo_surrogate, ppo_clipped, hard_clip, ppo_clip, ppo_lower_hard_upper, hard_lower_ppo_upper]
)
def test_advantages_without_the_samplers_axis_are_refused(function: Callable[..., Tensor]) -> None:
    """(P, G) would be broadcast to all samplers, and (P, G, 1) to other axes than were meant."""
    message = r"advantages must have the axes of ratio, \(2, 2, 2\), got \(2, 2\)"
    with pytest.raises(ValueError, match=message) as caught:
        function(PLANTED, PLANTED[0], 0.8, 1.2)
    assert not isinstance(caught.value, LabError)
    with pytest.raises(ValueError, match="advantages must have the axes of ratio"):
        function(PLANTED, f64([1, 2, 3]).reshape(3, 1, 1), 0.8, 1.2)
    function(PLANTED, PLANTED[:, :1], 0.8, 1.2)  # an axis of 1 says what it means


def test_ratios_of_other_axes_are_refused() -> None:
    message = r"sampler_mean_log_prob must have the axes of learner_mean_log_prob, \(2, 2, 2\), got \(2, 2\)"
    with pytest.raises(ValueError, match=message):
        sequence_importance_ratio(PLANTED, PLANTED[0])
    message = r"old_log_probs must have the axes of log_probs, \(2, 2, 2\), got \(2, 2\)"
    with pytest.raises(ValueError, match=message):
        token_importance_ratio(PLANTED, PLANTED[0], torch.ones(2, 2, 2) > 0)


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 1), (1, 2, 2), (1,), (3,)])
def test_a_mask_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    mask = torch.ones(shape, dtype=torch.bool)
    for function in (masked_mean, mean_log_prob, partial(token_importance_ratio, PLANTED)):
        with pytest.raises(ValueError, match=r"mask must have shape \(2, 2, 2\)"):
            function(PLANTED, mask)


def test_one_mask_may_hold_for_all_rows() -> None:
    assert masked_mean(PLANTED, torch.tensor([True, False])).tolist() == [[-1, -3], [-1, -3]]
