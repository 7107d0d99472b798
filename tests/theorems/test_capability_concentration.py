"""The measured capability, as in the paper's revision of May 2026 but in our words: it concentrates, and it lags.

P̂ over K steps of B prompts with G answers each has Var(P̂) = (Var_q(p) + E_q[p(1 − p)]/G)/(K·B): the rate 1/√(K·B·G)
holds for equally hard prompts only.
"""

import numpy as np
import pytest
import torch
from drawing import assert_mean_is, f64, many
from hypothesis import given
from hypothesis import strategies as st

from hacrl_lab.capability import CapabilityTracker, LaggedCapabilityTracker
from hacrl_lab.theory.capability_window import capability_variance, window_law


def sampled_variance(successes: list[float], window: int, batch: int, group_size: int) -> torch.Tensor:
    """(P̂ − p̄)² of 4096 independent windows, by the tracker that trains."""
    generator = np.random.default_rng(0)
    tracker = CapabilityTracker(window)

    def step() -> torch.Tensor:
        drawn = generator.choice(successes, size=(4096, batch))
        return tracker.update(torch.from_numpy(generator.binomial(group_size, drawn).mean(-1) / group_size))

    capability = [step() for _ in range(window)][-1]
    return torch.square(capability - float(np.mean(successes)))


@pytest.mark.parametrize("successes", [[0.3, 0.3], [0.0, 1.0], [0.1, 0.5, 0.6]])
def test_the_variance_is_that_between_prompts_and_within_them(successes: list[float]) -> None:
    for window, batch, group_size in ((1, 2, 4), (5, 3, 2)):
        exact = capability_variance(f64(successes), window, batch, group_size)
        assert_mean_is(sampled_variance(successes, window, batch, group_size), exact)


@many
@given(st.floats(0.01, 0.99), st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))
def test_equally_hard_prompts_give_the_rate_of_independent_answers(p: float, k: int, b: int, g: int) -> None:
    assert capability_variance(f64([p, p]), k, b, g) == pytest.approx(p * (1 - p) / (k * b * g), rel=1e-12)


def test_more_answers_to_the_same_prompts_do_not_help_when_the_prompts_decide() -> None:
    # half of the prompts are always solved, half never: Var = (1/4)/(K·B) for every G
    for group_size in (1, 8, 64):
        assert capability_variance(f64([0, 1]), 5, 2, group_size) == pytest.approx(1 / 40)


def test_the_ratio_settles_at_the_same_rate() -> None:
    # to first order Var(ω)/ω² = ((1 − p_k)/p_k + (1 − p_j)/p_j)/(K·N), the delta method
    windows, (p_k, p_j), answers = [4, 8, 16], (0.7, 0.6), 8
    stds = [window_law((p_k, p_j), answers, k, current_included=True).omega_std for k in windows]
    assert np.polyfit(np.log(windows), np.log(stds), 1)[0] == pytest.approx(-0.5, abs=0.05)
    first_order = p_k / p_j * ((1 - p_k) / p_k + (1 - p_j) / p_j) ** 0.5
    assert stds[-1] * (16 * answers) ** 0.5 == pytest.approx(first_order, rel=0.03)


@many
@given(st.floats(0.1, 0.5), st.floats(0, 0.02), st.integers(1, 8))
def test_it_lags_behind_agents_that_improve(start: float, slope: float, window: int) -> None:
    # accuracy start + slope·t: the mean of the last K steps is that of (K − 1)/2 steps ago, of the lagged one (K + 1)/2
    for tracker, steps_behind in (
        (CapabilityTracker(window), (window - 1) / 2),
        (LaggedCapabilityTracker(window), (window + 1) / 2),
    ):
        capability = [tracker.update(f64([start + slope * t])).item() for t in range(20)][-1]
        assert capability == pytest.approx(start + slope * (19 - steps_behind), rel=1e-12)
