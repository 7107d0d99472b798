"""Lemma D.10: E_Q[(P/Q)·f] = E_P[f]. Needs: Q > 0 wherever P > 0, and the true sequence ratio P/Q."""

import math

import torch
from drawing import assert_close, assert_mean_is, f64, find, many, problems, spaces
from hypothesis import given
from pools import pool_log_probs
from torch import Tensor

from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.importance import mean_log_prob, sequence_importance_ratio
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.theory.problems import Problem, draw_problems

one_prompt = problems(agents=(2,), prompts=(1,))


def normalised_ratio(problem: Problem, tokens: Tensor, mask: Tensor) -> Tensor:
    """S of agent 0 to agent 1 by the functions that train, for responses (P = 1, G, T)."""
    batch = RolloutBatch("sampler", tokens, mask[..., 0])
    means = []
    for j in range(2):
        agent = TabularAgent("learner", problem.logits[j], problem.space)
        encoded = agent.encode(torch.tensor([0]), [batch])
        means.append(mean_log_prob(pool_log_probs(agent, encoded), encoded.mask).detach()[0, 0])
    return sequence_importance_ratio(means[0], means[1])


def expectations(problem: Problem, power: Tensor | float) -> tuple[Tensor, Tensor]:
    """E_Q[s^power·R] and E_P[R], enumerated with the ratio that trains; power |y| makes s the sequence ratio."""
    p, q = problem.log_probs(0)[0].exp(), problem.log_probs(1)[0].exp()
    ratio = normalised_ratio(problem, problem.space.tokens.unsqueeze(0), problem.space.mask.unsqueeze(0))
    return (q * ratio**power * problem.rewards[0]).sum(), (p * problem.rewards[0]).sum()


@many
@given(one_prompt)
def test_the_sequence_ratio_changes_the_measure(problem: Problem) -> None:
    weighted, target = expectations(problem, problem.space.lengths)
    assert_close(weighted, target)


@many
@given(problems(agents=(2,), prompts=(1,), space=spaces(max_length=1)))
def test_for_responses_of_one_token_the_normalised_ratio_does_too(problem: Problem) -> None:
    weighted, target = expectations(problem, 1.0)
    assert_close(weighted, target)


def test_the_sampled_mean_agrees() -> None:
    problem = draw_problems(1, ResponseSpace(2, 3, stops=True), correlation=0.5, seed=4)[0]
    sampler = TabularAgent("sampler", problem.logits[1], problem.space)
    batch = sampler.generate(torch.tensor([0]), 8192, RandomStream(0))
    ratio = normalised_ratio(problem, *batch.own_tokens)
    rewards = problem.space.look_up(problem.rewards, torch.tensor([0]), batch.responses)[0]
    assert_mean_is(ratio ** batch.lengths[0] * rewards, expectations(problem, 1.0)[1])


# ----- What is needed


def test_what_the_sampler_never_says_is_missing() -> None:
    # learner 1/2 and 1/2, sampler always says 0; R = 1 for 1 only: E_P[R] = 1/2, but no rollout ever shows a 1
    problem = Problem(ResponseSpace(2, 1), (f64([[[0, 0]]]), f64([[[0, -math.inf]]])), f64([[0, 1]]))
    batch = TabularAgent("sampler", problem.logits[1], problem.space).generate(torch.tensor([0]), 100, RandomStream(0))
    assert (batch.responses == 0).all()
    ratio = normalised_ratio(problem, *batch.own_tokens)
    assert_close((ratio * problem.space.look_up(problem.rewards, torch.tensor([0]), batch.responses)[0]).mean(), 0.0)
    assert float(problem.expected_rewards()[0]) == 0.5


def test_the_length_normalised_ratio_does_not_change_the_measure() -> None:
    # two tosses, learner's heads 1/2, sampler's 4/5, f = 1 for two heads. E_P[f] = 1/4.
    # s = √((1/4)/(16/25)) = 5/8, so that E_Q[s·f] = (16/25)(5/8) = 2/5
    coin = [[[1.0, 1.0]]], [[[4.0, 1.0]]]
    problem = Problem(ResponseSpace(2, 2), (f64(coin[0]).log(), f64(coin[1]).log()), f64([[1, 0, 0, 0]]))
    assert_close(torch.stack(expectations(problem, 1.0)), f64([2 / 5, 1 / 4]))
    assert_close(torch.stack(expectations(problem, 2.0)), f64([1 / 4, 1 / 4]))


def test_the_search_finds_such_a_pair() -> None:
    def differ(problem: Problem) -> bool:
        weighted, target = expectations(problem, 1.0)
        return abs(float(weighted - target)) > 0.05

    assert find(one_prompt, differ).space.length >= 2


def test_by_how_much() -> None:
    """E_Q[s], which is 1 for a true importance weight, of 300 problems with unrelated policies of five tokens."""
    problem = draw_problems(300, ResponseSpace(4, 5), correlation=0.0)
    log_p, log_q = problem.log_probs(0), problem.log_probs(1)
    mean_ratio = (log_q.exp() * torch.exp((log_p - log_q) / 5)).sum(-1)
    assert 0.55 < float(mean_ratio.mean()) < 0.65
    assert bool((mean_ratio < 1).all())  # Jensen: E_Q[(P/Q)^(1/|y|)] ≤ 1
