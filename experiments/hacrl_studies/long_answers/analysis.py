"""The page's tables and figures, from the parts of the study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hacrl_lab.methods import get_method
from hacrl_runs.tables import Csv, decimals
from hacrl_studies.common.study import Results
from hacrl_studies.common.tuning import sweep_section
from hacrl_studies.long_answers import (
    by_length,
    by_pair,
    crossing,
    efficiency,
    law,
    networks,
    paper,
    parts,
    schedules,
    teams,
    width,
)
from hacrl_studies.long_answers.options import Options, Part
from hacrl_studies.long_answers.runs import Run
from hacrl_studies.long_answers.study import tuned_runs


def score(options: Options, results: Results) -> dict[str, float]:
    """The headline's gains by length, and the paper's cells that are reproduced."""
    gains = by_length.gains(options, results)
    numbers = {f"{method} − gspo, {length} tokens": comparison.mean for (length, method), comparison in gains.items()}
    double = by_length.against_double(options, results)
    numbers |= {f"hacpo − gspo_x2, {length} tokens": comparison.mean for length, comparison in double.items()}
    run = by_length.run_at(options, by_length.LENGTHS[-1], "hacpo")
    return {**numbers, "mean cross ratio of the preset": by_length.cross_means(results, run)["ratio"]}


def tables(options: Options, results: Results) -> dict[str, str]:
    """The placeholders of the page."""
    made = {
        name: table(options, results) if part in options.parts else LEFT_OUT
        for part, its_tables in TABLES.items()
        for name, table in its_tables.items()
    }
    return {**made, "sweep": sweep(options, results)}


def ratio_range(options: Options, results: Results) -> str:
    """Mean, smallest and largest mean cross ratio of a step, in a HACPO run at the longest length."""
    series = results[by_length.run_at(options, by_length.LENGTHS[-1], "hacpo")]["ratio"].mean((1, 2))
    return f"{series.mean():.3f} ({series.min():.3f} to {series.max():.3f})"


LAW = "law.png"
LEFT_OUT = "*Left out of this run.*"
TABLES: Mapping[Part, Mapping[str, Callable[[Options, Results], str]]] = {
    "lengths": {
        "lengths": by_length.table,
        "by_pair": by_pair.sentence,
        "efficiency": efficiency.table,
        "ratios": ratio_range,
    },
    "law": {
        "law_figure": lambda options, results: f"![shares that pass, predicted and measured; crossing lengths]({LAW})",
        "crossings": crossing.table,
    },
    "widths": {"widths": width.table},
    "schedules": {"schedules": schedules.table, "order": schedules.order_table},
    "ablations": {"ablations": parts.table},
    "paper": {"paper": paper.table},
    "teams": {"pairs": teams.pair_table, "sizes": teams.size_table, "costs": teams.cost_table},
    "networks": {"networks": networks.table},
}
"""Placeholders of the page by part."""


def _named(run: Run) -> list[str]:
    """Columns that say which run it is."""
    beginning, objective = run.beginning, run.training.objective
    usual, own = type(beginning)(), type(objective)()
    changed = [
        f"{name} {getattr(settings, name):g}"
        for settings, defaults in ((beginning, usual), (objective, own))
        for name in vars(settings)
        if getattr(settings, name) != getattr(defaults, name)
    ]
    setting = [*changed, *([f"{run.task.skills} skills"] if run.task.skills != type(run.task)().skills else [])]
    method = get_method(run.method)
    return [str(run.task.length), method.label, run.training.schedule_of(method).__name__, ", ".join(setting)]


SETTING = ("tokens", "method", "schedule", "non-default settings")


def sweep(options: Options, results: Results) -> str:
    """The learning rates that were tried."""
    rows = ((_named(run), results[run]) for run in tuned_runs(options))
    return sweep_section(SETTING, rows, options.tuning_seeds)


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """Success by run, agent and seed; success by step of the headline; what passes on the grid."""
    header = [*SETTING, "learning rate", "agent", "seed", "initial", "final", "ratio", "kept right", "kept wrong"]
    curves = ["tokens", "method", "step", *(f"seed {seed}" for seed in range(options.seeds))]
    by_file: dict[str, Csv] = {
        "long_answers.csv": (header, _by_seed(options, results)),
        "curves.csv": (curves, _curves(options, results)),
    }
    if "law" in options.parts:
        by_file["passing.csv"] = (PASSING, _passing(results))
    return by_file


PASSING = ("style_distance", "other", "tokens", "kappa", "deficit", "predicted", "measured", "hacpo_minus_gspo")


def _by_seed(options: Options, results: Results) -> Iterator[list[str]]:
    for run in tuned_runs(options):
        arrays = results[run]
        cross = [arrays[name].mean(0) for name in ("ratio", "kept_positive", "kept_negative")]
        rate = f"{float(arrays['rate']):.4g}"
        for k, agent in enumerate("abcd"[: run.beginning.agents]):
            for seed in range(options.seeds):
                values = [array[k, seed] for array in (arrays["success"][0], arrays["success"][-1], *cross)]
                yield [*_named(run), rate, agent, str(seed), *decimals(values)]


def _curves(options: Options, results: Results) -> Iterator[list[str]]:
    for run in by_length.runs(options):
        arrays = results[run]
        for step, values in zip(arrays["steps"], arrays["success"].mean(1), strict=True):
            yield [str(run.task.length), run.method, str(step), *decimals(values, digits=5)]


def _passing(results: Results) -> Iterator[list[str]]:
    for beginning in law.BEGINNINGS:
        arrays = results[law.Passing(beginning)]
        known = [arrays[name].mean() for name in ("style", "deficit")]
        gained = dict(zip(crossing.TRAINED_LENGTHS, crossing.gains(results, beginning).mean(-1), strict=True))
        for which, length in enumerate(law.LENGTHS):
            shares = [arrays[name][which].mean() for name in ("predicted", "measured")]
            yield [
                f"{beginning.style_distance:g}",
                f"{beginning.other:g}",
                str(length),
                *decimals([*known, *shares]),
                *(decimals([gained[length]]) if length in gained else [""]),
            ]


def figures(options: Options, results: Results, folder: Path) -> None:
    """The headline, agents against their partners' styles, and the law beside what was measured."""
    by_length.figure(options, results, folder / "gain.png")
    by_pair.figure(options, results, folder / "pairs.png")
    if "law" in options.parts:
        crossing.figure(results, folder / LAW)
