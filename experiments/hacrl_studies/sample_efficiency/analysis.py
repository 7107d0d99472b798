"""Rollouts needed to reach GSPO's final success, and the end against GSPO×2's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from hacrl_lab.methods import get_method
from hacrl_lab.plotting import draw_band, method_style
from hacrl_runs.tables import Csv, decimals, markdown_table
from hacrl_studies.common.comparison import TALLY, Comparison, compare, tally
from hacrl_studies.common.figures import team_panels
from hacrl_studies.common.study import Results
from hacrl_studies.common.teams import PAIRS, Team
from hacrl_studies.common.training import final_success
from hacrl_studies.common.tuning import sweep_section
from hacrl_studies.sample_efficiency.study import DOUBLE, REFERENCE, Options

RESAMPLES = 1000
ROUNDING = 1e-12


def rollouts(options: Options, method: str) -> np.ndarray:
    """Rollouts that each agent has generated before training and after every step: (steps + 1,)."""
    training = options.training
    a_step = training.prompts_per_step * training.group_size * get_method(method).rollout_factor
    return np.arange(options.steps + 1) * a_step


def needed(curve: np.ndarray, generated: np.ndarray, target: float) -> float:
    """Rollouts at which a curve first reaches the target, between steps by interpolation; inf if it does not.

    >>> needed(np.array([0.1, 0.3, 0.5]), np.array([0, 100, 200]), 0.4)
    150.0
    """
    reached = np.flatnonzero(curve >= target - ROUNDING)
    if len(reached) == 0:
        return float("inf")
    after = int(reached[0])
    if after == 0:
        return float(generated[0])
    share = (target - curve[after - 1]) / (curve[after] - curve[after - 1])
    return float(generated[after - 1] + share * (generated[after] - generated[after - 1]))


def relative_need(options: Options, results: Results, team: Team, method: str) -> tuple[float, float, float]:
    """Rollouts to reach GSPO's final success over all of GSPO's, by mean curves; seeds resampled together.

    Returns:
        The ratio and its 95 % bootstrap interval; inf where the target is not reached.
    """
    curves = results[team.name, method]["success"].mean(1)  # (steps + 1, S)
    targets = final_success(results[team.name, REFERENCE])  # (S,)
    generated, total = rollouts(options, method), rollouts(options, REFERENCE)[-1]
    seeds = curves.shape[-1]
    picks = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
    ratios = [needed(curves[:, pick].mean(-1), generated, float(targets[pick].mean())) / total for pick in picks]
    low, high = np.quantile(ratios, [0.025, 0.975], method="nearest")
    return needed(curves.mean(-1), generated, float(targets.mean())) / total, float(low), float(high)


def against_double(options: Options, results: Results) -> dict[tuple[str, str], Comparison]:
    """(name of the pair, method) -> its end against GSPO×2's."""
    keys = [(team.name, method) for team in PAIRS for method in options.methods if method != DOUBLE]
    final = {key: final_success(arrays) for key, arrays in results.items()}
    return compare({key: (final[key], final[key[0], DOUBLE]) for key in keys})


def score(options: Options, results: Results) -> dict[str, float]:
    """Each method's rollouts relative to GSPO's, and its end minus GSPO×2's, means over the pairs."""
    compared = against_double(options, results)
    numbers = {}
    for method in options.methods:
        ratios = [relative_need(options, results, team, method)[0] for team in PAIRS]
        numbers[f"need/{method}"] = float(np.mean(ratios))
        if method != DOUBLE:
            numbers[f"end/{method}"] = float(np.mean([compared[team.name, method].mean for team in PAIRS]))
    return numbers


def tables(options: Options, results: Results) -> dict[str, str]:
    """The placeholders of the page."""
    rows = (
        ([team.name, get_method(method).label], results[team.name, method])
        for team in PAIRS
        for method in options.methods
    )
    return {
        "summary": summary_table(options, results),
        "pairs": pairs_table(options, results),
        "sweep": sweep_section(["team", "method"], rows, options.tuning_seeds),
    }


def summary_table(options: Options, results: Results) -> str:
    """A line for each method: how its end compares with GSPO×2's, over the six pairs."""
    compared = against_double(options, results)
    rows = []
    for method in options.methods:
        ratios = [relative_need(options, results, team, method)[0] for team in PAIRS]
        need = f"{_ratio(min(ratios))} to {_ratio(max(ratios))}"
        mine = [compared[team.name, method] for team in PAIRS if method != DOUBLE]
        rows.append([get_method(method).label, need, *(tally(mine, "pairs") if mine else [""] * len(TALLY))])
    return markdown_table(
        ["method", "needed for GSPO's end, of GSPO's", *(f"GSPO×2's end: {column}" for column in TALLY)], rows
    )


def pairs_table(options: Options, results: Results) -> str:
    """The same by pair, with intervals."""
    compared = against_double(options, results)
    rows = []
    for team in PAIRS:
        name = f"**{team.name}**, {final_success(results[team.name, REFERENCE]).mean():.3f}"
        for method in options.methods:
            ratio, low, high = (_ratio(value) for value in relative_need(options, results, team, method))
            cost = [f"{rollouts(options, method)[-1]:,}", options.steps * options.training.updates(method, agents=2)]
            gain = compared.get((team.name, method), "")
            rows.append([name, get_method(method).label, *cost, f"{ratio} [{low}, {high}]", gain])
            name = ""
    header = ["team", "method", "rollouts of each agent", "updates of each agent"]
    return markdown_table([*header, "needed for GSPO's end, of GSPO's", "end − GSPO×2's end"], rows)


def _ratio(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "not reached"


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """The curves: one line for each team, method and step, one column for each seed."""
    rows = []
    for team in PAIRS:
        for method in options.methods:
            curve = results[team.name, method]["success"].mean(1)
            for step, (generated, values) in enumerate(zip(rollouts(options, method), curve, strict=True)):
                rows.append([team.name, method, step, generated, *decimals(values, digits=5)])
    header = ["team", "method", "step", "rollouts", *(f"seed {seed}" for seed in range(options.seeds))]
    return {"sample_efficiency.csv": (header, rows)}


def figures(options: Options, results: Results, folder: Path) -> None:
    """Success against rollouts generated, one panel a pair."""

    def draw(axes: Axes, team: Team) -> None:
        for method in options.methods:
            curve = results[team.name, method]["success"].mean(1)
            generated = rollouts(options, method).tolist()
            draw_band(axes, generated, curve, get_method(method).label, **method_style(method))

    title = f"Token chain, {options.seeds} seeds: success against its cost\n(bands: 95 % intervals, not paired)"
    labels = "rollouts generated by each agent", "exact success"
    team_panels(PAIRS, draw, *labels, title, folder / "rollouts.png")
