"""How many rollouts a method needs for the success at which GSPO×2 ends."""

from __future__ import annotations

import numpy as np

from hacrl_lab.methods import get_method
from hacrl_runs.tables import markdown_table, with_interval
from hacrl_studies.common.comparison import RESAMPLES
from hacrl_studies.common.study import Results
from hacrl_studies.long_answers.by_length import DOUBLE, LENGTHS, METHODS, run_at
from hacrl_studies.long_answers.options import Options
from hacrl_studies.sample_efficiency.analysis import needed


def relative_need(options: Options, results: Results, length: int, method: str) -> tuple[float, tuple[float, float]]:
    """Rollouts to reach GSPO×2's final success over all of GSPO×2's, by mean curves, and its 95 % bootstrap interval.

    It is infinite where the target is not reached.
    """
    mine, double = (results[run_at(options, length, name)] for name in (method, DOUBLE))
    curves, targets = mine["success"].mean(1), double["success"].mean(1)
    factor = get_method(method).rollout_factor / get_method(DOUBLE).rollout_factor
    generated = factor * mine["steps"] / options.steps
    seeds = curves.shape[-1]
    picks = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))

    def ratio(pick: np.ndarray) -> float:
        return needed(curves[:, pick].mean(-1), generated, float(targets[-1, pick].mean()))

    low, high = np.quantile([ratio(pick) for pick in picks], [0.025, 0.975], method="nearest")
    return ratio(np.arange(seeds)), (float(low), float(high))


def table(options: Options, results: Results) -> str:
    """A line for each length, a column for each method."""
    others = [method for method in METHODS if method != DOUBLE]
    rows = [
        [length, *(_text(*relative_need(options, results, length, method)) for method in others)] for length in LENGTHS
    ]
    return markdown_table(["tokens", *(get_method(method).label for method in others)], rows)


def _text(ratio: float, interval: tuple[float, float]) -> str:
    if np.isinf(ratio):
        return "not reached"
    return with_interval(ratio, interval, ".2f").replace("inf", "not reached")
