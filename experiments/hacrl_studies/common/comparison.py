"""How methods are compared: the same seeds under both, intervals by bootstrap, corrections for many comparisons.

After Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice": interquartile means
with bootstrap intervals and probability of improvement rather than means of a few runs. Seeds are paired: a difference
is taken within a seed, whole seeds are resampled, and improvement is counted within seeds (their P(X > Y) compares all
runs with all; a pairing makes the difference of two methods on the same problem visible).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import stats

RESAMPLES = 4000
CONFIDENCE = 0.95

Key = TypeVar("Key")


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
    significant: bool
    """Wilcoxon's signed-rank test, two-sided, after Holm's correction over all comparisons made together."""

    def __str__(self) -> str:
        """As in the tables: mean difference, interval, and a star if it is significant."""
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]{' *' if self.significant else ''}"


def compare(pairs: Mapping[Key, tuple[np.ndarray, np.ndarray]]) -> dict[Key, Comparison]:
    """Compare many times, and correct for it once.

    Args:
        pairs: for each comparison the values and the reference's on the same seeds, both (S,).

    >>> values = np.arange(10.0)
    >>> comparisons = compare({"more": (values + 1, values), "same": (values, values)})
    >>> str(comparisons["more"]), comparisons["same"].improved
    ('+1.000 [+1.000, +1.000] *', 0.5)
    """
    differences = {key: values - reference for key, (values, reference) in pairs.items()}
    significant = holm([_p_value(difference) for difference in differences.values()])
    return {
        key: Comparison(float(difference.mean()), *bootstrap_interval(difference), _improved(difference), yes)
        for (key, difference), yes in zip(differences.items(), significant, strict=True)
    }


def _p_value(difference: np.ndarray) -> float:
    return float(np.asarray(stats.wilcoxon(difference))[1]) if np.any(difference) else 1.0


def _improved(difference: np.ndarray) -> float:
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


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


def interquartile_mean(values: np.ndarray) -> float:
    """The mean of the middle half: neither outliers nor ties at a ceiling decide it."""
    return float(stats.trim_mean(values, 0.25))


def bootstrap_interval(values: np.ndarray, statistic: str = "mean", seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the mean, or with "iqm" of the interquartile mean, of independent values (S,)."""
    generator = np.random.default_rng(seed)
    resampled = values[generator.integers(len(values), size=(RESAMPLES, len(values)))]
    centres = resampled.mean(1) if statistic == "mean" else stats.trim_mean(resampled, 0.25, axis=1)
    low, high = np.quantile(centres, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def means_and_errors(comparisons: Iterable[Comparison]) -> tuple[np.ndarray, np.ndarray]:
    """For a figure: mean differences, (N,), and the distances to the ends of their intervals, (2, N)."""
    means, low, high = np.array([(comparison.mean, comparison.low, comparison.high) for comparison in comparisons]).T
    return means, np.stack([means - low, high - means])


TALLY = ("significantly above on", "significantly below on", "smallest and largest difference")
"""The columns of :func:`tally`."""


def tally(comparisons: Sequence[Comparison], what: str) -> list[str]:
    """Cells of a table that say how several comparisons came out.

    Args:
        comparisons: at least one.
        what: what was compared, in the plural.

    >>> above = Comparison(0.1, 0.05, 0.15, 0.9, True)
    >>> tally([above, Comparison(-0.1, -0.3, 0.1, 0.4, False)], "pairs")
    ['1 of 2 pairs', '0 of 2 pairs', '-0.100, +0.100']
    """
    significant = [comparison.mean for comparison in comparisons if comparison.significant]
    counts = [sum(sign * mean > 0 for mean in significant) for sign in (1, -1)]
    means = [comparison.mean for comparison in comparisons]
    return [*(f"{count} of {len(comparisons)} {what}" for count in counts), f"{min(means):+.3f}, {max(means):+.3f}"]
