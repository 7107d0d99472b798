"""Tables, figures and CSV of what each agent gains or loses by sharing at every point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from hacrl_lab.methods import get_method
from hacrl_lab.plotting import new_figure, save
from hacrl_runs.tables import Csv, decimals, markdown_table
from hacrl_studies.common.comparison import Comparison, compare, means_and_errors
from hacrl_studies.common.figures import mark
from hacrl_studies.common.study import Results
from hacrl_studies.common.testbeds import BANDIT
from hacrl_studies.common.tuning import sweep_section
from hacrl_studies.sharing_map.agents import NAMES, MapPoint
from hacrl_studies.sharing_map.study import DISTANCES, GAPS, MAP_POINTS, OVERLAPS, REFERENCE, Options

Gains = Mapping[tuple[MapPoint, str, int], Comparison]
"""(point, method, agent) -> the method against GSPO; one correction over all of them."""
SHOWN = ("hacpo", "naive", "hacpo_ppo_clip_alpha0")
"""The methods that carry the finding."""


def gains(options: Options, results: Results) -> Gains:
    """Each agent at each point under each method against GSPO."""

    def final(point: MapPoint, method: str, k: int) -> np.ndarray:
        return results[point, method]["success"][-1, k]

    keys = product(MAP_POINTS, options.methods, range(len(NAMES)))
    return compare({key: (final(*key), final(key[0], REFERENCE, key[2])) for key in keys})


def score(options: Options, results: Results) -> dict[str, float]:
    """For each method and agent the mean gain over the points, and how many points help and hurt significantly."""
    compared = gains(options, results)
    numbers: dict[str, float] = {}
    for method, (k, name) in product(options.methods, enumerate(NAMES)):
        here = [compared[point, method, k] for point in MAP_POINTS]
        helps, hurts = _counts(here)
        values = {"gain": _mean(here), "helps": helps, "hurts": hurts}
        numbers |= {f"{what}/{method}/{name}": value for what, value in values.items()}
    return numbers


def _counts(comparisons: list[Comparison]) -> tuple[int, int]:
    """At how many points a method helps and hurts significantly."""
    significant = [comparison.mean for comparison in comparisons if comparison.significant]
    return sum(mean > 0 for mean in significant), sum(mean < 0 for mean in significant)


def _mean(comparisons: list[Comparison]) -> float:
    return float(np.mean([comparison.mean for comparison in comparisons]))


def tables(options: Options, results: Results) -> dict[str, str]:
    """How often each method helps and hurts, what gains go with, and the list of figures."""
    compared = gains(options, results)
    first, *others = (f"![{_named(methods)}: gain over GSPO]({name})" for name, methods in pictures(options).items())
    fold = f"<details><summary>The other methods</summary>\n\n{others[0]}\n\n</details>" if others else ""
    sizes = {name: str(value) for name, value in BANDIT.sizes().items()}
    tried = (
        ([point.gap, point.overlap, point.distance, get_method(method).label], arrays)
        for (point, method), arrays in results.items()
    )
    return {
        "table": _gains(compared, options),
        "trends": _trends(compared, results, options),
        "updates": str(options.steps * options.training.updates(REFERENCE, agents=1)),
        "sweep": sweep_section(["gap", "overlap", "distance", "method"], tried, options.tuning_seeds),
        "picture": first,
        "others": fold,
        **sizes,
    }


def _named(methods: Sequence[str]) -> str:
    return "; ".join(get_method(method).label for method in methods)


def _gains(compared: Gains, options: Options) -> str:
    """How often each method helps and hurts each agent, and where most."""
    rows = []
    for method, (k, name) in product(options.methods, enumerate(NAMES)):
        at = {point: compared[point, method, k] for point in MAP_POINTS}
        best, worst = (choose(MAP_POINTS, key=lambda point: at[point].mean) for choose in (max, min))
        extremes = [f"{at[p].mean:+.3f} at ({p.gap}, {p.overlap}, {p.distance})" for p in (best, worst)]
        counts = [f"{count} of {len(MAP_POINTS)}" for count in _counts(list(at.values()))]
        rows.append([get_method(method).label, name, *counts, f"{_mean(list(at.values())):+.3f}", *extremes])
    return markdown_table(["method", "agent", "helps", "hurts", "mean gain", "most", "least"], rows)


def _trends(compared: Gains, results: Results, options: Options) -> str:
    """Spearman's rank correlation of an agent's gain with each coordinate, over the points of the map."""
    rows = []
    for method, (k, name) in product(options.methods, enumerate(NAMES)):
        gain = [compared[point, method, k].mean for point in MAP_POINTS]
        columns = [[getattr(point, axis) for point in MAP_POINTS] for axis in ("gap", "overlap", "distance")]
        columns += [[results[point, method][key][k].mean() for point in MAP_POINTS] for key in ("ratio", "clipped")]
        ranks = [f"{float(np.asarray(stats.spearmanr(column, gain))[0]):+.2f}" for column in columns]
        rows.append([get_method(method).label, name, *ranks])
    return markdown_table(["method", "agent", "gap", "overlap", "distance", "E_Q[s] before", "share clipped"], rows)


def figures(options: Options, results: Results, folder: Path) -> None:
    """The gains at all points: of the methods that carry the finding, and apart from them of the others."""
    compared = gains(options, results)
    for name, methods in pictures(options).items():
        _plot_gains(compared, results, methods, options.seeds, folder / name)


def pictures(options: Options) -> dict[str, list[str]]:
    """File -> its methods. Where none of :data:`SHOWN` is compared, all are in the first."""
    first = [method for method in options.methods if method in SHOWN] or list(options.methods)
    others = [method for method in options.methods if method not in first]
    return {"gains.png": first, **({"others.png": others} if others else {})}


def _plot_gains(compared: Gains, results: Results, methods: Sequence[str], seeds: int, path: Path) -> None:
    """Gain over GSPO: one row an agent, one column a distance; inside, overlaps side by side, each with three gaps."""
    figure = new_figure(6.4)
    panels = figure.subplots(len(NAMES), len(DISTANCES), sharex=True, sharey=True)
    for (k, name), (column, distance) in product(enumerate(NAMES), enumerate(DISTANCES)):
        axes = panels[k][column]
        for number, method in enumerate(methods):
            shift = 0.22 * (number - (len(methods) - 1) / 2)
            _draw_gains(axes, compared, method, k, distance, shift)
        ratio = np.mean([results[p, methods[0]]["ratio"][k].mean() for p in MAP_POINTS if p.distance == distance])
        axes.set_title(f"the {name}, distance {distance:g}\nE_Q[s] = {ratio:.2f}", fontsize=10)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.grid(axis="y", alpha=0.25)
    panels[-1][0].set_xticks(_positions().ravel(), [_tick(*coordinates) for coordinates in product(OVERLAPS, GAPS)])
    panels[-1][len(DISTANCES) // 2].set_xlabel("capability gap, at each skill overlap")
    for axes in panels[-1]:
        axes.tick_params(axis="x", labelsize=9)
    for row in panels:
        row[0].set_ylabel("success − GSPO's")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    heading = f"Gain over training alone, {seeds} seeds, 95 % bootstrap intervals; filled marks: significant together"
    figure.suptitle(heading, fontsize=11)
    save(figure, path)


def _positions() -> np.ndarray:
    """Where points are on the horizontal axis: (overlaps, gaps)."""
    return (len(GAPS) + 1) * np.arange(len(OVERLAPS))[:, None] + np.arange(len(GAPS))


def _tick(overlap: float, gap: float) -> str:
    """The gap, and beneath the middle one of an overlap its overlap."""
    return f"{gap:g}\noverlap {overlap:g}" if gap == GAPS[len(GAPS) // 2] else f"{gap:g}"


def _draw_gains(axes: Axes, compared: Gains, method: str, k: int, distance: float, shift: float) -> None:
    """One method's gains of one agent with their intervals; a line joins the points of an overlap."""
    colour, marker = mark(method)
    for positions, overlap in zip(_positions() + shift, OVERLAPS, strict=True):
        here = [compared[MapPoint(gap, overlap, distance), method, k] for gap in GAPS]
        means, errors = means_and_errors(here)
        axes.errorbar(positions, means, errors, color=colour, linewidth=1, marker="", capsize=2)
        for position, comparison in zip(positions, here, strict=True):
            face = colour if comparison.significant else "white"
            axes.plot(position, comparison.mean, marker, color=colour, markerfacecolor=face, markersize=5)
    axes.plot([], [], f"{marker}-", color=colour, label=get_method(method).label)


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each point, method, agent and seed."""
    header = ["gap", "overlap", "distance", "method", "agent", "seed", "initial", "final", "ratio", "clipped"]
    return {"sharing_map.csv": (header, _rows(results))}


def _rows(results: Results) -> Iterator[list[str]]:
    for (point, method), arrays in results.items():
        for k, name in enumerate(NAMES):
            columns = arrays["success"][0, k], arrays["success"][-1, k], arrays["ratio"][k], arrays["clipped"][k]
            for seed, values in enumerate(zip(*columns, strict=True)):
                head = [point.gap, point.overlap, point.distance, method, name, seed]
                yield [*map(str, head), *decimals(values)]
