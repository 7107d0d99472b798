"""Tables, figures and CSVs of importance ratios: their means, their spread about the clip bounds, and their drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hacrl_lab.evaluation import mean_interval
from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS, new_figure, save
from hacrl_runs.tables import Csv, decimals, markdown_table, with_interval
from hacrl_studies.common.comparison import bootstrap_interval
from hacrl_studies.common.figures import label_line_ends
from hacrl_studies.common.study import Results
from hacrl_studies.importance_ratios.recording import MEASURES
from hacrl_studies.importance_ratios.study import Options

Measures = Mapping[str, np.ndarray]
"""Arrays of :func:`hacrl_studies.importance_ratios.recording.record`, of one pair."""


def of_kind(values: np.ndarray, own: bool) -> np.ndarray:
    """Self or cross, mean over the learners: (steps, learners, samplers, M, S) -> (steps, M, S)."""
    same = np.eye(values.shape[1], dtype=bool)
    return values[:, same if own else ~same].mean(1)


def drift(measures: Measures, own: bool) -> np.ndarray:
    """How the mean ratio changes from the step's first mini-batch to each, (M, units).

    Units are seeds, mean over steps; of a single seed they are its steps.
    """
    ratio = of_kind(measures["ratio"], own)  # (steps, M, S)
    by_unit = ratio.mean(0) if ratio.shape[-1] > 1 else ratio[..., 0].T
    return by_unit - by_unit[:1]


def score(options: Options, results: Results) -> dict[str, float]:
    """By pair the mean self and cross ratio, and the drift of the cross ratio within a step."""
    numbers: dict[str, float] = {}
    for name, measures in results.items():
        for own, kind in ((True, "self"), (False, "cross")):
            numbers[f"{kind}_ratio/{name}"] = float(of_kind(measures["ratio"], own).mean())
            numbers[f"{kind}_drift/{name}"] = float(drift(measures, own)[-1].mean())
    return numbers


def tables(options: Options, results: Results) -> dict[str, str]:
    """Table 6, the table of Appendix C, and how far the bound moves within a step."""
    training = options.training
    language = f"; language models: the pair of `llm_pair.py`, {options.language_steps} steps, one seed"
    return {
        "table": _ratios(results),
        "drifts": _drifts(results),
        "moved": f"{(training.minibatches - 1) * training.objective.delta_step:.3f}",
        "method": get_method(options.method).label,
        "and_language": language if options.language_pair else "",
    }


def _ratios(results: Results) -> str:
    """Table 6: per-step means, their range over steps, and where the cross rollouts lie about the clip bounds."""
    rows = []
    for name, measures in results.items():
        columns = []
        for own in (True, False):
            by_step = of_kind(measures["ratio"], own).mean(1)  # (steps, S)
            steps = by_step.mean(-1)
            columns += [_mean_and_interval(by_step.mean(0)), f"{steps.min():.3f} to {steps.max():.3f}"]
        below, above = (float(of_kind(measures[key], own=False).mean()) for key in ("below", "above"))
        rows.append([name, *columns, *(f"{share:.0%}" for share in (below, 1 - below - above, above))])
    kinds = ["self: mean s", "over steps", "cross: mean s", "over steps"]
    return markdown_table(["pair", *kinds, "below the bound", "within", "above 1"], rows)


def _drifts(results: Results) -> str:
    """Appendix C: last mini-batch minus first, self and cross."""
    rows = [
        [name, *(_mean_and_interval(drift(measures, own)[-1], "+.4f") for own in (True, False))]
        for name, measures in results.items()
    ]
    return markdown_table(["pair", "self", "cross"], rows)


def _mean_and_interval(values: np.ndarray, form: str = ".4f") -> str:
    """Over seeds or steps; a single value has no interval."""
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return with_interval(float(values.mean()), bootstrap_interval(values), form)


def figures(options: Options, results: Results, folder: Path) -> None:
    """Per-step means against steps; and the change within a step."""
    seeds = f"{options.seeds} seeds" + ("; language models: one seed" if options.language_pair else "")
    _plot_ratios(options, results, seeds, folder / "ratios.png")
    _plot_drifts(options, results, seeds, folder / "drift.png")


def _plot_ratios(options: Options, results: Results, seeds: str, path: Path) -> None:
    figure = new_figure(5)
    axes = figure.subplots()
    for colour, (name, measures) in zip(cycle(AGENT_COLOURS), results.items(), strict=False):
        for own, style in ((True, "--"), (False, "-")):
            steps = of_kind(measures["ratio"], own).mean((1, 2))
            axes.plot(range(1, len(steps) + 1), steps, style, color=colour, label=None if own else name)
    bound = 1 - options.training.objective.delta
    axes.axhline(bound, color="black", linewidth=0.6, linestyle=":")
    axes.annotate("1 − δ", (0.98, bound), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    axes.set(
        title=f"Others' rollouts (lines) and own (dashed); {get_method(options.method).label}, {seeds}",
        xlabel="training step",
        ylabel="mean importance ratio s",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.title.set_fontsize(11)
    axes.grid(alpha=0.25)
    label_line_ends(figure, [axes])
    save(figure, path)


def _plot_drifts(options: Options, results: Results, seeds: str, path: Path) -> None:
    figure = new_figure(4.8)
    panels = figure.subplots(1, 2)
    for axes, own, kind in zip(panels, (True, False), ("Own", "Others'"), strict=True):
        for colour, (name, measures) in zip(cycle(AGENT_COLOURS), results.items(), strict=False):
            _draw_drift(axes, drift(measures, own), colour, name)
        axes.set(title=f"{kind} rollouts", xlabel="mini-batch updates made, m")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
    minibatches, step = np.arange(options.training.minibatches), options.training.objective.delta_step
    panels[1].plot(minibatches, minibatches * step, ":", color="black", linewidth=1, label="the bound, m·δ_step")
    panels[0].set_ylabel("mean s, minus its value at m = 0")
    intervals = "95 % t intervals over seeds" + (" (language models: over steps)" if options.language_pair else "")
    figure.suptitle(f"Drift within a step, {seeds};\n{intervals}", fontsize=11)
    label_line_ends(figure, panels)
    save(figure, path)


def _draw_drift(axes: Axes, change: np.ndarray, colour: str, label: str) -> None:
    """Mean over units with its 95 % interval."""
    mean, half = np.array([mean_interval(values) for values in change]).T
    axes.errorbar(range(len(change)), mean, half, marker=".", color=colour, capsize=2, linewidth=1, label=label)


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """Means over seeds by step and mini-batch; and by seed what the tables are made of."""
    by_seed = ["pair", "seed", "self_ratio", "cross_ratio", "cross_below", "cross_above", "self_drift", "cross_drift"]
    return {
        "importance_ratios.csv": (["pair", "learner", "sampler", "step", "minibatch", *MEASURES], _rows(results)),
        "by_seed.csv": (by_seed, _rows_by_seed(results)),
    }


def _rows(results: Results) -> Iterator[list[str]]:
    """One line for each pair, learner, sampler, step and mini-batch: means over seeds."""
    for name, measures in results.items():
        means = np.stack([measures[key].mean(-1) for key in MEASURES], axis=-1)
        for (step, learner, sampler, minibatch), _ in np.ndenumerate(means[..., 0]):
            head = [learner + 1, sampler + 1, step + 1, minibatch]
            yield [name, *map(str, head), *decimals(means[step, learner, sampler, minibatch])]


def _rows_by_seed(results: Results) -> Iterator[list[str]]:
    """One line for each pair and seed: means over steps, mini-batches and learners."""
    for name, measures in results.items():
        columns = [of_kind(measures["ratio"], own).mean((0, 1)) for own in (True, False)]
        columns += [of_kind(measures[key], own=False).mean((0, 1)) for key in ("below", "above")]
        by_minibatch = [of_kind(measures["ratio"], own).mean(0) for own in (True, False)]  # (M, S)
        columns += [ratio[-1] - ratio[0] for ratio in by_minibatch]
        for seed, values in enumerate(zip(*columns, strict=True)):
            yield [name, str(seed), *decimals(values)]
