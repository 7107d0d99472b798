"""Figures of the trained alternatives: gains by world, and success at every learning rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.figures import new_figure, save
from common.study import Results
from hacrl_lab.evaluation import mean_interval
from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS, method_style
from theorems.alternatives import (
    ALTERNATIVES,
    FIRST,
    LEARNING_RATES,
    REFERENCE,
    SWEPT,
    WORLDS,
    final,
    gain,
    lengthened,
    longer_step,
    swept,
)


def plot_gains(results: Results, seeds: int, path: Path) -> None:
    """Paired gains over HACPO, one bar a world."""
    figure = new_figure(4.6)
    axes = figure.subplots()
    width = 0.8 / len(WORLDS)
    for place, (colour, (world, options)) in enumerate(zip(AGENT_COLOURS, WORLDS.items(), strict=False)):
        runs = [*((world, method) for method in ALTERNATIVES), (lengthened(world), REFERENCE)]
        means, halves = np.array([mean_interval(gain(results, run, world)) for run in runs]).T
        places = np.arange(len(runs)) + (place - (len(WORLDS) - 1) / 2) * width
        axes.bar(places, means, width, yerr=halves, color=colour, label=world, error_kw={"linewidth": 0.8})
        labels = [get_method(method).label.removeprefix("HACPO, ") for method in ALTERNATIVES]
        axes.set_xticks(range(len(runs)), [*labels, f"HACPO, learning\nrate × {longer_step(options):.3f}"])
    axes.tick_params(axis="x", labelsize=9)
    for label in axes.get_xticklabels():
        label.set(rotation=15, ha="right")
    axes.axhline(0, color="black", linewidth=0.6)
    title = f"Gain over HACPO for the same rollouts; {seeds} seeds, paired, 95 % t intervals"
    axes.set(ylabel="exact success, difference from HACPO's", title=title)
    axes.title.set_fontsize(11)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    axes.legend(title="responses", fontsize=9)
    save(figure, path)


def plot_learning_rates(results: Results, seeds: int, path: Path) -> None:
    """Final failure on the first world against the learning rate."""
    figure = new_figure(4.4)
    axes = figure.subplots()
    for method in SWEPT:
        means, halves = np.array([mean_interval(final(results, (swept(rate), method))) for rate in LEARNING_RATES]).T
        look = {**method_style(method), "marker": "o", "capsize": 2}
        axes.errorbar(LEARNING_RATES, 1 - means, halves, label=get_method(method).label, **look)
    axes.set(
        xscale="log",
        yscale="log",
        title=f"{FIRST}: failure at every learning rate; {seeds} seeds, 95 % t intervals",
        xlabel="learning rate",
        ylabel="failure after training, 1 − success",
        xticks=LEARNING_RATES,
        xticklabels=[f"{rate:g}" for rate in LEARNING_RATES],
    )
    axes.title.set_fontsize(11)
    axes.xaxis.minorticks_off()
    axes.grid(alpha=0.25, which="both")
    axes.legend(fontsize=9)
    save(figure, path)
