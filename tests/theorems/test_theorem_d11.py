"""Theorem D.11 / 4.3 with Eq. 40-46: ⟨∇J_hete, ∇J_homo⟩ = E_P[C]·‖v‖² + Cov_P(C, Z), which is to be positive.

Needs: s = 1 on self rollouts (D.7), corr(C, Z) > 0 (D.12), no clipping, one advantage function for all rollouts. The
paper's first version words the conclusion without conditions; its revision of May 2026 no longer contains it.
"""

from dataclasses import replace
from functools import partial

import pytest
import torch
from drawing import assert_close, assert_mean_is, f64, find, many, problems, some, spaces
from hypothesis import given
from hypothesis import strategies as st
from pools import pool_log_probs

from hacrl_lab.advantages import capability_aware_mean, leave_one_out_capability_mean
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.importance import exponential_weight, mean_log_prob, sequence_importance_ratio
from hacrl_lab.objectives import ObjectiveSettings, hacpo_objective, no_bounds
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.seeding import RandomStream
from hacrl_lab.theory.gradients import (
    Alignment,
    CrossWeight,
    alignment,
    hete_gradient,
    homo_gradient,
    oracle_advantages,
    same_for_all,
)
from hacrl_lab.theory.groups import centred, response_advantages
from hacrl_lab.theory.problems import Problem, draw_problems, opposed_coins
from hacrl_lab.theory.twins import Update, enumerated_gradients, sampled_gradients

HACPO_CLIP = {"low": 0.8, "high": 1.0}
alphas = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0])
weights = st.builds(
    CrossWeight,
    alphas,
    st.sampled_from([0.0, 0.5, 0.8]),
    st.sampled_from([1.0, float("inf")]),
    st.sampled_from([1.0, float("inf")]),
)
pairs = problems(agents=(2,))


def align(problem: Problem, weight: CrossWeight, omega: float = 1.0) -> Alignment:
    """Agent 0 learns from agent 1 with the oracle's advantages."""
    leading = problem.rewards.shape[:-2]
    return alignment(problem, 0, 1, oracle_advantages(problem, 0), torch.full(leading, omega).double(), weight)


# ----- The identity


@many
@given(problems(agents=(2, 3)), weights, st.sampled_from([0.25, 1.0, 4.0]), st.data())
def test_the_identity_holds_for_every_learner_and_sampler(
    problem: Problem, weight: CrossWeight, omega: float, data: st.DataObject
) -> None:
    # with clipping too: C then holds the clipped weight instead of s^(α+1)
    learner, sampler = data.draw(st.permutations(range(problem.agents)))[:2]
    result = alignment(problem, learner, sampler, oracle_advantages(problem, learner), f64(omega), weight)
    assert_close(result.inner, result.identity)


@many
@given(problems(agents=(2, 3)), alphas)
def test_both_gradients_are_those_of_the_objective_that_trains(problem: Problem, alpha: float) -> None:
    ratios = problem.true_ratios()
    advantages = same_for_all(problem, oracle_advantages(problem, 0))
    settings = ObjectiveSettings(0.2, 0.2, alpha=alpha)
    objective = partial(hacpo_objective, cross_bounds=no_bounds)
    homo = enumerated_gradients(problem, Update(0, ratios, objective, settings, samplers=[0]), advantages)
    expected = torch.zeros((), dtype=torch.float64)
    for j in range(1, problem.agents):
        result = alignment(problem, 0, j, oracle_advantages(problem, 0), ratios[j, 0], CrossWeight(alpha))
        assert_close((homo**2).sum(), result.norm_squared)
        expected = expected + result.identity
    others = Update(0, ratios, objective, settings, samplers=range(1, problem.agents))
    hete = enumerated_gradients(problem, others, advantages)
    assert_close((hete * homo).sum(), expected)  # of all samplers together: a sum


def test_the_sampled_inner_product_agrees() -> None:
    """With the leave-one-out baseline, whose expected advantage is the same function for everyone's rollouts."""
    problem = draw_problems(1, ResponseSpace(2, 3, stops=True), correlation=0.5, seed=5)[0]
    ratios, rule = problem.true_ratios(), centred(leave_one_out_capability_mean)
    exact = align(problem, CrossWeight(1.0), float(ratios[1, 0]))
    objective = partial(hacpo_objective, cross_bounds=no_bounds)
    update = Update(0, ratios, objective, ObjectiveSettings(0.2, 0.2, alpha=1.0), samplers=[1])
    v = homo_gradient(problem, 0, same_for_all(problem, oracle_advantages(problem, 0)))
    inner = (sampled_gradients(problem, update, rule, 4, 4096) * v).sum((-3, -2, -1))
    assert_mean_is(inner, exact.identity)


def test_the_sampled_terms_agree() -> None:
    """E_P[C] is E_Q[ω·s^(α+1)], the mean weight of cross rollouts; ‖v‖² = E_P[Z] is the mean of ⟨∇J_homo, v⟩."""
    problem = draw_problems(1, ResponseSpace(2, 3, stops=True), correlation=0.5, seed=5)[0]
    ratios, rule = problem.true_ratios(), centred(leave_one_out_capability_mean)
    exact = align(problem, CrossWeight(1.0), float(ratios[1, 0]))
    v = homo_gradient(problem, 0, same_for_all(problem, oracle_advantages(problem, 0)))
    update = Update(0, ratios, hacpo_objective, ObjectiveSettings(0.2, 0.2), samplers=[0])
    assert_mean_is((sampled_gradients(problem, update, rule, 4, 4096) * v).sum((-3, -2, -1)), exact.norm_squared)

    learner, sampler = (TabularAgent(str(j), problem.logits[j], problem.space) for j in (0, 1))
    prompts = torch.tensor([0])
    batch = sampler.generate(prompts, 8192, RandomStream(0))
    pools = [(agent, agent.encode(prompts, [batch])) for agent in (learner, sampler)]
    means = [mean_log_prob(pool_log_probs(agent, pool), pool.mask).detach() for agent, pool in pools]
    s = sequence_importance_ratio(*means)[0, 0]
    assert_mean_is(ratios[1, 0] * s * exponential_weight(s, 1.0), exact.mean_c)


# ----- The conclusion


@many
@given(pairs, alphas)
def test_a_positive_correlation_is_enough(problem: Problem, alpha: float) -> None:
    result = align(problem, CrossWeight(alpha))
    if float(result.covariance) > 1e-12:
        assert float(result.inner) > 0


@many
@given(problems(agents=(2,), space=spaces(stops=(False,))), st.sampled_from([0.25, 1.0, 4.0]))
def test_with_alpha_plus_one_tokens_the_gradients_are_parallel(problem: Problem, omega: float) -> None:
    # C = ω·(P/Q)^((α+1)/|y| − 1) is the constant ω: s^(α+1) is the true importance weight, and ∇J_hete = ω·v
    result = align(problem, CrossWeight(problem.space.length - 1.0), omega)
    assert_close(result.inner, omega * result.norm_squared)
    assert_close(result.covariance, 0.0)


@many
@given(problems(agents=(2,)), alphas)
def test_equal_policies_are_aligned(problem: Problem, alpha: float) -> None:
    twins = replace(problem, logits=(problem.logits[0], problem.logits[0]))
    result = align(twins, CrossWeight(alpha))
    assert_close(result.inner, result.norm_squared)


# ----- Each assumption is needed


COINS = opposed_coins()


def test_without_d12_the_gradients_can_oppose_each_other() -> None:
    # Counterexample to the theorem without conditions: two tosses of one coin, wanted one heads and one tails; the
    # learner tosses heads with 3/7, the sampler with 3/4; α = 0 and ω = 1.
    # E[R] = 2·(3/7)(4/7) = 24/49, so that Â = 25/49 or −24/49.
    # ∇ log P(y) = (heads − 6/7)·(1, −1), which is 8/7, 1/7, −6/7 for two, one, no heads; |y| = 2.
    # P = 9/49, 2·12/49, 16/49:  v = ½·(9·(−24)·8 + 24·25·1 + 16·(−24)·(−6))/(49·49·7) = ½·1176/16807 = 12/343
    # Q·s = √(PQ) = 9/28, 2·6/28, 4/28:  ½·(9·(−24)·8 + 12·25·1 + 4·(−24)·(−6))/(28·49·7) = ½·(−852)/9604 = −213/4802
    # The learner should toss more heads; the sampler's rollouts, with too many, make it toss fewer.
    result = align(COINS, CrossWeight(alpha=0))
    advantages = same_for_all(COINS, oracle_advantages(COINS, 0))
    homo = homo_gradient(COINS, 0, advantages)
    hete = hete_gradient(COINS, 0, 1, advantages, torch.ones(2, 2), CrossWeight(alpha=0))
    assert_close(homo, f64([[[12 / 343, -12 / 343]]]))
    assert_close(hete, f64([[[-213 / 4802, 213 / 4802]]]))
    assert_close(result.inner, -2 * 12 / 343 * 213 / 4802)
    assert float(result.cosine) == pytest.approx(-1)
    assert float(result.correlation) < 0


def test_the_search_finds_others_with_three_tokens_and_alpha_one() -> None:
    space = st.just(ResponseSpace(2, 3))
    found = find(
        problems(agents=(2,), prompts=(1,), space=space), lambda p: float(align(p, CrossWeight(1)).inner) < -1e-3
    )
    assert float(align(found, CrossWeight(1)).covariance) < 0


def test_d12_is_not_necessary() -> None:
    # the same coins but heads and tails of the sampler nearer: Cov < 0 and yet aligned
    near = replace(COINS, logits=(COINS.logits[0], f64([[[1, 1]]]).log()))
    result = align(near, CrossWeight(alpha=0))
    assert float(result.covariance) < 0
    assert float(result.inner) > 0


def test_away_from_the_old_policy_the_identity_is_of_another_gradient() -> None:
    # Assumption D.7: after an update s ≠ 1 on self rollouts, and ∇J_homo is no longer v
    problem = draw_problems(1, ResponseSpace(2, 3), correlation=0.5, seed=6)[0]
    advantages = same_for_all(problem, oracle_advantages(problem, 0))
    step = homo_gradient(problem, 0, advantages)
    for size in (0.0, 1.0, 10.0):
        now = problem.logits[0] + size * step
        moved = replace(problem, logits=(now, problem.logits[1]))
        v = homo_gradient(moved, 0, advantages)
        actual = homo_gradient(problem, 0, advantages, current=now)
        gap = float((actual - v).norm() / v.norm())
        assert (gap < 1e-12) == (size == 0)


def test_group_baselines_give_self_and_cross_rollouts_different_advantages() -> None:
    # the proof takes one Â(y). G = 2, n = 2, ω = 4 for agent 0 against 1: slopes 1 − 1/4 and 1 − 4/4 = 0: a right cross
    # rollout is worth as much as a wrong one, and ∇J_hete of equally long responses is 0
    drawn = draw_problems(1, ResponseSpace(3, 1), correlation=0.0, seed=7)[0]
    ratios = f64([[1, 4], [0.25, 1]])
    included = response_advantages(drawn, 2, centred(capability_aware_mean), ratios, 0)
    left_out = response_advantages(drawn, 2, centred(leave_one_out_capability_mean), ratios, 0)
    weight = CrossWeight(0)
    assert_close(hete_gradient(drawn, 0, 1, included, ratios, weight), 0.0)
    assert float(hete_gradient(drawn, 0, 1, left_out, ratios, weight).norm()) > 1e-2


@some
@given(pairs, alphas)
def test_clipping_can_only_remove(problem: Problem, alpha: float) -> None:
    clipped, capped = align(problem, CrossWeight(alpha, **HACPO_CLIP)), align(problem, CrossWeight(alpha, 0.8, cap=1.0))
    free = align(problem, CrossWeight(alpha))
    assert float(clipped.mean_c) <= float(capped.mean_c) + 1e-15 <= float(free.mean_c) + 2e-15


def test_with_the_clip_even_alpha_plus_one_tokens_can_misalign() -> None:
    def misaligned(problem: Problem) -> bool:
        alpha = problem.space.length - 1.0
        return float(align(problem, CrossWeight(alpha, **HACPO_CLIP)).inner) < -1e-3

    found = find(problems(agents=(2,), prompts=(1,), space=spaces(stops=(False,))), misaligned)
    assert float(align(found, CrossWeight(found.space.length - 1.0)).inner) > 0


# ----- How often, over 300 problems of four symbols and five tokens for each setting


def shares(correlation: float, weight: CrossWeight) -> tuple[float, float]:
    """How often D.12 and the conclusion hold, with one row of logits for every position."""
    result = align(draw_problems(300, ResponseSpace(4, 5), correlation=correlation, rows=5), weight)
    assert_close(result.inner, result.identity)
    return float((result.covariance > 0).double().mean()), float((result.inner > 0).double().mean())


@pytest.mark.parametrize("correlation", [0.9, 0.5, 0.0, -0.5])
def test_the_hypothesis_rarely_holds_and_the_conclusion_mostly(correlation: float) -> None:
    d12, aligned = shares(correlation, CrossWeight(0))
    assert d12 < 0.45
    assert aligned > 0.8


def test_distant_policies_are_misaligned_at_times_and_larger_alpha_mends_it() -> None:
    aligned = [shares(-0.5, CrossWeight(alpha))[1] for alpha in (0, 1, 3)]
    assert 0.8 < aligned[0] < aligned[1] <= aligned[2] == 1


def test_the_clip_costs_alignment_and_the_cap_costs_less() -> None:
    for correlation in (0.5, 0.0, -0.5):
        free, clipped, capped = (
            shares(correlation, weight)[1]
            for weight in (CrossWeight(1), CrossWeight(1, **HACPO_CLIP), CrossWeight(1, 0.8, cap=1.0))
        )
        assert clipped < capped <= free


def test_what_makes_alpha_three_look_safe_is_the_short_response() -> None:
    # C = ω·(P/Q)^((α+1)/|y| − 1), and at |y| = α + 1 it is constant. Real responses have thousands of tokens, where the
    # exponent is nearly −1 whatever α is. One coin, tossed |y| times, shows it without long sums
    def misaligned(length: int, alpha: float) -> float:
        coins = draw_problems(300, ResponseSpace(2, length), correlation=0.0, rows=1)
        return float((align(coins, CrossWeight(alpha)).inner < 0).double().mean())

    assert misaligned(4, 3) == 0
    assert misaligned(12, 3) > 0.1
