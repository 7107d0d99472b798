"""The law of long answers: which cross rollouts pass the clip, by length, style distance and skill deficit."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from drawing import assert_close, assert_mean_is, f64, many, some
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from torch import Tensor

from hacrl_lab.importance import mean_log_prob, stepwise_lower_bound
from hacrl_lab.objectives import ObjectiveInputs, ObjectiveSettings, hacpo_objective
from hacrl_lab.theory.passing import (
    CrossAnswers,
    StyleDistance,
    crossing_length,
    open_updates,
    passes,
    smallest_weight,
    token_budget,
    width_for,
)
from hacrl_lab.theory.passing_chance import (
    above_one_limit,
    below_bound_limit,
    exact_pass_probability,
    mean_weight_limits,
    pass_probability,
    style_deficit_law,
    style_distance,
)

BERRY_ESSEEN = 0.4748
ROUNDING = 1e-9
BUDGET = token_budget(0.2)

deltas = st.floats(0.05, 0.95)
alphas = st.sampled_from([0.0, 1.0, 3.0])
skill_deficits = st.floats(-2, 8)


def cross_weights(learner: Tensor, sampler: Tensor, settings: ObjectiveSettings, updates: int = 0) -> Tensor:
    """s^(1+α) where a cross rollout passes and 0 where not, from the gradient of the objective that trains.

    Token log-probabilities (B, L) of B answers on either side, which may have different numbers of tokens.
    """
    log_probs = learner.expand(2, 1, *learner.shape).clone().requires_grad_()
    answers = len(learner)
    sampler_means = mean_log_prob(sampler, torch.ones_like(sampler, dtype=torch.bool))
    inputs = ObjectiveInputs(
        log_probs=log_probs,
        mask=torch.ones_like(log_probs, dtype=torch.bool),
        old_log_probs=learner.unsqueeze(0),
        sampler_mean_log_probs=sampler_means.expand(2, 1, answers),
        advantages=torch.ones(2, 1, answers, dtype=torch.float64),
        capability_ratios=torch.ones(2, 2, dtype=torch.float64),
        learner=0,
        minibatch_index=updates,
    )
    gradient = torch.autograd.grad(hacpo_objective(inputs, settings).value, log_probs)[0]
    return gradient[1, 0].sum(-1) * answers  # the objective is a mean over answers, log s one over tokens


def settings_of(delta: float, delta_step: float = 0.0, alpha: float = 1.0) -> ObjectiveSettings:
    return ObjectiveSettings(alpha=alpha, delta=delta, delta_step=delta_step)


@dataclass(frozen=True)
class Case:
    """Answers whose style tokens are drawn from one row, and the exact law of their deficit."""

    sampler: Tensor
    learner: Tensor
    answers: CrossAnswers

    @property
    def law(self) -> tuple[Tensor, Tensor]:
        values, probabilities = style_deficit_law(self.sampler, self.learner, int(self.answers.style_tokens))
        return values + self.answers.skill_deficit, probabilities

    def chance(self, condition: Tensor) -> Tensor:
        return self.law[1][condition].sum()

    def passing(self, budget: float) -> Tensor:
        return self.chance(passes(self.law[0], self.answers.length, budget))


def case(sampler: Tensor, learner: Tensor, length: int, decisive: int, skill_deficit: float) -> Case:
    style = style_distance(sampler.unsqueeze(0), learner.unsqueeze(0))
    return Case(sampler, learner, CrossAnswers(length, decisive, skill_deficit, style))


def row(*probabilities: float) -> Tensor:
    return f64(probabilities).log()


@st.composite
def rows(draw: st.DrawFn, count: int, tokens: int) -> Tensor:
    """Log-probabilities (count, tokens), logits in quarters from −2 to 2."""
    quarters = draw(hnp.arrays(np.int64, (count, tokens), elements=st.integers(-8, 8)))
    return torch.log_softmax(torch.from_numpy(quarters).double() / 4, -1)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Different styles over two or three tokens, up to twenty style tokens."""
    both = draw(rows(2, draw(st.sampled_from((2, 3)))))
    assume(not torch.equal(both[0], both[1]))
    style_tokens, decisive = draw(st.integers(1, 20)), draw(st.integers(0, 3))
    return case(both[0], both[1], style_tokens + decisive, decisive, draw(skill_deficits))


# 1. which rollouts pass


@many
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 12)), elements=st.floats(-0.3, 0.6)),
    st.floats(-4, -0.7),
    deltas,
    st.floats(0, 0.1),
    st.integers(0, 5),
)
def test_a_cross_rollout_has_a_gradient_iff_its_deficit_is_within_the_budget(
    deficits: np.ndarray, sampler: float, delta: float, delta_step: float, updates: int
) -> None:
    by_token = torch.from_numpy(deficits)
    deficit, length, budget = by_token.sum(-1), deficits.shape[-1], token_budget(delta, delta_step, updates)
    assume(bool((deficit.abs() > ROUNDING).all()) and bool(((deficit - budget * length).abs() > ROUNDING).all()))
    sampler_tokens = torch.full_like(by_token, sampler)
    weights = cross_weights(sampler_tokens - by_token, sampler_tokens, settings_of(delta, delta_step), updates)
    assert (weights != 0).tolist() == passes(deficit, length, budget).tolist()


def test_both_ends_of_the_budget_pass() -> None:
    # δ = ½: λ = ln 2. Two tokens with deficits (0, 0) and (2·ln 2, 0): s = 1 and s = ½ exactly; just outside it, no
    budget = token_budget(0.5)
    assert budget == math.log(2)
    for total, inside in ((0.0, True), (2 * budget, True), (-1e-14, False), (2 * budget + 1e-14, False)):
        learner, sampler = f64([[-total, 0]]), f64([[0, 0]])
        assert bool(cross_weights(learner, sampler, settings_of(0.5)) != 0) is inside
        assert bool(passes(f64(total), 2, budget)) is inside


def test_a_lower_bound_of_zero_is_an_infinite_budget() -> None:
    assert token_budget(1.0) == math.inf
    assert passes(f64([-1, 0, 1e6]), 3, math.inf).tolist() == [False, True, True]
    assert float(crossing_length(math.inf, 0.5, 1e6, 2)) == 2


# 2. the length from which right answers pass on average


@many
@given(deltas, st.floats(0, 1.5), skill_deficits, st.integers(0, 4), st.integers(0, 200))
def test_right_answers_pass_in_the_mean_from_the_crossing_length_on(
    delta: float, kappa: float, skill: float, decisive: int, style_tokens: int
) -> None:
    budget, length = token_budget(delta), decisive + style_tokens
    assume(length > 0 and abs(kappa - budget) > 1e-3)
    spare = budget * length - style_tokens * kappa - skill
    assume(abs(spare) > ROUNDING)
    crossing = float(crossing_length(budget, kappa, skill, decisive))
    if kappa < budget:
        assert (spare > 0) == (length >= crossing)
    elif skill > budget * decisive:
        assert crossing == math.inf
        assert spare < 0
    else:
        assert crossing == decisive
        assert (spare > 0) == (style_tokens <= (budget * decisive - skill) / (kappa - budget))


@many
@given(st.floats(0, 0.2), st.integers(0, 4), st.floats(0.01, 8))
def test_the_crossing_length_is_what_the_decisive_tokens_overdraw_over_what_a_style_token_saves(
    kappa: float, decisive: int, overdrawn: float
) -> None:
    skill = BUDGET * decisive + overdrawn
    crossing = crossing_length(BUDGET, kappa, skill, decisive)
    assert_close(crossing, (skill - decisive * kappa) / (BUDGET - kappa), 1e-10)
    assert_close(crossing, decisive + overdrawn / (BUDGET - kappa), 1e-10)


def test_the_crossing_length_by_hand() -> None:
    # λ = ½, c = 2: the decisive tokens have 1 nat of their own. D = 4 overdraws 3; κ = ¼ saves ¼ a token: 12 tokens
    crossing = crossing_length(0.5, f64([0.25, 0.25, 0.25, 0.5, 0.5, 0.75]), f64([4, 1, -2, 1, 1.5, 1]), 2)
    assert crossing.tolist() == [14, 2, 2, 2, math.inf, 2]


@many
@given(deltas, st.floats(0.01, 0.1), st.floats(0, 1.5), st.floats(5, 50))
def test_it_grows_within_a_step_and_is_finite_in_the_open_updates_only(
    delta: float, delta_step: float, kappa: float, skill: float
) -> None:
    lengths = [float(crossing_length(token_budget(delta, delta_step, m), kappa, skill, 1)) for m in range(100)]
    finite = [length for length in lengths if length < math.inf]
    assert len(finite) == open_updates(kappa, delta, delta_step)
    assert lengths[: len(finite)] == sorted(set(finite))
    assert all(1 - delta + m * delta_step < math.exp(-kappa) + ROUNDING for m in range(len(finite)))


def test_without_a_step_all_updates_are_open_or_none() -> None:
    assert open_updates(0.2, delta=0.2, delta_step=0) == math.inf
    assert open_updates(0.25, delta=0.2, delta_step=0) == 0
    assert open_updates(0.25, delta=0.2, delta_step=0.1) == 0


# 3 and 4. chances of falling below the lower bound, of rising above 1


@many
@given(cases(), deltas)
def test_the_chance_of_the_wrong_side_of_the_lower_bound_is_limited(example: Case, delta: float) -> None:
    budget, answers = token_budget(delta), example.answers
    limit = below_bound_limit(answers, budget)
    below = example.chance(example.law[0] > budget * answers.length)
    wrong = below if budget * answers.length > answers.mean_deficit else 1 - below
    assert wrong <= limit + 1e-12


@many
@given(cases())
def test_the_chance_of_a_ratio_above_one_is_limited(example: Case) -> None:
    assert example.chance(example.law[0] < 0) <= above_one_limit(example.answers) + 1e-12


def test_style_tokens_may_depend_on_each_other_if_their_mean_deficit_does_not() -> None:
    # the last token decides the row of the next; both rows have κ = KL((0.8, 0.2), (½, ½)), but other laws. In the
    # first, −½·ln(4·q·(1 − q)) = κ
    kappa, tokens = 0.8 * math.log(1.6) + 0.2 * math.log(0.4), 10
    q = (1 - (1 - math.exp(-2 * kappa)) ** 0.5) / 2
    sampler, learner = f64([[0.5, 0.5], [0.8, 0.2]]).log(), f64([[q, 1 - q], [0.5, 0.5]]).log()
    style = style_distance(sampler, learner)
    assert_close(torch.as_tensor(style.mean), kappa)
    sequences = torch.cartesian_prod(*[torch.arange(2)] * tokens)
    rows_taken = torch.cat([torch.zeros(len(sequences), 1, dtype=torch.long), sequences[:, :-1]], -1)
    probabilities = sampler[rows_taken, sequences].sum(-1).exp()
    deficits = (sampler - learner)[rows_taken, sequences].sum(-1)
    largest = float(((sampler - learner).amax(-1) - (sampler - learner).amin(-1)).max())
    overlap = float(((sampler + learner) / 2).exp().sum(-1).max())
    for skill in (-1.0, 0.0, 2.0):
        answers = CrossAnswers(tokens + 1, 1, skill, replace(style, spread=largest, overlap=overlap))
        total = deficits + skill
        assert probabilities[total < 0].sum() <= above_one_limit(answers)
        for budget in (0.02, 0.1, 0.3, 0.6):
            below = float(probabilities[total > budget * (tokens + 1)].sum())
            wrong = below if budget * (tokens + 1) > float(answers.mean_deficit) else 1 - below
            assert wrong <= below_bound_limit(answers, budget)


def test_the_limits_by_hand() -> None:
    # λL = 5, nκ + D = 1 + 1, n·r² = 8·¼: exp(−2·9/2); e^(−½)·(½)^8
    answers = CrossAnswers(10, 2, 1.0, StyleDistance(mean=0.125, variance=0.01, spread=0.5, overlap=0.5))
    assert_close(below_bound_limit(answers, 0.5), math.exp(-9))
    assert_close(below_bound_limit(answers, 0.2), 1.0)  # E[Δ] on the bound
    assert_close(above_one_limit(answers), math.exp(-0.5) / 256)


def test_with_equal_styles_and_a_deficit_at_the_bound_there_is_no_limit() -> None:
    equal = StyleDistance(mean=0.0, variance=0.0, spread=0.0, overlap=1.0)  # Δ = D for certain: 4 or 2, λL = 4
    answers = CrossAnswers(8, 2, f64([4, 2]), equal)
    assert below_bound_limit(answers, 0.5).tolist() == [1, 0]


STYLES = {"near": (row(0.6, 0.4), row(0.4, 0.6)), "far": (row(0.8, 0.2), row(0.4, 0.6))}
LENGTHS = (8, 32, 128, 512, 2048)


@pytest.mark.parametrize("skill", [0.0, 1.3, 5.0])
def test_long_answers_pass_iff_the_style_distance_is_below_the_budget(skill: float) -> None:
    # κ = 0.2·ln 1.5 = 0.081 and 0.8·ln 2 − 0.2·ln 3 = 0.335 nats per token, λ = 0.223
    near, far = ([case(*STYLES[name], length, 2, skill) for length in LENGTHS] for name in ("near", "far"))
    assert float(near[0].answers.style.mean) < BUDGET < float(far[0].answers.style.mean)
    assert near[-1].passing(BUDGET) > 1 - 1e-6
    assert far[-1].passing(BUDGET) < 1e-6
    for limits in ([below_bound_limit(one.answers, BUDGET) for one in kind] for kind in (near, far)):
        assert limits[-1] < 1e-6
    assert above_one_limit(near[-1].answers) < 1e-6


def test_with_the_style_distance_at_the_budget_half_of_the_long_answers_pass() -> None:
    style = style_distance(*(one.unsqueeze(0) for one in STYLES["near"]))
    chance = pass_probability(CrossAnswers(f64([1e4, 1e6, 1e10]), 2, 5.0, style), float(style.mean))
    assert ((chance - 0.5).abs().diff() < 0).all()
    assert abs(float(chance[-1]) - 0.5) < 1e-3


# 5. the normal approximation and the exact law


def test_the_normal_approximation_by_hand() -> None:
    # nκ + D = 4, √(nv) = 2, λL = 6: Φ(1) − Φ(−2). Without variance: whether 0 ≤ 4 ≤ λL
    style = StyleDistance(mean=0.25, variance=f64([0.5, 0, 0]), spread=1.0, overlap=0.9)
    answers = CrossAnswers(12, 4, f64([2, 2, 8]), style)
    assert_close(pass_probability(answers, 0.5), f64([stats.norm.cdf(1) - stats.norm.cdf(-2), 1, 0]))


@many
@given(cases(), deltas)
def test_the_normal_approximation_is_as_near_as_berry_and_esseen_say(example: Case, delta: float) -> None:
    budget, style = token_budget(delta), example.answers.style
    deficit = example.sampler - example.learner
    third = float((example.sampler.exp() * (deficit - style.mean).abs() ** 3).sum())
    limit = 2 * BERRY_ESSEEN * third / (float(style.variance) ** 1.5 * float(example.answers.style_tokens) ** 0.5)
    assert abs(float(pass_probability(example.answers, budget) - example.passing(budget))) <= limit


@some
@given(rows(2, 3), st.integers(1, 6))
def test_the_exact_law_is_that_of_all_sequences(both: Tensor, tokens: int) -> None:
    sequences = torch.cartesian_prod(*[torch.arange(3)] * tokens).reshape(-1, tokens)
    totals, probabilities = (both[0] - both[1])[sequences].sum(-1), both[0][sequences].sum(-1).exp()
    values, law = style_deficit_law(both[0], both[1], tokens)
    for exponent in (0.0, 0.5, -1.0, 0.3):  # a distribution of few values is known by its moments
        assert_close((law * torch.exp(exponent * values)).sum(), (probabilities * torch.exp(exponent * totals)).sum())


def test_sampled_answers_pass_as_often_as_the_exact_law_says() -> None:
    # δ = 0.2, δ_step = 0.025, m = 2; false-alarm rate of each ≤ 1e-6
    sampler, learner = row(0.5, 0.3, 0.2), row(0.3, 0.3, 0.4)
    generator = torch.Generator().manual_seed(0)
    for length, skill in ((5, 0.3), (20, 1.3), (40, 1.3)):
        tokens = torch.multinomial(sampler.exp().expand(4096, -1), length - 2, replacement=True, generator=generator)
        decisive = torch.zeros(4096, 2, dtype=torch.float64)
        theirs = torch.cat([sampler[tokens], decisive], -1)
        ours = torch.cat([learner[tokens], decisive - skill / 2], -1)
        kept = cross_weights(ours, theirs, settings_of(0.2, 0.025), updates=2) != 0
        budget = token_budget(0.2, 0.025, 2)
        exact = exact_pass_probability(style_deficit_law(sampler, learner, length - 2), skill, length, budget)
        assert 0.1 < float(exact) < 0.9
        assert_mean_is(kept.double(), exact)


# 6. moments of a table of style


def test_a_styles_moments_by_hand() -> None:
    # row 1: d = (ln 2, −ln 1.5) with (½, ½) against (¼, ¾); row 2: equal
    sampler, learner = f64([[0.5, 0.5], [0.3, 0.7]]).log(), f64([[0.25, 0.75], [0.3, 0.7]]).log()
    low, high = -math.log(1.5), math.log(2)
    style = style_distance(sampler, learner)
    assert_close(torch.as_tensor(style.mean), (low + high) / 4)
    assert_close(torch.as_tensor(style.variance), (high - low) ** 2 / 8)
    assert_close(torch.as_tensor(style.spread), (high - low) / 2**0.5)
    assert_close(torch.as_tensor(style.overlap), (8**-0.5 + (3 / 8) ** 0.5) ** 0.5)


@some
@given(rows(2, 2), rows(2, 2), st.integers(1, 3))
def test_style_tokens_that_go_through_the_rows_in_turn_have_these_moments(
    sampler: Tensor, learner: Tensor, times: int
) -> None:
    first, second = (style_deficit_law(sampler[row], learner[row], times) for row in range(2))
    values = (first[0].unsqueeze(-1) + second[0]).flatten()
    probabilities = torch.outer(first[1], second[1]).flatten()
    style, tokens = style_distance(sampler, learner), 2 * times
    mean = (probabilities * values).sum()
    assert_close(mean, tokens * float(style.mean), 1e-11)
    assert_close((probabilities * (values - mean).square()).sum(), tokens * float(style.variance), 1e-11)
    assert_close((probabilities * torch.exp(-values / 2)).sum(), float(style.overlap) ** tokens, 1e-11)
    ranges = (sampler - learner).amax(-1) - (sampler - learner).amin(-1)
    assert_close(times * ranges.square().sum(), tokens * float(style.spread) ** 2, 1e-11)


def test_the_rows_that_are_taken_give_the_moments_of_any_number_of_tokens() -> None:
    # three tokens from two rows: the first row twice
    sampler, learner = f64([[0.5, 0.5], [0.3, 0.7]]).log(), f64([[0.25, 0.75], [0.4, 0.6]]).log()
    taken = style_distance(*(table[torch.arange(3) % 2] for table in (sampler, learner)))
    rows_alone = [style_distance(sampler[[row]], learner[[row]]) for row in (0, 1, 0)]
    assert_close(3 * torch.as_tensor(taken.mean), sum(float(one.mean) for one in rows_alone))
    assert_close(3 * torch.as_tensor(taken.variance), sum(float(one.variance) for one in rows_alone))
    assert_close(torch.as_tensor(taken.overlap) ** 3, math.prod(float(one.overlap) for one in rows_alone))


def test_log_probabilities_that_are_none_are_named() -> None:
    with pytest.raises(ValueError, match="learner must hold finite log-probabilities"):
        style_distance(row(0.5, 0.5).unsqueeze(0), row(0.5, 0.4).unsqueeze(0))
    with pytest.raises(ValueError, match="sampler must hold finite log-probabilities"):
        style_distance(f64([[0, -math.inf]]), row(0.5, 0.5).unsqueeze(0))


# 7. the weight of what passes


@many
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 12)), elements=st.floats(-0.1, 0.4)),
    deltas,
    st.floats(0, 0.1),
    st.integers(0, 3),
    alphas,
)
def test_the_weight_of_what_passes_is_at_least_a_power_of_the_bound(
    deficits: np.ndarray, delta: float, delta_step: float, updates: int, alpha: float
) -> None:
    by_token = torch.from_numpy(deficits)
    weights = cross_weights(-by_token, torch.zeros_like(by_token), settings_of(delta, delta_step, alpha), updates)
    passed = weights[weights != 0]
    assert torch.allclose(passed, torch.exp(-(1 + alpha) * by_token.mean(-1))[weights != 0], rtol=1e-12, atol=0)
    floor = smallest_weight(token_budget(delta, delta_step, updates), alpha)
    assert floor == pytest.approx(stepwise_lower_bound(delta, delta_step, updates) ** (1 + alpha), rel=1e-12)
    assert (passed >= floor - 1e-12).all()


@many
@given(cases(), alphas)
def test_the_mean_weight_is_between_its_limits(example: Case, alpha: float) -> None:
    values, probabilities = example.law
    mean = (probabilities * torch.exp(-(1 + alpha) * values / example.answers.length)).sum()
    low, high = mean_weight_limits(example.answers, alpha)
    assert low * (1 - 1e-12) <= mean <= high * (1 + 1e-12)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
def test_the_mean_weight_of_long_answers_depends_on_their_style_alone(alpha: float) -> None:
    style = style_distance(*(one.unsqueeze(0) for one in STYLES["near"]))
    for skill in (-1.0, 0.0, 5.0):
        for limit in mean_weight_limits(CrossAnswers(10**8, 2, skill, style), alpha):
            assert_close(limit, math.exp(-(1 + alpha) * float(style.mean)), 1e-6)
    example = case(*STYLES["near"], 2048, 2, 1.3)  # nearly all of which pass: 0.85^(1+α), no matter that D = 1.3
    kept = passes(example.law[0], 2048, BUDGET)
    weights = torch.exp(-(1 + alpha) * example.law[0] / 2048)
    mean = (example.law[1] * weights)[kept].sum() / example.chance(kept)
    assert abs(float(mean) - math.exp(-(1 + alpha) * float(style.mean))) < 0.01


# 8. the width that the law chooses


@many
@given(cases(), st.floats(0, 4), st.integers(1, 4), st.floats(0, 0.05))
def test_the_chosen_width_leaves_as_many_deviations_as_wanted(
    example: Case, deviations: float, updates: int, delta_step: float
) -> None:
    answers = example.answers
    width = float(width_for(answers, deviations, updates, delta_step))
    needed = float(answers.mean_deficit + deviations * answers.deficit_std)
    assume(0 < width < 1)
    budgets = [token_budget(width, delta_step, m) * answers.length for m in range(updates)]
    assert needed == pytest.approx(budgets[-1], rel=1e-9, abs=1e-9)
    assert budgets == sorted(budgets, reverse=True)
    below = max(float(example.chance(example.law[0] > budget + ROUNDING)) for budget in budgets)
    assert below <= 1 / (1 + deviations**2) + 1e-12
    assert (
        below <= math.exp(-2 * deviations**2 * float(answers.style.variance) / float(answers.style.spread) ** 2) + 1e-12
    )


def test_the_chosen_width_by_hand() -> None:
    # nκ + D + z·√(nv) = 2 + 2 + 2·2 = 8 over 16 tokens: 1 − e^(−½), and twice δ_step
    style = StyleDistance(mean=f64([0.25, 0.25, 5.0, 0]), variance=f64([0.5, 0.5, 0.5, 0]), spread=1.0, overlap=0.9)
    answers = CrossAnswers(16, 8, f64([2, -9, 2, 0]), style)
    width = width_for(answers, deviations=2, updates=3, delta_step=0.05)
    assert_close(width, f64([1 - math.exp(-0.5) + 0.1, 0, 1, 0]))
    assert token_budget(1.0, 0.05, 2) * 16 < 42  # δ = 1 is not enough for the third


def test_the_chosen_width_of_long_answers_depends_on_their_style_alone() -> None:
    style = style_distance(*(one.unsqueeze(0) for one in STYLES["near"]))
    for skill in (0.0, 5.0):
        width = width_for(CrossAnswers(1e9, 2, skill, style), deviations=3, updates=4, delta_step=0.025)
        assert_close(width, 1 - math.exp(-float(style.mean)) + 0.075, 1e-3)


def test_the_normal_tail_is_no_limit() -> None:
    # one style token, 0.1 likely to have the larger deficit: 3 deviations above the mean, so that with z = 2 it fails
    example = case(row(0.1, 0.9), row(0.05, 0.95), 1, 0, 0.0)
    width = float(width_for(example.answers, deviations=2, updates=1, delta_step=0))
    below = example.chance(example.law[0] > token_budget(width))
    assert_close(below, 0.1)
    assert stats.norm.sf(2) < below <= 1 / (1 + 2**2)


# what each dropped assumption does


def test_with_other_tokens_on_either_side_the_deficit_does_not_decide() -> None:
    # Δ = 0: a text of probability ¼ is one token for one side and two for the other: s = ½ or 2, at 0.2 neither passes
    whole, halves = f64([[math.log(0.25)]]), f64([[math.log(0.5)] * 2])
    assert_close(whole.sum(-1) - halves.sum(-1), 0.0)
    for ours, theirs in ((whole, halves), (halves, whole)):
        assert bool(passes(theirs.sum(-1) - ours.sum(-1), ours.shape[-1], BUDGET))
        assert cross_weights(ours, theirs, settings_of(0.2)).item() == 0
    assert_close(cross_weights(whole, halves, settings_of(0.5 + 1e-9, alpha=0)), 0.5)
    for length in (10, 1000):  # half a token of ours for one of theirs, ln 2 nats each: s = ½ at every length
        ours, theirs = f64([[2 * math.log(0.5)] * length]), f64([[math.log(0.5)] * (2 * length)])
        assert_close(ours.sum(-1) - theirs.sum(-1), 0.0)
        assert cross_weights(ours, theirs, settings_of(0.2)).item() == 0


@pytest.mark.parametrize(("likely", "unlikely"), [(0.9, 0.75), (0.9, 0.5)])
def test_if_one_coin_decides_the_style_of_an_answer_length_does_not_decide(likely: float, unlikely: float) -> None:
    # the first token is a fair coin for both; the sampler then repeats it surely, the learner with chance 0.9 after
    # heads and 0.75 (or 0.5) after tails. κ = 0.197 (or 0.399) per token, λ = 0.223; heads pass, tails do not
    kappa = -(math.log(likely) + math.log(unlikely)) / 2
    assert (kappa < BUDGET) == (unlikely == 0.75)
    for length in (8, 64, 512):
        after = f64([likely, unlikely]).log().unsqueeze(-1).expand(2, length - 1)
        coin = torch.full((2, 1), math.log(0.5), dtype=torch.float64)
        sampler = torch.cat([coin, torch.zeros_like(after)], -1)
        kept = cross_weights(torch.cat([coin, after], -1), sampler, settings_of(0.2)) != 0
        assert kept.tolist() == [True, False]  # each half of the answers


def test_if_decisive_tokens_grow_with_the_length_there_may_be_no_crossing() -> None:
    # every fourth token decides, with 1 nat: ¾·0.1 + ¼·1 = 0.325 > λ at every length, though κ = 0.1 < λ
    lengths = 4.0 ** torch.arange(1, 8)
    assert (crossing_length(BUDGET, 0.1, lengths / 4, lengths / 4) > lengths).all()
    for length in (4, 64, 1024):
        deficits = f64([[1, 0.1, 0.1, 0.1] * (length // 4)])
        assert cross_weights(-deficits, torch.zeros_like(deficits), settings_of(0.2)).item() == 0
    # with ½ nat it is ¾·0.1 + ¼·½ = 0.2 < λ: what counts is the mean over all tokens
    assert (crossing_length(BUDGET, 0.1, lengths / 8, lengths / 4) <= lengths).all()


def test_with_styles_further_than_the_budget_longer_answers_pass_less() -> None:
    # κ = 0.335 > λ, D = 0.3 < 2·λ: at L = c = 2 the answer passes for certain
    chances = [float(case(*STYLES["far"], length, 2, 0.3).passing(BUDGET)) for length in (2, 8, 32, 128, 512)]
    assert chances[0] == 1
    assert chances == sorted(chances, reverse=True)
    assert chances[-1] < 1e-3


def test_with_equal_styles_an_answer_that_the_learner_likes_more_passes_at_no_length() -> None:
    # D = −0.5, nothing else: s = e^(0.5/L) > 1
    for length in (2, 16, 1024):
        deficits = torch.zeros(1, length, dtype=torch.float64)
        deficits[0, 0] = -0.5
        assert cross_weights(-deficits, torch.zeros_like(deficits), settings_of(0.2)).item() == 0
        assert cross_weights(0 * deficits, torch.zeros_like(deficits), settings_of(0.2)).item() == 1  # D = 0: s = 1
        equal = case(row(0.3, 0.7), row(0.3, 0.7), length, 1, -0.5).answers
        assert float(equal.mean_deficit) < BUDGET * length  # though far from the lower bound
        assert float(pass_probability(equal, BUDGET)) == 0
        assert float(above_one_limit(equal)) == 1


# the clip stops telling answers apart


@many
@given(cases(), st.floats(0, 3), deltas)
def test_the_pass_probabilities_of_two_deficits_differ_by_what_is_outside(
    example: Case, more: float, delta: float
) -> None:
    answers, budget = example.answers, token_budget(delta)
    length, decisive, skill = int(answers.tokens), int(float(answers.decisive)), float(answers.skill_deficit)
    worse = case(example.sampler, example.learner, length, decisive, skill + more)
    assume(bool(worse.answers.mean_deficit < budget * length))
    outside = below_bound_limit(worse.answers, budget) + above_one_limit(answers)
    assert abs(float(example.passing(budget) - worse.passing(budget))) <= float(outside) + 1e-12


def test_right_and_wrong_answers_pass_alike_when_they_are_long() -> None:
    # D = 0 and D = 3, κ = 0.081: the clip prefers small deficits while answers are short. At 96 tokens it prefers the
    # larger one a little, since answers with D = 0 are more often above the upper bound; then the difference vanishes
    def difference(length: int) -> float:
        chances = [case(*STYLES["near"], length, 2, skill).passing(BUDGET) for skill in (0.0, 3.0)]
        return float(chances[0] - chances[1])

    assert min(difference(length) for length in (4, 8, 16)) > 0.5
    assert difference(96) < -0.01
    assert abs(difference(512)) < 1e-5
