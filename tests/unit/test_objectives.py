import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hacrl_lab.importance import capped_weight
from hacrl_lab.methods import METHODS, Method, get_method
from hacrl_lab.objectives import (
    Objective,
    ObjectiveInputs,
    ObjectiveSettings,
    ObjectiveValue,
    capability_coefficient,
    grpo_objective,
    gspo_objective,
    hacpo_objective,
    kl_to_reference,
    lower_bound_only,
    no_bounds,
    penalised,
    stepwise_bounds,
    unit_coefficient,
)

# self rollouts in [3/4, 3/2], cross rollouts in [3/4 + m/8, 1], α = 2: exact in binary
SETTINGS = ObjectiveSettings(epsilon_low=0.25, epsilon_high=0.5, alpha=2.0, delta=0.25, delta_step=0.125)
METHODS_TO_CHECK = [*METHODS.values(), get_method("hacpo_alpha2")]
FIELDS = ("value", "importance_ratio", "clip_fraction")


def f64(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def one_token_inputs(
    ratios: Any, advantages: Any, capability_ratios: Any, learner: int = 0, m: int = 0
) -> ObjectiveInputs:
    """Responses of one token with the importance ratios s of shape (n, P, G): log π = ln s against a sampler's 0."""
    s = f64(ratios)
    return ObjectiveInputs(
        log_probs=s.log().unsqueeze(-1).requires_grad_(),
        mask=torch.ones(*s.shape, 1, dtype=torch.bool),
        old_log_probs=torch.zeros(*s.shape[1:], 1, dtype=torch.float64),
        sampler_mean_log_probs=torch.zeros_like(s),
        advantages=f64(advantages),
        capability_ratios=f64(capability_ratios),
        learner=learner,
        minibatch_index=m,
    )


def gradient(objective: Objective, inputs: ObjectiveInputs, settings: ObjectiveSettings = SETTINGS) -> Tensor:
    """dJ/d log π of every token."""
    return torch.autograd.grad(objective(inputs, settings).value.sum(), inputs.log_probs)[0]


def close(actual: Tensor, expected: Any) -> None:
    """Equal but for the rounding of exp(ln s) and a few products."""
    torch.testing.assert_close(actual, f64(expected), rtol=2e-15, atol=0)


# ----- GRPO


def grpo_example() -> ObjectiveInputs:
    """Two responses of two tokens and one: token ratios 2, 1/2 with A = 1 and 5/4 with A = −1."""
    return replace(
        one_token_inputs([[[1, 1]]], [[[1, -1]]], [[1]]),
        log_probs=f64([[[[2, 0.5], [1.25, 9]]]]).log().requires_grad_(),
        mask=torch.tensor([[[[True, True], [True, False]]]]),
        old_log_probs=torch.zeros(1, 2, 2, dtype=torch.float64),
        sampler_mean_log_probs=f64([[[-3, -4]]]),  # the sequence ratio has no part in it
    )


def test_grpo_averages_tokens_then_group() -> None:
    # response 0: min(2, 3/2) = 3/2 and 1/2, mean 1; response 1: −5/4 over its only token; (1 − 5/4)/2
    result = grpo_objective(grpo_example(), SETTINGS)
    close(result.value, -0.125)
    close(result.importance_ratio, [(2 + 0.5 + 1.25) / 3])  # mean over tokens
    close(result.clip_fraction, [1 / 3])


def test_grpo_gradient_is_ratio_times_advantage_over_length_and_group() -> None:
    # token (0, 0) is clipped; r·A/(|y|·G): (1/2)·1/(2·2), (5/4)·(−1)/(1·2); the last is not a token
    close(gradient(grpo_objective, grpo_example()), [[[[0, 0.125], [-0.625, 0]]]])


def test_grpo_measures_against_the_learners_old_policy() -> None:
    # old probabilities 1/2 make r = π/(1/2): with π = 1/2 it is 1
    inputs = one_token_inputs([[[0.5, 0.5]]], [[[1, 3]]], [[1]])
    inputs = replace(inputs, old_log_probs=torch.full((1, 2, 1), math.log(0.5), dtype=torch.float64))
    close(grpo_objective(inputs, SETTINGS).value, (1 + 3) / 2)


def test_grpo_averages_over_prompts() -> None:
    close(grpo_objective(one_token_inputs([[[1, 1], [1, 1]]], [[[1, 1], [3, 5]]], [[1]]), SETTINGS).value, (1 + 4) / 2)


def test_grpo_refuses_rollouts_of_others() -> None:
    inputs = one_token_inputs([[[1, 1]], [[1, 1]]], [[[1, -1]], [[1, -1]]], [[1, 1], [1, 1]])
    with pytest.raises(ValueError, match="GRPO learns from its own rollouts only, got a pool of 2 samplers"):
        grpo_objective(inputs, SETTINGS)


# ----- GSPO and Naive


def test_gspo_takes_the_smaller_product_of_sequence_ratios() -> None:
    # A = 1: min(2, 3/2); A = −1: min(−1/2, −3/4); A = 4: min(1, 3) = 1; A = −1: min(−2, −3/2) = −2
    inputs = one_token_inputs([[[2, 0.5, 0.25, 2]]], [[[1, -1, 4, -1]]], [[1]])
    result = gspo_objective(inputs, SETTINGS)
    close(result.value, (1.5 - 0.75 + 1 - 2) / 4)
    close(result.importance_ratio, [(2 + 0.5 + 0.25 + 2) / 4])
    assert result.clip_fraction.tolist() == [0.5]
    # ds/d log π = s: 0, 0, (1/4)·4/4, 2·(−1)/4
    close(gradient(gspo_objective, inputs), [[[[0], [0], [0.25], [-0.5]]]])


def test_sequence_ratio_is_normalised_by_length() -> None:
    # mean of ln 4 and 0 is ln 2, so s = 2 (clipped, for A = −1 not); the token ratios 4 and 1 do not appear
    inputs = replace(
        one_token_inputs([[[1, 1]]], [[[-1, 1]]], [[1]]),
        log_probs=f64([[[[4, 1], [1, 77]]]]).log().requires_grad_(),
        mask=torch.tensor([[[[True, True], [True, False]]]]),
    )
    close(gspo_objective(inputs, SETTINGS).value, (-2 + 1) / 2)
    close(gradient(gspo_objective, inputs), [[[[-0.5, -0.5], [0.5, 0]]]])  # s·A/(|y|·G)


def test_naive_sums_samplers_and_clips_all_of_them_alike() -> None:
    # sampler 0: (3/2 + 1)/2, sampler 1: (1·2 − 3/4)/2; summed, not averaged, and no ω
    inputs = one_token_inputs([[[2, 1]], [[1, 0.5]]], [[[1, 1]], [[2, -1]]], [[1, 4], [0.25, 1]])
    result = METHODS["naive"].objective(inputs, SETTINGS)
    close(result.value, 1.25 + 0.625)
    assert result.clip_fraction.tolist() == [0.5, 0.5]
    close(result.importance_ratio, [1.5, 0.75])


# ----- HACPO


def hacpo_example(learner: int = 0) -> ObjectiveInputs:
    """Own ratios 2 and 1/2, the other's 7/8 and 2; ω[other, learner] = 1/4."""
    order = [learner, 1 - learner]
    ratios, advantages = ([[2, 0.5]], [[0.875, 2]]), ([[1, -1]], [[2, -1]])
    omega = [[1, 4], [0.25, 1]] if learner == 0 else [[1, 0.25], [4, 1]]
    return one_token_inputs([ratios[i] for i in order], [advantages[i] for i in order], omega, learner)


@pytest.mark.parametrize("learner", [0, 1])
def test_hacpo_adds_weighted_cross_rollouts_to_gspo(learner: int) -> None:
    # own: (3/2 − 3/4)/2. Cross: c = 7/8 and 1 (from 2), c·c²·ω·A = (7/8)³·(1/4)·2 and 1·(1/4)·(−1), mean over G = 2
    result = hacpo_objective(hacpo_example(learner), SETTINGS)
    close(result.value, 0.375 + (0.875**3 * 0.5 - 0.25) / 2)
    own, cross = learner, 1 - learner
    assert result.clip_fraction[own] == 1  # too high with A > 0, too low with A < 0
    assert result.clip_fraction[cross] == 0.5  # 2 is above 1 whatever its advantage
    close(result.importance_ratio[own], 1.25)
    close(result.importance_ratio[cross], (0.875 + 2) / 2)


def test_with_ppos_clip_cross_rollouts_have_a_gradient_where_the_clip_makes_them_look_worse() -> None:
    # bounds [3/4, 1], ω = 1, α = 2: below them a right answer contributes s·s^α·A = (1/2)³·A/G and a wrong one nothing;
    # above them a wrong answer contributes s·s^α·A = −2³/G and a right one nothing
    omega = [[1, 1], [1, 1]]
    advantages = [[[0, 0, 0, 0]], [[1, -1, 1, -1]]]
    inputs = one_token_inputs([[[1, 1, 1, 1]], [[0.5, 0.5, 2, 2]]], advantages, omega)
    objective = METHODS["hacpo_ppo_clip"].objective
    close(gradient(objective, inputs)[1, 0, :, 0], [0.5**3 / 4, 0, 0, -(2**3) / 4])
    assert objective(inputs, SETTINGS).clip_fraction[1] == 0.5


@pytest.mark.parametrize(("method", "contributing"), [("hacpo_ppo_lower_alpha0", 0), ("hacpo_ppo_upper_alpha0", 3)])
def test_each_half_of_ppos_clip_lets_one_kind_of_rollout_contribute(method: str, contributing: int) -> None:
    # the example above: a right answer below the bounds, a wrong one below, a right one above, a wrong one above
    advantages = [[[0, 0, 0, 0]], [[1, -1, 1, -1]]]
    inputs = one_token_inputs([[[1, 1, 1, 1]], [[0.5, 0.5, 2, 2]]], advantages, [[1, 1], [1, 1]])
    only = [0.0] * 4
    only[contributing] = (0.5 / 4, 0, 0, -2 / 4)[contributing]  # s·A/G
    one = METHODS[method]
    settings = one.settings(SETTINGS)
    close(gradient(one.objective, inputs, settings)[1, 0, :, 0], only)
    assert one.objective(inputs, settings).clip_fraction[1] == 0.75


@pytest.mark.parametrize("method", ["naive", "hacpo", "hacpo_ppo_clip", "naive_hard_clip"])
def test_a_rollout_without_advantage_is_never_counted_as_clipped(method: str) -> None:
    advantages = [[[0, 0, 1, -1]], [[0, 0, 0, 0]]]
    inputs = one_token_inputs([[[0.1, 9, 1, 1]], [[0.1, 9, 0.1, 9]]], advantages, [[1, 1], [1, 1]])
    assert METHODS[method].objective(inputs, SETTINGS).clip_fraction.tolist() == [0, 0]


def test_cross_gradient_inside_the_bounds_treats_the_weight_as_constant() -> None:
    # c·sg(c)^α·ω·A/(G·P) with P = 1, G = 2 at c = 7/8; differentiating the weight too would triple it
    close(gradient(hacpo_objective, hacpo_example())[1, 0, 0], [0.875 * 0.875**2 * 0.25 * 2 / 2])


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_cross_gradient_outside_the_bounds_is_zero_on_both_sides(advantage: float) -> None:
    # bounds [3/4, 1]: 1/2 and 2 are outside, 7/8 is not
    omega = [[1, 1], [1, 1]]
    inputs = one_token_inputs([[[1, 1, 1]], [[0.5, 2, 0.875]]], [[[0, 0, 0]], [[advantage] * 3]], omega)
    cross = gradient(hacpo_objective, inputs)[1, 0, :, 0]
    assert cross[:2].tolist() == [0, 0]
    close(cross[2], 0.875**3 * advantage / 3)


def test_clipped_cross_rollouts_still_count_in_the_value() -> None:
    # 1/2 is clipped to 3/4, and its weight is of the clipped ratio: (3/4)·(3/4)²
    inputs = one_token_inputs([[[1, 1]], [[0.5, 0.5]]], [[[0, 0]], [[1, 1]]], [[1, 1], [1, 1]])
    close(hacpo_objective(inputs, SETTINGS).value, 0.75**3)


def test_cross_gradient_is_shared_by_the_tokens_of_the_learner() -> None:
    # two tokens with mean ln 7/8: each has half of 7/8·(7/8)²·A; the third is masked
    inputs = replace(
        one_token_inputs([[[1]], [[1]]], [[[0]], [[1]]], [[1, 1], [1, 1]]),
        log_probs=f64([[[[1, 1, 1]]], [[[0.875**2, 1, 5]]]]).log().requires_grad_(),
        mask=torch.tensor([[[[True, True, True]]], [[[True, True, False]]]]),
    )
    close(gradient(hacpo_objective, inputs)[1, 0, 0], [0.875**3 / 2, 0.875**3 / 2, 0])


def test_samplers_are_summed() -> None:
    # all s = 1: own mean 1, plus ω[1, 0] = 1/2 times 2, plus ω[2, 0] = 4 times 3
    omega = [[1, 2, 0.25], [0.5, 1, 0.125], [4, 8, 1]]
    advantages = [[[1, 1]], [[2, 2]], [[3, 3]]]
    inputs = one_token_inputs([[[1, 1]]] * 3, advantages, omega)
    close(hacpo_objective(inputs, SETTINGS).value, 1 + 0.5 * 2 + 4 * 3)
    # learner 1 in the middle: own mean 2, plus ω[0, 1] = 2 times 1, plus ω[2, 1] = 8 times 3
    close(hacpo_objective(replace(inputs, learner=1), SETTINGS).value, 2 + 2 * 1 + 8 * 3)


def test_prompts_are_averaged() -> None:
    # prompt 0: own 1 + cross 2; prompt 1: own 3 + cross 4
    inputs = one_token_inputs([[[1], [1]], [[1], [1]]], [[[1], [3]], [[2], [4]]], [[1, 1], [1, 1]])
    close(hacpo_objective(inputs, SETTINGS).value, (3 + 7) / 2)


def test_coefficient_is_the_samplers_capability_relative_to_the_learner() -> None:
    inputs = one_token_inputs([[[1]], [[1]]], [[[1]], [[1]]], [[1, 4], [0.25, 1]])
    assert capability_coefficient(inputs).tolist() == [1, 0.25]
    assert capability_coefficient(replace(inputs, learner=1)).tolist() == [4, 1]
    assert unit_coefficient(inputs).tolist() == [1, 1]


def test_bounds_tighten_with_the_minibatch_index() -> None:
    inputs = hacpo_example()
    assert stepwise_bounds(replace(inputs, minibatch_index=0), SETTINGS) == (0.75, 1)
    assert stepwise_bounds(replace(inputs, minibatch_index=1), SETTINGS) == (0.875, 1)
    assert no_bounds(inputs, SETTINGS) == (0, math.inf)


def test_lower_bound_alone_tightens_the_same_way_and_stops_at_one() -> None:
    # 1 − 1/4 + m/8
    bounds = [lower_bound_only(replace(hacpo_example(), minibatch_index=m), SETTINGS) for m in range(4)]
    assert bounds == [(0.75, math.inf), (0.875, math.inf), (1, math.inf), (1, math.inf)]


def cross_gradient(method: Method, ratio: float, m: int) -> float:
    """dJ/d log π of a cross rollout with A = 1 and ω = 1/4, alone with an own rollout that does not count."""
    inputs = one_token_inputs([[[1]], [[ratio]]], [[[0]], [[1]]], [[1, 4], [0.25, 1]], m=m)
    return gradient(method.objective, inputs, method.settings(SETTINGS))[1].item()


def test_stepwise_bound_stops_a_ratio_that_it_let_pass_before() -> None:
    # 0.8 is above 3/4 but below 3/4 + 1/8
    assert cross_gradient(METHODS["hacpo"], 0.8, m=0) == pytest.approx(0.8**3 / 4, rel=2e-15)
    assert cross_gradient(METHODS["hacpo"], 0.8, m=1) == 0


def test_ablation_without_steps_keeps_the_bound() -> None:
    assert cross_gradient(METHODS["hacpo_no_stepwise"], 0.8, m=5) == pytest.approx(0.8**3 / 4, rel=2e-15)
    assert cross_gradient(METHODS["hacpo_no_stepwise"], 0.7, m=0) == 0


def test_ablation_without_clip_gives_every_ratio_a_gradient() -> None:
    for ratio in (0.5, 2.0):
        assert cross_gradient(METHODS["hacpo_no_clip"], ratio, m=0) == pytest.approx(ratio**3 / 4, rel=2e-15)


def test_ablation_without_omega_weighs_samplers_alike() -> None:
    assert cross_gradient(METHODS["hacpo_no_omega"], 0.875, m=0) == pytest.approx(0.875**3, rel=2e-15)


def test_alpha_of_the_name_is_the_exponent() -> None:
    for alpha in (0, 1, 3):
        gradient_ = cross_gradient(get_method(f"hacpo_alpha{alpha}"), 0.875, m=0)
        assert gradient_ == pytest.approx(0.875 ** (alpha + 1) / 4, rel=2e-15)


# ----- HACPO with capped cross weights


def capped_objective(inputs: ObjectiveInputs, settings: ObjectiveSettings) -> ObjectiveValue:
    return hacpo_objective(inputs, settings, cross_bounds=lower_bound_only, cross_weight=capped_weight)


CAPPED = [capped_objective, METHODS["hacpo_capped"].objective, METHODS["hacpo_lagged_loo_capped"].objective]


def capped_example(learner: int = 0) -> ObjectiveInputs:
    """Own ratios 2, 1/2, 1, 1, the other's below the bound, inside and above 1 twice; ω[other, learner] = 1/4."""
    order = [learner, 1 - learner]
    ratios, advantages = ([[2, 0.5, 1, 1]], [[0.5, 0.875, 2, 4]]), ([[1, -1, 0, 3]], [[3, 2, -1, 5]])
    omega = [[1, 4], [0.25, 1]] if learner == 0 else [[1, 0.25], [4, 1]]
    return one_token_inputs([ratios[i] for i in order], [advantages[i] for i in order], omega, learner)


@pytest.mark.parametrize("objective", CAPPED)
@pytest.mark.parametrize("learner", [0, 1])
def test_capped_objective_counts_ratios_above_one_as_one(objective: Objective, learner: int) -> None:
    # own, as in GSPO: (3/2 − 3/4 + 0 + 3)/4
    # cross: min(c, 1)³·ω·A with c = 3/4 (from 1/2), 7/8, 2 and 4, ω = 1/4, mean over G = 4
    result = objective(capped_example(learner), SETTINGS)
    close(result.value, 3.75 / 4 + (0.75**3 * 3 + 0.875**3 * 2 - 1 + 5) / 4 / 4)
    own, cross = learner, 1 - learner
    assert result.clip_fraction[own] == 0.5  # too high with A > 0, too low with A < 0
    assert result.clip_fraction[cross] == 0.25  # 1/2 is below 3/4; 2 and 4 have a gradient
    close(result.importance_ratio[own], (2 + 0.5 + 1 + 1) / 4)
    close(result.importance_ratio[cross], (0.5 + 0.875 + 2 + 4) / 4)  # as they are, not capped


@pytest.mark.parametrize("objective", CAPPED)
@pytest.mark.parametrize("learner", [0, 1])
def test_capped_cross_gradient_is_zero_only_below_the_bound(objective: Objective, learner: int) -> None:
    # min(s, 1)³·ω·A/(G·P) with P = 1, G = 4: 0 for 1/2, (7/8)³·2/16, then 1·(−1)/16 and 1·5/16, at 4 as much as at 2
    result = gradient(objective, capped_example(learner))[..., 0]
    close(result[1 - learner, 0], [0, 0.875**3 / 8, -1 / 16, 5 / 16])
    close(result[learner, 0], [0, 0, 0, 3 / 4])  # s·A/G of the only own rollout that is not clipped and has A ≠ 0


@pytest.mark.parametrize("name", ["hacpo_capped", "hacpo_lagged_loo_capped"])
def test_capped_gradient_above_one_never_closes_and_below_the_bound_does(name: str) -> None:
    # bounds 3/4, 7/8 and 1 for m = 0, 1 and 5; ω = 1/4
    for m in (0, 1, 5):
        for ratio in (1.0, 1.5, 8.0):
            assert cross_gradient(METHODS[name], ratio, m) == pytest.approx(1 / 4, rel=2e-15)
            # what HACPO does there: a ratio of exactly 1 has a gradient, one above 1 has none
            assert cross_gradient(METHODS["hacpo"], ratio, m) == (0.25 if ratio == 1 else 0)
    assert cross_gradient(METHODS[name], 0.8, m=0) == pytest.approx(0.8**3 / 4, rel=2e-15)
    assert cross_gradient(METHODS[name], 0.8, m=1) == 0
    assert cross_gradient(METHODS[name], 0.99, m=5) == 0


def test_capped_gradient_takes_alpha_from_the_settings() -> None:
    for alpha in (0.0, 1.0, 3.0):
        method = replace(METHODS["hacpo_capped"], overrides={"alpha": alpha})
        assert cross_gradient(method, 0.875, m=0) == pytest.approx(0.875 ** (alpha + 1) / 4, rel=2e-15)
        assert cross_gradient(method, 2.0, m=0) == pytest.approx(1 / 4, rel=2e-15)


def test_cross_weight_is_made_of_the_clipped_ratios_and_alpha() -> None:
    # c = 7/8 and 1 (from 2); a weight of 16 for both: c·16·ω·A = 7/8·16·(1/4)·2 and 16·(1/4)·(−1), mean over G = 2
    seen: list[tuple[Tensor, float]] = []

    def sixteen(ratio: Tensor, alpha: float) -> Tensor:
        seen.append((ratio.detach(), alpha))
        return torch.full_like(ratio, 16)

    result = hacpo_objective(hacpo_example(), SETTINGS, cross_weight=sixteen)
    close(result.value, 0.375 + (7 - 4) / 2)
    ((ratio, alpha),) = seen  # the learner's own rollouts have no such weight
    close(ratio, [[[0.875, 1]]])
    assert alpha == 2


# ----- Properties of every objective


def random_inputs(
    seed: int, leading: tuple[int, ...], sizes: tuple[int, int, int, int], dtype: torch.dtype, m: int = 1
) -> ObjectiveInputs:
    """Inputs with ratios around 1 of sizes (n, P, G, T); the last agent learns."""
    n, prompts, group, tokens = sizes
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*leading, *shape, generator=generator, dtype=dtype)

    log_probs = -normal(n, prompts, group, tokens).abs()
    mask = torch.rand(log_probs.shape, generator=generator) < 0.7
    mask[..., 0] = True
    means = torch.where(mask, log_probs, 0).sum(-1) / mask.sum(-1)
    return ObjectiveInputs(
        log_probs=log_probs.requires_grad_(),
        mask=mask,
        old_log_probs=log_probs.detach()[..., n - 1, :, :, :] + 0.3 * normal(prompts, group, tokens),
        sampler_mean_log_probs=means.detach() + 0.3 * normal(n, prompts, group),
        advantages=normal(n, prompts, group),
        capability_ratios=normal(n, n).exp(),
        learner=n - 1,
        minibatch_index=m,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hacpo_with_one_agent_is_gspo_to_the_last_bit(dtype: torch.dtype) -> None:
    shapes = [((), (1, 1, 2, 1)), ((), (1, 4, 8, 5)), ((3,), (1, 3, 16, 7)), ((2, 3), (1, 5, 4, 3))]
    for seed, (leading, sizes) in itertools.product(range(20), shapes):
        inputs = random_inputs(seed, leading, sizes, dtype)
        hacpo, gspo = hacpo_objective(inputs, SETTINGS), gspo_objective(inputs, SETTINGS)
        assert all(torch.equal(getattr(hacpo, field), getattr(gspo, field)) for field in FIELDS)
        assert torch.equal(gradient(hacpo_objective, inputs), gradient(gspo_objective, inputs))


def at_index(inputs: ObjectiveInputs, index: tuple[int, ...]) -> ObjectiveInputs:
    tensors = {name: value[index].detach() for name, value in vars(inputs).items() if isinstance(value, Tensor)}
    tensors["log_probs"].requires_grad_()
    return replace(inputs, **tensors)


@pytest.mark.parametrize("method", METHODS_TO_CHECK, ids=lambda method: method.name)
def test_leading_axes_are_independent(method: Method) -> None:
    inputs = random_inputs(0, (2, 3), (3 if method.shares else 1, 4, 8, 5), torch.float32)
    settings = method.settings(SETTINGS)
    batched, batched_gradient = method.objective(inputs, settings), gradient(method.objective, inputs, settings)
    assert batched.value.shape == (2, 3)
    for index in itertools.product(range(2), range(3)):
        alone = method.objective(at_index(inputs, index), settings)
        assert all(torch.equal(getattr(batched, field)[index], getattr(alone, field)) for field in FIELDS)
        alone_gradient = gradient(method.objective, at_index(inputs, index), settings)
        assert torch.equal(batched_gradient[index], alone_gradient)


@pytest.mark.parametrize("method", METHODS_TO_CHECK, ids=lambda method: method.name)
def test_what_stands_outside_the_mask_does_not_matter(method: Method) -> None:
    inputs = random_inputs(1, (), (2 if method.shares else 1, 2, 3, 4), torch.float64)
    spoilt = inputs.log_probs.detach().masked_fill(~inputs.mask, float("nan")).requires_grad_()
    settings = method.settings(SETTINGS)
    clean_gradient = gradient(method.objective, inputs, settings)
    spoilt_inputs = replace(inputs, log_probs=spoilt)
    assert torch.equal(method.objective(spoilt_inputs, settings).value, method.objective(inputs, settings).value)
    assert torch.equal(gradient(method.objective, spoilt_inputs, settings), clean_gradient)
    assert (clean_gradient[~inputs.mask] == 0).all()


def test_monitored_numbers_carry_no_gradient() -> None:
    for method in METHODS_TO_CHECK:
        result = method.objective(random_inputs(2, (), (2 if method.shares else 1, 2, 3, 4), torch.float64), SETTINGS)
        assert not result.importance_ratio.requires_grad
        assert not result.clip_fraction.requires_grad


# ----- Autograd against finite differences of the definition, written down here once more without the library

# Ratios s (samplers, prompts, group) on every side of every bound below, none within 0.02 of one.
FD_RATIOS = np.array([[[0.6, 0.9, 1.3], [0.8, 0.95, 2.0]], [[1.7, 0.9, 0.5], [0.6, 1.1, 1.8]]])
FD_ADVANTAGES = np.array([[[1.0, -0.7, 0.5], [0.9, 1.2, -1.1]], [[0.8, 0.4, -1.3], [0.6, -0.9, -0.5]]])
FD_OMEGA = np.array([[1.0, 1.6], [0.625, 1.0]])
FD_MASK = np.array([[[[1, 1, 1], [1, 1, 0], [1, 0, 0]], [[1, 1, 0], [1, 1, 1], [1, 1, 1]]]] * 2, dtype=bool)
FD_LOG_PROBS = -np.linspace(0.1, 2.3, 36).reshape(2, 2, 3, 3)
FD_LOW, FD_HIGH, FD_CROSS_LOW = 0.75, 1.5, 0.875  # self bounds; cross bound 1 − 1/4 + 1·(1/8)

Surrogate = Callable[[np.ndarray], float]


def masked_means(log_probs: np.ndarray) -> np.ndarray:
    return np.where(FD_MASK[-len(log_probs) :], log_probs, 0).sum(-1) / FD_MASK[-len(log_probs) :].sum(-1)


def ppo_minimum(ratio: np.ndarray, advantages: np.ndarray) -> np.ndarray:
    return np.minimum(ratio * advantages, np.clip(ratio, FD_LOW, FD_HIGH) * advantages)


def gspo_surrogate(samplers: np.ndarray, advantages: np.ndarray) -> Surrogate:
    return lambda lp: ppo_minimum(np.exp(masked_means(lp) - samplers), advantages).mean(-1).sum(0).mean()


def grpo_surrogate(old: np.ndarray, advantages: np.ndarray) -> Surrogate:
    mask = FD_MASK[-1:]

    def value(lp: np.ndarray) -> float:
        terms = ppo_minimum(np.exp(lp - old), advantages[..., None])
        return (np.where(mask, terms, 0).sum(-1) / mask.sum(-1)).mean()

    return value


def hacpo_surrogate(samplers: np.ndarray, alpha: float, low: float, high: float, omega: float) -> Surrogate:
    """Learner 1 of two; the weight sg(c)^α stays what it is at the starting point."""
    frozen = np.clip(FD_RATIOS[0], low, high) ** alpha

    def value(lp: np.ndarray) -> float:
        cross, own = np.exp(masked_means(lp) - samplers)
        terms = np.clip(cross, low, high) * frozen * omega * FD_ADVANTAGES[0]
        return (ppo_minimum(own, FD_ADVANTAGES[1]).mean(-1) + terms.mean(-1)).mean()

    return value


def capped_surrogate(samplers: np.ndarray, alpha: float, low: float, omega: float) -> Surrogate:
    """Learner 1 of two; a constant below the bound, else the ratio times the weight that it has at the start."""
    frozen = np.minimum(FD_RATIOS[0], 1) ** (alpha + 1) / FD_RATIOS[0]

    def value(lp: np.ndarray) -> float:
        cross, own = np.exp(masked_means(lp) - samplers)
        counted = np.where(cross < low, low ** (alpha + 1), cross * frozen)
        terms = counted * omega * FD_ADVANTAGES[0]
        return (ppo_minimum(own, FD_ADVANTAGES[1]).mean(-1) + terms.mean(-1)).mean()

    return value


def hard_clip_surrogate(samplers: np.ndarray, low: float, high: float) -> Surrogate:
    """Learner 1 of two; own rollouts with PPO's clip, the other's with a hard clip, no weight."""

    def value(lp: np.ndarray) -> float:
        cross, own = np.exp(masked_means(lp) - samplers)
        terms = np.clip(cross, low, high) * FD_ADVANTAGES[0]
        return (ppo_minimum(own, FD_ADVANTAGES[1]).mean(-1) + terms.mean(-1)).mean()

    return value


def ppo_clip_surrogate(samplers: np.ndarray, alpha: float, low: float, omega: float) -> Surrogate:
    """Learner 1 of two; min(s·A, clip(s)·A) times the weight that the ratio which counts has at the start."""
    binding = np.where(FD_ADVANTAGES[0] > 0, FD_RATIOS[0] > 1, FD_RATIOS[0] < low)
    frozen = np.where(binding, np.clip(FD_RATIOS[0], low, 1), FD_RATIOS[0]) ** alpha

    def value(lp: np.ndarray) -> float:
        cross, own = np.exp(masked_means(lp) - samplers)
        terms = np.minimum(cross * FD_ADVANTAGES[0], np.clip(cross, low, 1) * FD_ADVANTAGES[0]) * frozen * omega
        return (ppo_minimum(own, FD_ADVANTAGES[1]).mean(-1) + terms.mean(-1)).mean()

    return value


def one_hard_bound_surrogate(samplers: np.ndarray, low: float, omega: float, below: bool) -> Surrogate:
    """Learner 1 of two; without the lower bound for A > 0, or else without the upper one for A < 0; no weight."""
    lower, upper = np.full_like(FD_RATIOS[0], low), np.ones_like(FD_RATIOS[0])
    if below:
        lower[FD_ADVANTAGES[0] > 0] = 0
    else:
        upper[FD_ADVANTAGES[0] < 0] = np.inf

    def value(lp: np.ndarray) -> float:
        cross, own = np.exp(masked_means(lp) - samplers)
        terms = np.clip(cross, lower, upper) * FD_ADVANTAGES[0] * omega
        return (ppo_minimum(own, FD_ADVANTAGES[1]).mean(-1) + terms.mean(-1)).mean()

    return value


def finite_difference(surrogate: Surrogate, at: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Central differences: an error of h² from the third derivative and 1e-16/h from rounding, both below 1e-10."""
    result = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = h
        result[index] = (surrogate(at + step) - surrogate(at - step)) / (2 * h)
    return result


def fd_surrogates() -> dict[str, Surrogate]:
    samplers = masked_means(FD_LOG_PROBS) - np.log(FD_RATIOS)
    alone = gspo_surrogate(samplers[1:], FD_ADVANTAGES[1:])
    omega = FD_OMEGA[0, 1]  # ω[sampler, learner]
    hacpo = hacpo_surrogate(samplers, 1, FD_CROSS_LOW, 1, omega)
    capped = capped_surrogate(samplers, 1, FD_CROSS_LOW, omega)
    return {
        "grpo": grpo_surrogate(fd_old_log_probs(), FD_ADVANTAGES[1:]),
        "gspo": alone,
        "gspo_x2": alone,
        "shares_nothing": alone,
        "shares_nothing_released": alone,
        "naive": gspo_surrogate(samplers, FD_ADVANTAGES),
        "hacpo": hacpo,
        "hacpo_released": hacpo,
        "hacpo_no_advantage": hacpo,
        "hacpo_no_omega": hacpo_surrogate(samplers, 1, FD_CROSS_LOW, 1, 1),
        "hacpo_no_stepwise": hacpo_surrogate(samplers, 1, 0.75, 1, omega),
        "hacpo_no_clip": hacpo_surrogate(samplers, 1, 0, np.inf, omega),
        "hacpo_alpha2": hacpo_surrogate(samplers, 2, FD_CROSS_LOW, 1, omega),
        "hacpo_lagged": hacpo,
        "hacpo_loo": hacpo,
        "hacpo_calibrated": hacpo,
        "hacpo_capped": capped,
        "hacpo_lagged_loo_capped": capped,
        "hacpo_ppo_clip": ppo_clip_surrogate(samplers, 1, FD_CROSS_LOW, omega),
        "hacpo_ppo_clip_alpha0": ppo_clip_surrogate(samplers, 0, FD_CROSS_LOW, omega),
        "hacpo_ppo_lower_alpha0": one_hard_bound_surrogate(samplers, FD_CROSS_LOW, omega, below=True),
        "hacpo_ppo_upper_alpha0": one_hard_bound_surrogate(samplers, FD_CROSS_LOW, omega, below=False),
        "naive_hard_clip": hard_clip_surrogate(samplers, 1 - SETTINGS.epsilon_low, 1 + SETTINGS.epsilon_high),
    }


def fd_old_log_probs() -> np.ndarray:
    """GRPO: the token ratios are the sequence ratios of the table above, each token's a little different."""
    return FD_LOG_PROBS[1] - np.log(FD_RATIOS[1])[..., None] - np.array([0, 0.03, -0.03])


@pytest.mark.parametrize("method", METHODS_TO_CHECK, ids=lambda method: method.name)
def test_gradient_is_that_of_the_definition_with_a_constant_weight(method: Method) -> None:
    pool = slice(0, 2) if method.shares else slice(1, 2)
    log_probs = FD_LOG_PROBS[pool]
    inputs = ObjectiveInputs(
        log_probs=f64(log_probs).requires_grad_(),
        mask=torch.from_numpy(FD_MASK[pool]),
        old_log_probs=f64(fd_old_log_probs()),
        sampler_mean_log_probs=f64(masked_means(FD_LOG_PROBS) - np.log(FD_RATIOS))[pool],
        advantages=f64(FD_ADVANTAGES)[pool],
        capability_ratios=f64(FD_OMEGA)[pool, pool],
        learner=1 if method.shares else 0,
        minibatch_index=1,
    )
    settings = replace(SETTINGS, alpha=1.0)
    if not method.name.endswith("released"):  # which fixes the numbers of all bounds; they are tested with the methods
        settings = method.settings(settings)
    surrogate = fd_surrogates()[method.name]
    assert method.objective(inputs, settings).value.item() == pytest.approx(surrogate(log_probs), rel=1e-14)
    numeric = finite_difference(surrogate, log_probs)
    np.testing.assert_allclose(gradient(method.objective, inputs, settings).numpy(), numeric, rtol=0, atol=1e-10)


# ----- KL penalty


def kl_example() -> ObjectiveInputs:
    """Two samplers; the learner's own two responses have ratios π_ref/π of 2 and 1/2, and of 4."""
    inputs = one_token_inputs([[[1, 1]], [[1, 1]]], [[[1, -1]], [[1, -1]]], [[1, 1], [1, 1]], learner=1)
    reference = f64([[[2, 0.5], [4, 9]]]).log()  # (P, G, T)
    return replace(
        inputs,
        log_probs=torch.zeros(2, 1, 2, 2, dtype=torch.float64).requires_grad_(),
        mask=torch.tensor([[True, True], [True, False]]).expand(2, 1, 2, 2),
        old_log_probs=torch.zeros(1, 2, 2, dtype=torch.float64),
        reference_log_probs=reference,
    )


def test_kl_is_averaged_over_own_tokens_then_rollouts() -> None:
    # e^r − 1 − r: 1 − ln 2 and −1/2 + ln 2, mean 1/4; 3 − ln 4; then the mean of both responses
    expected = (0.25 + 3 - math.log(4)) / 2
    assert kl_to_reference(kl_example()).item() == pytest.approx(expected, rel=1e-15)


def test_the_penalty_is_subtracted_and_pulls_own_rollouts_only_towards_the_reference() -> None:
    inputs, settings = kl_example(), replace(SETTINGS, kl_weight=0.5)
    free, bound = hacpo_objective(inputs, settings), penalised(hacpo_objective, inputs, settings)
    assert (free.value - bound.value).item() == pytest.approx(0.5 * kl_to_reference(inputs).item(), rel=1e-15)
    (with_it,) = torch.autograd.grad(bound.value, inputs.log_probs)
    difference = with_it - gradient(hacpo_objective, inputs, settings)
    assert not difference[0].any()
    # −β·d/dlogπ (e^r − 1 − r) = β·(e^r − 1) for r = ln 2, −ln 2 and ln 4, over 2 rollouts of 2, 2 and 1 tokens
    close(difference[1], [[[0.5 * 1 / 4, 0.5 * -0.5 / 4], [0.5 * 3 / 2, 0]]])


def test_without_a_reference_nothing_is_subtracted_and_its_kl_is_refused() -> None:
    inputs = replace(kl_example(), reference_log_probs=None)
    settings = replace(SETTINGS, kl_weight=0.5)
    assert penalised(hacpo_objective, inputs, settings).value == hacpo_objective(inputs, settings).value
    with pytest.raises(ValueError, match="needs reference_log_probs, got None"):
        kl_to_reference(inputs)


def test_a_reference_of_all_samplers_is_refused() -> None:
    """(n, P, G, T) would be broadcast against the learner's (P, G, T)."""
    inputs = kl_example()
    with pytest.raises(ValueError, match=r"reference_log_probs must have shape \(1, 2, 2\) as own log_probs, got"):
        kl_to_reference(replace(inputs, reference_log_probs=torch.zeros(2, 1, 2, 2, dtype=torch.float64)))


# ----- Advantage mass


def test_mass_is_summed_by_sign_and_what_is_clipped_is_not_kept() -> None:
    # cross bounds [3/4, 1]: A = 2 at s = 1/2 and A = −1 at s = 2 are clipped, A = 1 at s = 3/4 and A = −3 at s = 1 not
    inputs = one_token_inputs([[[1] * 4], [[0.5, 2, 0.75, 1]]], [[[1, -1, 0, 0]], [[2, -1, 1, -3]]], [[1, 1], [1, 1]])
    value = hacpo_objective(inputs, SETTINGS)
    assert value.advantage_mass.tolist() == [[1, 1], [3, 4]]
    assert value.kept_mass.tolist() == [[1, 1], [1, 3]]
    # PPO's clip, [3/4, 3/2], gives right answers below it their gradient, and wrong ones above it
    assert gspo_objective(inputs, SETTINGS).kept_mass.tolist() == [[1, 1], [3, 4]]


def test_grpo_keeps_the_mass_of_tokens() -> None:
    # A = 1 with token ratios 2 (above 3/2: clipped) and 1/2, A = −1 with 5/4
    value = grpo_objective(grpo_example(), SETTINGS)
    assert (value.advantage_mass.tolist(), value.kept_mass.tolist()) == ([[1, 1]], [[0.5, 1]])


# ----- Errors


@pytest.mark.parametrize("name", ["epsilon_low", "epsilon_high", "alpha", "delta", "delta_step", "kl_weight"])
@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_impossible_settings_are_refused(name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be a number ≥ 0, got {wrong}"):
        replace(SETTINGS, **{name: wrong})


def test_bounds_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match=r"delta and epsilon_low must be ≤ 1, got 1\.5 and 0\.25"):
        replace(SETTINGS, delta=1.5)
    with pytest.raises(ValueError, match=r"delta and epsilon_low must be ≤ 1, got 0\.25 and 1\.5"):
        replace(SETTINGS, epsilon_low=1.5)


@pytest.mark.parametrize("name", ["log_probs", "mask"])
def test_token_arrays_of_other_rollouts_are_refused(name: str) -> None:
    inputs = hacpo_example()  # n = 2, P = 1, G = 2
    with pytest.raises(ValueError, match=rf"{name} must have shape \(\.\.\., 2, 1, 2, T\), got \(2, 1, 3, 1\)"):
        replace(inputs, **{name: torch.zeros(2, 1, 3, 1)})


def test_sampler_log_probs_of_other_rollouts_are_refused() -> None:
    message = r"sampler_mean_log_probs must have shape \(\.\.\., 2, 1, 2\), got \(1, 2\)"
    with pytest.raises(ValueError, match=message):
        replace(hacpo_example(), sampler_mean_log_probs=torch.zeros(1, 2))


def test_ratios_of_another_number_of_agents_are_refused() -> None:
    with pytest.raises(ValueError, match=r"capability_ratios must have shape \(\.\.\., 2, 2\), got \(2, 3\)"):
        replace(hacpo_example(), capability_ratios=torch.ones(2, 3))


@pytest.mark.parametrize("learner", [-1, 2])
def test_learner_outside_the_pool_is_refused(learner: int) -> None:
    with pytest.raises(ValueError, match=rf"learner must be an index in \[0, 2\), got {learner}"):
        replace(hacpo_example(), learner=learner)
