"""Figures at the width at which pages show them, so that text keeps its size (ten points; titles twelve)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.teams import Team
from hacrl_lab.plotting import LINE_STYLES, method_style

WIDTH = 8.5
"""Inches; some 820 pixels."""
DPI = 130
MARKERS: dict[str, str] = dict(zip(LINE_STYLES, "os^D", strict=True))


def new_figure(height: float) -> Figure:
    """A figure of the width of a page.

    Args:
        height: in inches.
    """
    return Figure(figsize=(WIDTH, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, dpi=DPI)


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
    """One panel a team, two in a row, with one legend for all.

    Args:
        teams: what to draw.
        draw: draws one team; labels its lines.
        xlabel: below the last row.
        ylabel: of every row.
        title: above all.
        path: PNG to write.
    """
    rows = (len(teams) + 1) // 2
    figure = new_figure(1.2 + 2.6 * rows)
    panels = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    for axes, team in zip(panels.flat, teams, strict=False):
        draw(axes, team)
        axes.set_title(team.title, fontsize=11)
        axes.grid(alpha=0.25)
    for axes in panels[-1]:
        axes.set_xlabel(xlabel)
    for row in panels:
        row[0].set_ylabel(ylabel)
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(title, fontsize=11)
    save(figure, path)
