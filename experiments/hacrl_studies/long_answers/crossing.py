"""From which length on HACPO gains, beside the length from which the law lets right answers pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hacrl_envs.long_answers import LongAnswerTask
from hacrl_lab.plotting import AGENT_COLOURS, new_figure, save
from hacrl_runs.cache import Cell
from hacrl_runs.tables import markdown_table
from hacrl_studies.common.comparison import RESAMPLES
from hacrl_studies.common.figures import label_line_ends
from hacrl_studies.common.study import Results
from hacrl_studies.common.training import final_success
from hacrl_studies.common.writers import Beginning
from hacrl_studies.long_answers.law import BEGINNINGS, DISTANCES, HALF, LENGTHS, OTHERS, Passing, crossing, crossings
from hacrl_studies.long_answers.options import Options
from hacrl_studies.long_answers.runs import LEARNING_RATE, QUESTIONS, Run, train

TRAINED_LENGTHS = (3, 6, 12, 24, 48, 96)
NEVER = 512
"""Where the figure puts what does not cross."""
NAMES = dict(zip(OTHERS, ("known somewhat", "not known", "misread"), strict=True))
Key = tuple[str, Beginning, int]
"""Method, point of the grid, length."""


def keys() -> list[Key]:
    """HACPO at every point of the grid and length, and GSPO at every length for every kind of weak skill.

    Styles do not matter to an agent that learns alone.
    """
    shared = [("hacpo", beginning, length) for beginning in BEGINNINGS for length in TRAINED_LENGTHS]
    return [
        *shared,
        *(("gspo", _alone(first), length) for first in BEGINNINGS[:: len(DISTANCES)] for length in TRAINED_LENGTHS),
    ]


def _alone(beginning: Beginning) -> Beginning:
    return replace(beginning, style_distance=BEGINNINGS[0].style_distance)


def cells(options: Options) -> dict[Key, Cell]:
    """Trainings with one learning rate, that of the headline's base."""
    trainings = {}
    for method, beginning, length in keys():
        run = Run(method, replace(LongAnswerTask(), length=length), beginning, options.training)
        compute = partial(train, run, options.steps, range(options.seeds))
        settings: dict[str, Any] = {"steps": options.steps, "seeds": options.seeds, "questions": QUESTIONS}
        trainings[method, beginning, length] = Cell(
            f"crossing-{length}-{method}", compute, {**settings, "learning_rate": LEARNING_RATE, **run.description}
        )
    return trainings


def gains(results: Results, beginning: Beginning) -> np.ndarray:
    """HACPO − GSPO by length and seed: (lengths, S)."""
    return np.array(
        [
            final_success(results["hacpo", beginning, length])
            - final_success(results["gspo", _alone(beginning), length])
            for length in TRAINED_LENGTHS
        ]
    )


def gain_crossing(results: Results, beginning: Beginning, share: float) -> tuple[float, float, float]:
    """The length at which the mean gain first reaches a share of the full one, and its 95 % bootstrap interval.

    The full gain is that of the longest answers with the closest styles, where nearly all right answers pass.

    Args:
        results: of the study.
        beginning: on the grid.
        share: 0 for where a gain begins, 0.5 for where it is half of the full one.
    """
    gained, full = gains(results, beginning), gains(results, _alone(beginning))[-1]
    picks = np.random.default_rng(0).integers(gained.shape[1], size=(RESAMPLES, gained.shape[1]))

    def length(pick: np.ndarray) -> float:
        return crossing(TRAINED_LENGTHS, gained[:, pick].mean(-1), share * float(full[pick].mean()))

    low, high = np.quantile([length(pick) for pick in picks], [0.025, 0.975], method="nearest")
    return length(np.arange(gained.shape[1])), float(low), float(high)


def length_text(value: float, grid: Sequence[float]) -> str:
    """A crossing length for a table."""
    if np.isinf(value):
        return f"not up to {grid[-1]}"
    return f"≤ {grid[0]}" if value <= grid[0] else f"{value:.0f}"


def table(options: Options, results: Results) -> str:
    """A line for each point of the grid: predicted and measured lengths."""
    lines = []
    for point in crossings(results):
        formula = "never" if np.isinf(point.formula) else f"{point.formula:.0f}"
        lines.append(
            [
                NAMES[point.beginning.other],
                f"{point.beginning.style_distance:g}",
                f"{point.style:.3f}",
                f"{point.deficit:.1f}",
                formula,
                length_text(point.predicted, LENGTHS),
                length_text(point.measured, LENGTHS),
                *(_interval(gain_crossing(results, point.beginning, share)) for share in (0.5, 0.0)),
            ]
        )
    header = ["weak skills", "style distance", "κ, nats per token", "D, nats", "L*", "half pass: predicted", "measured"]
    return markdown_table([*header, "half of HACPO's gain from", "HACPO − GSPO above 0 from"], lines)


def _interval(lengths: tuple[float, float, float]) -> str:
    value, low, high = (length_text(length, TRAINED_LENGTHS) for length in lengths)
    return f"{value} [{low}, {high}]"


def figure(results: Results, path: Path) -> None:
    """Left: measured shares on the law's curves. Right: measured crossing lengths against predicted ones."""
    drawing = new_figure(5.2)
    left, right = drawing.subplots(1, 2)
    for which, distance in enumerate(DISTANCES):
        arrays = results[Passing(Beginning(style_distance=distance, other=OTHERS[0]))]
        law, sampled = (100 * arrays[name].mean(-1) for name in ("predicted", "measured"))
        left.plot(LENGTHS, law, color=AGENT_COLOURS[which], label=f"{distance:g}")
        left.plot(LENGTHS, sampled, "o", color=AGENT_COLOURS[which])
    left.set(xlabel="tokens in an answer", ylabel="right answers that pass, %", ylim=(0, 108))
    left.set_title("Law (lines) and measurement (dots)\nfor four style distances")
    left.set_xscale("log", base=2)
    left.set_xticks([4, 16, 64, 256], ["4", "16", "64", "256"])
    _draw_crossings(right, results)
    for axes in (left, right):
        axes.title.set_fontsize(11)
        axes.grid(alpha=0.25)
    drawing.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    label_line_ends(drawing, [left])
    save(drawing, path)


def _draw_crossings(axes: Any, results: Results) -> None:
    """Two marks for each point of the grid: where half pass, and where HACPO has half of its gain."""
    for which, other in enumerate(OTHERS):
        points = [point for point in crossings(results) if point.beginning.other == other]
        x = [min(point.predicted, NEVER) for point in points]
        colour = AGENT_COLOURS[which]
        measured = [min(point.measured, NEVER) for point in points]
        axes.plot(x, measured, "o", color=colour, label=f"half pass, {NAMES[other]}")
        gained = [min(gain_crossing(results, point.beginning, HALF)[0], NEVER) for point in points]
        axes.plot(x, gained, "D", color=colour, markerfacecolor="white", label=f"half of the gain, {NAMES[other]}")
    axes.plot([3, NEVER], [3, NEVER], color="black", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    ticks = [4, 16, 64, 256, NEVER]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [*(str(tick) for tick in ticks[:-1]), "none"])
    axes.set(
        xlabel="predicted length at which half pass",
        ylabel="measured length",
        title="Lengths at which half is reached\nfor three kinds of weak skills",
    )
