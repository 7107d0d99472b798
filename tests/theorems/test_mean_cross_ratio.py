"""The mean cross ratio E_Q[s] (Table 6): at most 1 for responses of one length, whatever the policies.

s = (P/Q)^(1/|y|) ≤ 1 + (P/Q − 1)/|y|, since x^(1/L) is concave, so that E_Q[s] ≤ 1 + E_P[1/|y|] − E_Q[1/|y|].
"""

import torch
from drawing import assert_close, f64, many, problems, spaces
from hypothesis import given

from hacrl_lab.agents.tabular import response_log_probs
from hacrl_lab.importance import sequence_importance_ratio
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.problems import Problem


def mean_ratio(space: ResponseSpace, learner: torch.Tensor, sampler: torch.Tensor) -> torch.Tensor:
    """E_Q[s] from log-probabilities of all responses, (..., Y) -> (...)."""
    return (sampler.exp() * sequence_importance_ratio(learner / space.lengths, sampler / space.lengths)).sum(-1)


@many
@given(problems(agents=(2,)))
def test_it_exceeds_one_at_most_by_the_difference_in_mean_inverse_length(problem: Problem) -> None:
    learner, sampler = problem.log_probs(0), problem.log_probs(1)
    inverse = 1 / problem.space.lengths
    excess = ((learner.exp() - sampler.exp()) * inverse).sum(-1)
    assert bool((mean_ratio(problem.space, learner, sampler) <= 1 + excess + 1e-12).all())


@many
@given(problems(agents=(2,), space=spaces(stops=(False,))))
def test_with_one_length_it_is_at_most_one(problem: Problem) -> None:
    assert bool((mean_ratio(problem.space, problem.log_probs(0), problem.log_probs(1)) <= 1 + 1e-12).all())


@many
@given(problems(agents=(2,)))
def test_it_is_one_for_equal_policies(problem: Problem) -> None:
    assert_close(mean_ratio(problem.space, problem.log_probs(0), problem.log_probs(0)), 1.0)


def test_with_different_lengths_it_can_exceed_one() -> None:
    # one letter, at most two actions; the learner stops at once with 3/4, the sampler with 7/16, and after a letter
    # both stop with 1/2: E_Q[s] = 3/4 + (9/16)·√((1/4)/(9/16)) = 3/4 + 3/8
    space = ResponseSpace(symbols=1, length=2, stops=True)
    tables = (f64([[0.25, 0.75], [0.5, 0.5]]).log(), f64([[9 / 16, 7 / 16], [0.5, 0.5]]).log())
    learner, sampler = (response_log_probs(table, space) for table in tables)
    assert_close(mean_ratio(space, learner, sampler), 9 / 8)
