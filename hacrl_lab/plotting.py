"""Figures of a run: accuracy before and after, and the curves of everything that explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hacrl_lab.evaluation import mean_interval

AGENT_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#999999",
)  # Okabe and Ito: colour-blind safe
BAR_COLOURS = ("#BBBBBB", "#56B4E9", "#D55E00", "#009E73", "#CC79A7")

Curves = Mapping[str, Sequence[float]]
"""Metric key to its values, one per step, as :func:`hacrl_lab.metrics.read_metrics` gives them."""


def plot_curves(runs: Mapping[str, Curves], agents: Sequence[str], lower_bound: float, path: Path) -> None:
    """Accuracy, capability ratio, importance ratio and clip fraction against steps, all runs in one figure.

    Args:
        runs: curves by the method's label; the last run is the one whose sharing is shown in full.
        agents: names.
        lower_bound: 1 − δ, drawn beside the cross importance ratios.
        path: PNG to write.
    """
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    (accuracy, capability), (ratio, clip) = figure.subplots(2, 2)
    for style, (label, curves) in zip(reversed(_styles(len(runs))), runs.items(), strict=True):
        for colour, agent in zip(AGENT_COLOURS, agents, strict=False):
            _draw(accuracy, curves, f"accuracy/{agent}", f"{agent}, {label}", color=colour, linestyle=style)
    accuracy.set(title="Accuracy in training", ylabel="verified share of own rollouts", ylim=(0, 1))

    curves = list(runs.values())[-1]
    label = list(runs)[-1]
    for colour, learner in zip(AGENT_COLOURS, agents, strict=False):
        for style, sampler in zip(_styles(len(agents)), (learner, *(a for a in agents if a != learner)), strict=True):
            look = {"color": colour, "linestyle": style}
            if sampler != learner:
                name = f"ω[{learner}, {sampler}]"
                _draw(capability, curves, f"capability_ratio/{learner}/{sampler}", name, **look)
            pair = f"{learner} on {'its own' if sampler == learner else sampler}"
            _draw(ratio, curves, f"importance_ratio/{learner}/{sampler}", pair, **look)
            _draw(clip, curves, f"clip_fraction/{learner}/{sampler}", pair, **look)
    capability.axhline(1, color="black", linewidth=0.6)
    capability.set(title=f"Capability ratio, {label}", ylabel="ω[learner, sampler]")
    ratio.axhline(lower_bound, color="black", linewidth=0.6, linestyle=":")
    ratio.annotate("1 − δ", (1, lower_bound), xycoords=("axes fraction", "data"), fontsize=8, ha="right", va="bottom")
    ratio.set(title=f"Mean importance ratio s, {label}", ylabel="learner's / sampler's, per token")
    clip.set(title=f"Rollouts kept from teaching by the clip, {label}", ylabel="clip fraction", ylim=(-0.03, 1))
    for axes in (accuracy, capability, ratio, clip):
        axes.set_xlabel("training step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        if axes.lines:
            axes.legend(fontsize=7)
    figure.savefig(path, dpi=130)


def plot_before_after(
    accuracies: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], groups: Sequence[str], path: Path
) -> None:
    """Accuracy by group of problems before and after training, one panel for each agent.

    Args:
        accuracies: agent → column (``initial``, a method's label ...) → (mean, 95 % half-width) for each group.
        groups: names of the groups, for instance "all" and the skills.
        path: PNG to write.
    """
    figure = Figure(figsize=(1.5 + 4.8 * len(accuracies), 4), layout="constrained")
    panels = figure.subplots(1, len(accuracies), sharey=True, squeeze=False)
    for axes, (agent, columns) in zip(panels[0], accuracies.items(), strict=True):
        width = 0.8 / len(columns)
        for i, (colour, (column, values)) in enumerate(zip(BAR_COLOURS, columns.items(), strict=False)):
            means, halves = np.array(values).T
            places = np.arange(len(groups)) + (i - (len(columns) - 1) / 2) * width
            axes.bar(places, means, width, yerr=halves, color=colour, label=column, error_kw={"linewidth": 0.8})
        axes.set(title=agent, ylim=(0, 1), xticks=range(len(groups)))
        axes.set_xticklabels(groups, rotation=30, ha="right")
        axes.grid(axis="y", alpha=0.25)
        axes.set_axisbelow(True)
        axes.set_xlabel("all problems, and those about ...")
    panels[0][0].set_ylabel("sampled accuracy, 95 % interval")
    figure.legend(*panels[0][0].get_legend_handles_labels(), fontsize=8, loc="outside right center")
    figure.suptitle("Each agent alone, before training and after")
    figure.savefig(path, dpi=130)


def draw_band(axes: Axes, x: Sequence[float], values: np.ndarray, colour: str, label: str, style: str = "-") -> None:
    """A curve's mean over independent units and its 95 % interval; values (points, units)."""
    mean, half = np.array([mean_interval(at_one_point) for at_one_point in values]).T
    axes.plot(x, mean, style, color=colour, label=label)
    axes.fill_between(x, mean - half, mean + half, color=colour, alpha=0.12, linewidth=0)


def _draw(axes: Axes, curves: Curves, key: str, label: str, **look: str) -> None:
    """Draw a metric if the run has it; a method that does not share has no cross metrics."""
    if key in curves:
        axes.plot(range(1, len(curves[key]) + 1), curves[key], label=label, linewidth=1.4, **look)  # type: ignore[arg-type]


def _styles(count: int) -> list[str]:
    """Line styles, the first solid; beyond four they repeat."""
    return [("-", "--", "-.", ":")[i % 4] for i in range(count)]
