"""Remark D.2: the dependence of ω on the current batch fades as 1/K. With a lagged window there is none."""

import numpy as np
import pytest
import torch
from drawing import assert_close, assert_mean_is, f64, many, some
from hypothesis import given
from hypothesis import strategies as st

from hacrl_lab.advantages import capability_aware_mean
from hacrl_lab.capability import CapabilityTracker, LaggedCapabilityTracker, capability_ratio_matrix
from hacrl_lab.theory.capability_window import window_law
from hacrl_lab.theory.groups import expected_baseline, reward_groups

chances = st.integers(2, 18).map(lambda twentieths: twentieths / 20)


@many
@given(chances, chances, st.integers(1, 4), st.integers(1, 4))
def test_a_lagged_window_does_not_depend_on_the_batch(p_k: float, p_j: float, answers: int, window: int) -> None:
    assert abs(window_law((p_k, p_j), answers, window, current_included=False).dependence) < 1e-12


@some
@given(chances, chances, st.integers(1, 3), st.integers(1, 4))
def test_both_windows_measure_the_same_ratio_on_average(p_k: float, p_j: float, answers: int, window: int) -> None:
    # the agents are stationary: K batches are K batches
    with_current, lagged = (window_law((p_k, p_j), answers, window, current_included=i) for i in (True, False))
    assert with_current.mean(with_current.omega) == pytest.approx(lagged.mean(lagged.omega), rel=1e-12)
    assert with_current.omega_std == pytest.approx(lagged.omega_std, rel=1e-9, abs=1e-9)


def test_a_window_with_the_current_batch_does() -> None:
    # K = 1, one answer, p_k = p_j = 1/2. (R_k, R_j), each 1/4: ω = 1, 10 (clamp), 1/10, 1 for 00, 10, 01, 11
    # E[ω·R_j] = (1/10 + 1)/4 = 11/40; E[ω]·E[R_j] = (1 + 10 + 1/10 + 1)/4·(1/2) = 121/80; difference −99/80
    assert window_law((0.5, 0.5), 1, 1, current_included=True).dependence == pytest.approx(-99 / 80)


def test_with_one_prompt_and_one_step_it_undoes_the_sharing() -> None:
    # K = 1 and one prompt: ω·R̄_j = R̄_k where R̄_j > 0, so that the baseline is the learner's own group mean
    rewards = f64([[[1, 0, 1, 1]], [[1, 0, 0, 1]]])
    ratios = capability_ratio_matrix(CapabilityTracker(1).update(rewards.mean((-2, -1))))
    for learner in (0, 1):
        assert_close(capability_aware_mean(rewards, ratios, learner), rewards[learner].mean())


def test_it_fades_as_one_over_k() -> None:
    # to first order Cov(p̂_k/p̂_j, R̄_j) = −(p_k/p_j²)·Var(R̄_j)/K, with Var(R̄_j) = p_j(1 − p_j)/N
    windows, (p_k, p_j), answers = [4, 8, 16], (0.7, 0.6), 8
    laws = [window_law((p_k, p_j), answers, window, current_included=True) for window in windows]
    measured = -np.array([law.dependence for law in laws])
    assert np.polyfit(np.log(windows), np.log(measured), 1)[0] == pytest.approx(-1, abs=0.05)
    assert 16 * measured[-1] == pytest.approx(p_k / p_j**2 * p_j * (1 - p_j) / answers, rel=0.03)


def test_the_loops_sampled_dependence_agrees() -> None:
    """4096 independent windows of three sampled batches, measured by the tracker that trains."""
    generator = np.random.default_rng(0)
    for included in (True, False):
        law = window_law((0.6, 0.4), 4, 3, current_included=included)
        tracker = CapabilityTracker(3) if included else LaggedCapabilityTracker(3)
        batches = [torch.from_numpy(generator.binomial(4, (0.6, 0.4), size=(4096, 2)) / 4) for _ in range(4)]
        omega = [capability_ratio_matrix(tracker.update(batch))[:, 0, 1] for batch in batches][-1]
        product = (omega - law.mean(law.omega)) * (batches[-1][:, 1] - 0.4)
        assert_mean_is(product, law.dependence)


def test_the_dependence_is_a_bias_of_the_baseline() -> None:
    # two agents, one prompt, G = 2; the window holds one earlier step in which agent 0 had 3/4 and agent 1 1/2 right.
    # E[μ̂_0] with the ratio of each case minus E[μ̂_0] with its mean is Cov(ω, R̄_1)/2
    groups = reward_groups((0, 1), f64([[0.25, 0.75], [0.5, 0.5]]), group_size=2)
    tracker = CapabilityTracker(2)
    tracker.update(f64([0.75, 0.5]).expand(len(groups.rewards), 2))
    means = groups.rewards.mean(-1).squeeze(-1)  # (M, n)
    ratios = capability_ratio_matrix(tracker.update(means))
    actual = expected_baseline(groups, capability_aware_mean, ratios, 0)[0]
    mean_ratio = (groups.probabilities[:, None, None] * ratios).sum(0, keepdim=True)
    independent = expected_baseline(groups, capability_aware_mean, mean_ratio, 0)[0]
    omega = ratios[:, 0, 1]
    covariance = (groups.probabilities * omega * means[:, 1]).sum() - mean_ratio[0, 0, 1] * 0.5
    assert float(covariance) < -0.05
    assert_close(actual - independent, covariance / 2)


@some
@given(st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=2), min_size=2, max_size=8), st.integers(1, 4))
def test_the_lagged_capability_is_the_other_one_a_step_earlier(steps: list[list[float]], window: int) -> None:
    plain, lagged = CapabilityTracker(window), LaggedCapabilityTracker(window)
    now, before = ([tracker.update(f64(step)) for step in steps] for tracker in (plain, lagged))
    assert before[0].tolist() == [1, 1]
    assert all(torch.equal(a, b) for a, b in zip(before[1:], now[:-1], strict=True))
