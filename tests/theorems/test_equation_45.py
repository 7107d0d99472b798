"""Equation 45: C ≈ ω·Q/P if α + 1 ≪ |y|. What it really needs: |(α + 1)·log s| ≪ 1, however long the response is."""

import math

import torch
from drawing import assert_close, many, problems
from hypothesis import given
from hypothesis import strategies as st

from hacrl_lab.importance import exponential_weight, mean_log_prob, sequence_importance_ratio
from hacrl_lab.theory.problems import Problem

TOKENS = st.integers(1, 400)
SHIFTS = st.floats(-0.5, 0.5)  # the learner's minus the sampler's log-probability of every token


def relative_error(tokens: int, shift: float, alpha: float) -> float:
    """C/(ω·Q/P) − 1 by the functions that train, for a response whose every token has the same shift.

    C is the weight that trains, s·sg(s)^α, times Q/P.
    """
    mask = torch.ones(1, tokens, dtype=torch.bool)
    sampler = torch.full((1, tokens), -1.0, dtype=torch.float64)
    ratio = sequence_importance_ratio(mean_log_prob(sampler + shift, mask), mean_log_prob(sampler, mask))
    return float(ratio * exponential_weight(ratio, alpha)) - 1


@many
@given(TOKENS, SHIFTS, st.sampled_from([0.0, 1.0, 3.0]))
def test_the_relative_error_is_exactly_s_to_the_alpha_plus_one_minus_one(
    tokens: int, shift: float, alpha: float
) -> None:
    assert abs(relative_error(tokens, shift, alpha) - math.expm1((alpha + 1) * shift)) < 1e-12


@many
@given(problems(agents=(2,), prompts=(1,)), st.sampled_from([0.0, 1.0, 3.0]))
def test_it_is_the_same_in_terms_of_sequence_probabilities(problem: Problem, alpha: float) -> None:
    # (P/Q)^((α+1)/|y| − 1) over Q/P is (P/Q)^((α+1)/|y|) = s^(α+1)
    log_ratio = (problem.log_probs(0) - problem.log_probs(1))[0]
    lengths = problem.space.lengths.double()
    c = torch.exp(((alpha + 1) / lengths - 1) * log_ratio)
    assert_close(c / torch.exp(-log_ratio), torch.exp(log_ratio / lengths) ** (alpha + 1), 1e-11)


@many
@given(TOKENS, st.floats(-1, 1), st.sampled_from([0.0, 1.0, 3.0]))
def test_it_holds_when_the_policies_are_close_per_token(tokens: int, share: float, alpha: float) -> None:
    # |(α + 1)·log s| ≤ 0.01 gives an error of at most e^0.01 − 1, whatever the length
    shift = 0.01 * share / (alpha + 1)
    assert abs(relative_error(tokens, shift, alpha)) <= math.expm1(0.01) + 1e-12


def test_long_responses_do_not_make_it_hold() -> None:
    # 10,000 tokens and α = 0: α + 1 is a ten-thousandth of |y|, and with a learner that gives every token 2/3 of the
    # sampler's probability C is 2/3 of ω·Q/P, as with one token
    for tokens in (1, 100, 10_000):
        assert abs(relative_error(tokens, math.log(2 / 3), 0.0) - (2 / 3 - 1)) < 1e-12


def test_at_the_ratios_of_the_papers_table_six_the_error_is_not_small() -> None:
    # cross ratios around 0.8955 (Table 6): the error at α = 1 and α = 3
    errors = [relative_error(1000, math.log(0.8955), alpha) for alpha in (1.0, 3.0)]
    assert abs(errors[0] + 0.198) < 1e-3  # 0.8955² − 1
    assert abs(errors[1] + 0.357) < 1e-3  # 0.8955⁴ − 1
