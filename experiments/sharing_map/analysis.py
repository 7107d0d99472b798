"""Tables, maps and CSV of what each agent gains or loses by sharing at every point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from scipy import stats

from common.comparison import Comparison, compare
from common.figures import new_figure, save
from common.study import Results
from common.tables import Csv, decimals, markdown_table
from common.testbeds import BANDIT
from common.tuning import sweep_section
from hacrl_lab.methods import get_method
from sharing_map.agents import NAMES, Place
from sharing_map.study import DISTANCES, GAPS, OVERLAPS, PLACES, REFERENCE, Options

Gains = Mapping[tuple[Place, str, int], Comparison]
"""(point, method, agent) -> the method against GSPO; one correction over all of them."""


def gains(options: Options, results: Results) -> Gains:
    """Each agent at each point under each method against GSPO."""

    def final(place: Place, method: str, k: int) -> np.ndarray:
        return results[place, method]["success"][-1, k]

    keys = product(PLACES, options.methods, range(len(NAMES)))
    return compare({(place, one, k): (final(place, one, k), final(place, REFERENCE, k)) for place, one, k in keys})


def score(options: Options, results: Results) -> dict[str, float]:
    """For each method and agent the mean gain over the points, and how many points help and hurt significantly."""
    found = gains(options, results)
    numbers: dict[str, float] = {}
    for method, (k, name) in product(options.methods, enumerate(NAMES)):
        here = [found[place, method, k] for place in PLACES]
        helps, hurts = _counts(here)
        values = {"gain": _mean(here), "helps": helps, "hurts": hurts}
        numbers |= {f"{what}/{method}/{name}": value for what, value in values.items()}
    return numbers


def _counts(found: list[Comparison]) -> tuple[int, int]:
    """At how many points a method helps and hurts significantly."""
    helps, hurts = (sum(one.significant and sign * one.mean > 0 for one in found) for sign in (1, -1))
    return helps, hurts


def _mean(found: list[Comparison]) -> float:
    return float(np.mean([one.mean for one in found]))


def tables(options: Options, results: Results) -> dict[str, str]:
    """How often each method helps and hurts, what gains go with, and the list of figures."""
    found = gains(options, results)
    first, *others = (f"![{get_method(method).label}]({method}.png)" for method in options.methods)
    pictures = {"picture": first, "pictures": "\n\n".join(others)}
    sizes = {name: str(value) for name, value in BANDIT.sizes().items()}
    tried = (
        ([place.gap, place.overlap, place.distance, get_method(method).label], arrays)
        for (place, method), arrays in results.items()
    )
    return {
        "table": _gains(found, options),
        "trends": _trends(found, results, options),
        "updates": str(options.steps * options.training.updates(REFERENCE, agents=1)),
        "sweep": sweep_section(["gap", "overlap", "distance", "method"], tried, options.tuning_seeds),
        **pictures,
        **sizes,
    }


def _gains(found: Gains, options: Options) -> str:
    """How often each method helps and hurts each agent, and where most."""
    rows = []
    for method, (k, name) in product(options.methods, enumerate(NAMES)):
        at = {place: found[place, method, k] for place in PLACES}
        best, worst = (choose(PLACES, key=lambda place: at[place].mean) for choose in (max, min))
        extremes = [f"{at[p].mean:+.3f} at ({p.gap}, {p.overlap}, {p.distance})" for p in (best, worst)]
        counts = [f"{count} of {len(PLACES)}" for count in _counts(list(at.values()))]
        rows.append([get_method(method).label, name, *counts, f"{_mean(list(at.values())):+.3f}", *extremes])
    return markdown_table(["method", "agent", "helps", "hurts", "mean gain", "most", "least"], rows)


def _trends(found: Gains, results: Results, options: Options) -> str:
    """Spearman's rank correlation of an agent's gain with each coordinate, over the points of the map."""
    rows = []
    for method, (k, name) in product(options.methods, enumerate(NAMES)):
        gain = [found[place, method, k].mean for place in PLACES]
        columns = [[getattr(place, axis) for place in PLACES] for axis in ("gap", "overlap", "distance")]
        columns += [[results[place, method][key][k].mean() for place in PLACES] for key in ("ratio", "clipped")]
        ranks = [f"{float(np.asarray(stats.spearmanr(column, gain))[0]):+.2f}" for column in columns]
        rows.append([get_method(method).label, name, *ranks])
    return markdown_table(["method", "agent", "gap", "overlap", "distance", "E_Q[s] before", "share clipped"], rows)


def figures(options: Options, results: Results, folder: Path) -> None:
    """One map for each method, all with the same colours."""
    found = gains(options, results)
    limit = max(abs(one.mean) for one in found.values())
    for method in options.methods:
        _plot_map(found, results, method, limit, f"{options.seeds} seeds", folder / f"{method}.png")


def _plot_map(found: Gains, results: Results, method: str, limit: float, seeds: str, path: Path) -> None:
    """Gain over GSPO: one row an agent, one column a distance, gap against overlap inside."""
    figure = new_figure(6.4)
    panels = figure.subplots(len(NAMES), len(DISTANCES), sharex=True, sharey=True)
    images: list[AxesImage] = []
    for (k, name), (column, distance) in product(enumerate(NAMES), enumerate(DISTANCES)):
        axes = panels[k][column]
        images.append(_plot_panel(axes, found, method, k, distance, limit))
        ratio = np.mean([results[p, method]["ratio"][k].mean() for p in PLACES if p.distance == distance])
        axes.set_title(f"the {name}, distance {distance}\nE_Q[s] = {ratio:.2f}", fontsize=10)
    for axes in panels[-1]:
        axes.set_xlabel("skill overlap")
    for row in panels:
        row[0].set_ylabel("capability gap")
    figure.colorbar(images[0], ax=panels, label="success after training − GSPO's")
    figure.suptitle(f"{get_method(method).label}: gain over training alone, {seeds}; ± half of the 95 % interval")
    save(figure, path)


def _plot_panel(axes: Axes, found: Gains, method: str, k: int, distance: float, limit: float) -> AxesImage:
    values = np.array([[found[Place(g, o, distance), method, k].mean for o in OVERLAPS] for g in GAPS])
    image = axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, origin="lower", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        one = found[Place(GAPS[row], OVERLAPS[column], distance), method, k]
        colour = "white" if abs(value) > 0.6 * limit else "black"
        text = f"{value:+.3f}{' *' if one.significant else ''}\n± {(one.high - one.low) / 2:.3f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
    axes.set_xticks(range(len(OVERLAPS)), [str(value) for value in OVERLAPS])
    axes.set_yticks(range(len(GAPS)), [str(value) for value in GAPS])
    return image


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each point, method, agent and seed."""
    header = ["gap", "overlap", "distance", "method", "agent", "seed", "initial", "final", "ratio", "clipped"]
    return {"sharing_map.csv": (header, _rows(results))}


def _rows(results: Results) -> Iterator[list[str]]:
    for (place, method), arrays in results.items():
        for k, name in enumerate(NAMES):
            columns = arrays["success"][0, k], arrays["success"][-1, k], arrays["ratio"][k], arrays["clipped"][k]
            for seed, values in enumerate(zip(*columns, strict=True)):
                head = [place.gap, place.overlap, place.distance, method, name, seed]
                yield [*map(str, head), *decimals(values)]
