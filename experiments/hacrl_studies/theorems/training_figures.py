"""Figure of the trained alternatives: gains by world."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hacrl_lab.evaluation import mean_interval
from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS, new_figure, save
from hacrl_studies.common.study import Results
from hacrl_studies.theorems.alternatives import ALTERNATIVES, OTHERS, WORLDS, gain


def plot_gains(results: Results, seeds: int, path: Path) -> None:
    """Paired differences from HACPO, one bar a world."""
    figure = new_figure(4.6)
    axes = figure.subplots()
    width = 0.8 / len(WORLDS)
    methods = (*ALTERNATIVES, *OTHERS)
    for position, (colour, world) in enumerate(zip(AGENT_COLOURS, WORLDS, strict=False)):
        means, halves = np.array([mean_interval(gain(results, (world, method))) for method in methods]).T
        centres = np.arange(len(methods)) + (position - (len(WORLDS) - 1) / 2) * width
        axes.bar(centres, means, width, yerr=halves, color=colour, label=world, error_kw={"linewidth": 0.8})
    axes.set_xticks(range(len(methods)), [get_method(method).label.removeprefix("HACPO, ") for method in methods])
    axes.tick_params(axis="x", labelsize=9)
    for label in axes.get_xticklabels():
        label.set(rotation=20, ha="right")
    axes.axhline(0, color="black", linewidth=0.6)
    title = f"Against HACPO, every method with its best learning rate; {seeds} seeds, paired, 95 % t intervals"
    axes.set(ylabel="exact success, difference from HACPO's", title=title)
    axes.title.set_fontsize(11)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    axes.legend(title="responses", fontsize=9)
    save(figure, path)
