"""Which right answers pass the clip, and what sharing gains, by length."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure

from hacrl_demos.common import BLUE, GREY, LOOK, ORANGE, ROOT, Values, choice, finish, interactive_demo
from hacrl_lab.theory.passing import crossing_length, token_budget

PASSING = ROOT / "results" / "long_answers" / "passing.csv"
DELTA, DECISIVE = 0.2, 2
"""The settings of the measured grid."""
ANSWER_LENGTHS = (3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256)
SKILLS = {"known somewhat": 0.6, "not known": 0.0, "misread": -1.0}
"""How well the learner knows the skills that only the sampler was taught."""
STYLES = (0.2, 0.35, 0.45, 0.6)
"""Style distances of the measured grid."""
LABEL_SHIFTS = {0.2: 2, 0.35: -9}
"""In points, for labels at the ends of lines that end close together."""


@cache
def passing_grid() -> dict[tuple[float, float], dict[str, np.ndarray]]:
    """By style distance and knowledge, the columns of ``results/long_answers/passing.csv``; nan where not measured."""
    rows_of_point: dict[tuple[float, float], list[dict[str, str]]] = {}
    with PASSING.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows_of_point.setdefault((float(row["style_distance"]), float(row["other"])), []).append(row)
    columns = ("tokens", "kappa", "deficit", "predicted", "measured", "hacpo_minus_gspo")
    return {
        point: {name: np.array([float(row[name] or "nan") for row in rows]) for name in columns}
        for point, rows in rows_of_point.items()
    }


def long_answers_values(length: int, style: float, skills: str) -> Values:
    """What passes and what HACPO gains at a point of the measured grid, δ = 0.2, before the first update.

    Between measured lengths the numbers are interpolated linearly in the logarithm of the length.

    Args:
        length: L, tokens.
        style: style distance, one of the four that were measured.
        skills: of :data:`SKILLS`.
    """
    grid = passing_grid()[style, SKILLS[skills]]
    kappa, deficit = float(grid["kappa"][0]), float(grid["deficit"][0])
    share, how = _at_length(grid, "measured", length)
    gain, gain_how = _at_length(grid, "hacpo_minus_gspo", length)
    return {
        "kappa": kappa,
        "deficit": deficit,
        "budget": token_budget(DELTA),
        "crossing": float(crossing_length(token_budget(DELTA), kappa, deficit, DECISIVE)),
        "share": share,
        "share_how": how,
        "law": _at_length(grid, "predicted", length)[0],
        "gain": gain,
        "gain_how": gain_how,
    }


def _at_length(grid: Mapping[str, np.ndarray], column: str, length: int) -> tuple[float, str]:
    """A column at a length, and whether it was measured there."""
    known = ~np.isnan(grid[column])
    tokens, values = grid["tokens"][known], grid[column][known]
    if length in tokens:
        return float(values[tokens == length][0]), "measured"
    if length > tokens[-1]:
        return float("nan"), f"not measured above {tokens[-1]:.0f} tokens"
    after = int(np.searchsorted(tokens, length))
    between = f"interpolated between {tokens[after - 1]:.0f} and {tokens[after]:.0f} tokens"
    return float(np.interp(np.log(length), np.log(tokens), values)), between


def draw_long_answers(length: int, style: float, skills: str) -> Figure:
    """The share that passes and the gain against the length, for the selected skills and every style."""
    values = long_answers_values(length, style, skills)
    figure = Figure(figsize=(8.5, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (distance, other), grid in passing_grid().items():
        if other != SKILLS[skills]:
            continue
        selected = distance == style
        look: dict[str, Any] = {"color": BLUE if selected else GREY, "alpha": 1 if selected else 0.6}
        size, order = (5 if selected else 3), (3 if selected else 2)
        shift = (5, LABEL_SHIFTS.get(distance, -3))
        left.plot(grid["tokens"], 100 * grid["predicted"], zorder=order, **look)
        left.plot(grid["tokens"], 100 * grid["measured"], "o", markersize=size, zorder=order, **look)
        left.annotate(f"{distance:g}", (256, 100 * grid["predicted"][-1]), xytext=shift, textcoords="offset points")
        known = ~np.isnan(grid["hacpo_minus_gspo"])
        gains = grid["hacpo_minus_gspo"][known]
        right.plot(grid["tokens"][known], gains, "o-", markersize=size, zorder=order, **look)
        right.annotate(f"{distance:g}", (96, gains[-1]), xytext=shift, textcoords="offset points")
    for axes, value in ((left, 100 * float(values["share"])), (right, float(values["gain"]))):
        axes.axvline(length, color=ORANGE, linewidth=1)
        axes.plot(length, value, "D", color=ORANGE, zorder=4)
        axes.set_xscale("log", base=2)
        axes.set_xticks([4, 16, 64, 256], ["4", "16", "64", "256"])
        axes.set(xlabel="tokens in an answer", xlim=(2.7, 420))
    if np.isfinite(values["crossing"]):
        left.axvline(float(values["crossing"]), color="black", linestyle=":", linewidth=1)
        left.annotate("L*", (float(values["crossing"]), 101), ha="center")
    right.axhline(0, color="black", linewidth=0.8)
    left.set(
        ylabel="right answers that pass, %",
        ylim=(-3, 110),
        title="What passes, by style distance:\nlaw (lines) and measurement (dots)",
    )
    right.set(ylabel="success, HACPO − GSPO", title="What HACPO gains, mean of 32 seeds")
    finish(left, right)
    return figure


def long_answers() -> widgets.VBox:
    """Which right answers pass the clip, and what sharing gains, by length, style and skills."""
    return interactive_demo(
        draw_long_answers,
        {
            "length": widgets.SelectionSlider(
                description="tokens in an answer",
                options=ANSWER_LENGTHS,
                value=16,
                continuous_update=False,
                **LOOK,
            ),
            "style": choice("style distance", [(f"{value:g}", value) for value in STYLES], 0.35),
            "skills": choice("the learner's weak skills", [(value, value) for value in SKILLS], "known somewhat"),
        },
    )
