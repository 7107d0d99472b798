"""How methods are compared: the same seeds under both, intervals by bootstrap, corrections for many comparisons.

After Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice": interquartile means
with bootstrap intervals and probability of improvement rather than means of a few runs. Seeds are paired: a difference
is taken within a seed, whole seeds are resampled, and improvement is counted within seeds (their P(X > Y) compares all
runs with all; a pairing makes the difference of two methods on the same problem visible).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 4000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """One method against another on the same seeds."""

    mean: float
    """Mean difference."""
    low: float
    high: float
    """Its 95 % bootstrap interval (percentiles)."""
    improved: float
    """Share of the seeds in which the difference is above 0, ties half: probability of improvement, paired."""
    p_value: float
    """Wilcoxon's signed-rank test, two-sided, not corrected."""


def interquartile_mean(values: np.ndarray) -> float:
    """The mean of the middle half: neither outliers nor ties at a ceiling decide it."""
    return float(stats.trim_mean(values, 0.25))


def bootstrap_interval(values: np.ndarray, statistic: str = "mean", seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the mean or the interquartile mean of independent values."""
    generator = np.random.default_rng(seed)
    resampled = values[generator.integers(len(values), size=(RESAMPLES, len(values)))]
    centres = resampled.mean(1) if statistic == "mean" else stats.trim_mean(resampled, 0.25, axis=1)
    low, high = np.quantile(centres, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def compare(values: np.ndarray, reference: np.ndarray) -> Comparison:
    """Paired by seed; arrays (S,)."""
    difference = values - reference
    improved = ((difference > 0) + 0.5 * (difference == 0)).mean()
    p_value = float(np.asarray(stats.wilcoxon(difference))[1]) if np.any(difference) else 1.0
    return Comparison(float(difference.mean()), *bootstrap_interval(difference), float(improved), p_value)


def difference(one: Comparison, significant: bool) -> str:
    """As in the tables: mean difference, interval, and a star if it remains significant after correction."""
    return f"{one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]{' *' if significant else ''}"


def holm(p_values: Sequence[float], level: float = 1 - CONFIDENCE) -> list[bool]:
    """Which of many comparisons are significant together (Holm's step-down correction).

    >>> holm([0.001, 0.04, 0.03])
    [True, False, False]
    """
    order = np.argsort(p_values)
    significant = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - rank):
            break
        significant[int(index)] = True
    return significant
