"""Figures at the width at which pages show them, so that text keeps its size (ten points; titles twelve)."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import offset_copy
from scipy.optimize import isotonic_regression

from hacrl_lab.plotting import LINE_STYLES, method_style, new_figure, save
from hacrl_studies.common.teams import Team

LABEL_WIDTH = 16
"""Characters in a line of a label at a line's end."""
MARKERS: dict[str, str] = dict(zip(LINE_STYLES, "os^D", strict=True))


def mark(method: str) -> tuple[str, str]:
    """A method's colour, and a mark in place of its line style, for figures of points.

    >>> mark("hacpo")
    ('#D55E00', 'o')
    """
    style = method_style(method)
    return style["color"], MARKERS[style["linestyle"]]


def team_panels(
    teams: Sequence[Team], draw: Callable[[Axes, Team], None], xlabel: str, ylabel: str, title: str, path: Path
) -> None:
    """One panel a team, two in a row, with every line named at its end.

    Args:
        teams: what to draw.
        draw: draws one team; labels its lines.
        xlabel: below the last row.
        ylabel: of every row.
        title: above all.
        path: PNG to write.
    """
    rows = (len(teams) + 1) // 2
    figure = new_figure(0.6 + 2.6 * rows)
    panels = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    for axes, team in zip(panels.flat, teams, strict=False):
        draw(axes, team)
        axes.set_title(team.title, fontsize=11)
        axes.grid(alpha=0.25)
    for axes in panels[-1]:
        axes.set_xlabel(xlabel)
    for row in panels:
        row[0].set_ylabel(ylabel)
    figure.suptitle(title, fontsize=11)
    label_line_ends(figure, panels.flat)
    save(figure, path)


def label_line_ends(figure: Figure, panels: Iterable[Axes]) -> None:
    """Write the label of every line at its right end, in place of a legend; labels do not overlap.

    A line that ends near the right edge of its panel has its label beside the panel, another one where it ends. To be
    called last: labels are placed for the panels' size and limits at the time.

    Args:
        figure: with a layout that makes room for what is beside panels, as :func:`new_figure` has.
        panels: of the figure; their lines, also those of ``errorbar``, that have labels.
    """
    named = []
    for axes in panels:
        lines = zip(*axes.get_legend_handles_labels(), strict=True)
        named.append((axes, [_name_line(figure, axes, handle, label) for handle, label in lines]))
    figure.draw_without_rendering()  # the layout decides how high panels are
    for axes, texts in named:
        for column in {text.xyann[0] for text in texts}:
            stack = [text for text in texts if text.xyann[0] == column]
            heights = 1.1 * np.array([Text.get_window_extent(text).height for text in stack]) / axes.bbox.height
            for text, centre in zip(stack, spread([text.xyann[1] for text in stack], heights), strict=True):
                text.xyann = column, float(centre)


def _name_line(figure: Figure, axes: Axes, handle: Any, label: str) -> Annotation:
    """A label at the height of a line's end, joined to it."""
    line = handle[0] if isinstance(handle, ErrorbarContainer) else handle
    axes.autoscale_view()  # limits that follow the data do so when the figure is drawn, which is later
    end = line.get_xydata()[-1]
    across, up = (axes.transScale + axes.transLimits).transform(end)
    return axes.annotate(
        textwrap.fill(label, LABEL_WIDTH),
        end,
        (1.0 if across > 0.9 else float(across), float(up)),
        textcoords=offset_copy(axes.transAxes, figure, x=14, units="points"),
        annotation_clip=False,
        va="center",
        fontsize=9,
        linespacing=1,
        color=tuple(0.6 * np.array(to_rgb(line.get_color()))),  # darker: thin letters need more contrast than lines
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},  # where another line goes on below
        arrowprops={"arrowstyle": "-", "color": line.get_color(), "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)},
    )


def spread(wanted: Sequence[float], heights: np.ndarray) -> np.ndarray:
    """Places of labels above one another, as near as possible to those that are wanted (least squares).

    Args:
        wanted: (N,) where the labels' centres would be; 0 is the lower edge of the panel, 1 the upper.
        heights: (N,) of the labels.

    Returns:
        (N,) where they are, within the panel unless they are higher together than it is.

    >>> spread([0.5, 0.5, 0.9], np.array([0.2, 0.2, 0.2])).round(2).tolist()
    [0.4, 0.6, 0.9]
    """
    order = np.argsort(wanted, kind="stable")
    stacked = np.cumsum(heights[order]) - heights[order] / 2  # centres if the lowest stands on the lower edge
    room = 1 - heights.sum()
    shifts = isotonic_regression(np.asarray(wanted)[order] - stacked).x
    centres = np.empty(len(order))
    centres[order] = np.clip(shifts, min(0, room / 2), max(room, room / 2)) + stacked
    return centres
