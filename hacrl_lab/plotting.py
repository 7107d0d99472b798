"""What every figure shares: one look for each method, colours that colour-blind readers can distinguish, bands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hacrl_lab.evaluation import mean_interval
from hacrl_lab.files import atomic_write
from hacrl_lab.methods import METHODS, get_method

AGENT_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#999999",
)
"""The colours of Okabe and Ito, which colour-blind readers can distinguish; for agents and other categories."""
WIDTH = 8.5
"""Inches; about 820 pixels."""
DPI = 130
LINE_STYLES = ("-", "--", "-.", ":")


def method_style(name: str) -> dict[str, str]:
    """The one look of a method in every figure, as ``color`` and ``linestyle`` of matplotlib's ``plot``.

    The method's place in the table of methods decides: the first eight are solid lines in eight colours, the next eight
    dashed lines in the same colours, and so on. The family ``hacpo_alpha<number>`` is dotted in HACPO's colour.

    Raises:
        SettingError: an unknown method.

    >>> method_style("hacpo")
    {'color': '#D55E00', 'linestyle': '-'}
    """
    get_method(name)
    if name not in METHODS:
        return {"color": method_style("hacpo")["color"], "linestyle": ":"}
    row, column = divmod(list(METHODS).index(name), len(AGENT_COLOURS))
    return {"color": AGENT_COLOURS[column], "linestyle": LINE_STYLES[row]}


def draw_band(
    axes: Axes, x: Sequence[float], values: np.ndarray, label: str, *, color: str, linestyle: str = "-"
) -> None:
    """A curve's mean over independent units and its 95 % interval.

    Args:
        axes: where to draw.
        x: (points,).
        values: (points, units).
        label: for the legend.
        color, linestyle: as matplotlib names them; a method's are those of :func:`method_style`.
    """
    mean, half = np.array([mean_interval(at_one_point) for at_one_point in values]).T
    axes.plot(x, mean, linestyle, color=color, label=label)
    axes.fill_between(x, mean - half, mean + half, color=color, alpha=0.12, linewidth=0)


def new_figure(height: float) -> Figure:
    """A figure of the width of a page.

    Args:
        height: in inches.
    """
    return Figure(figsize=(WIDTH, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole."""
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=DPI)
