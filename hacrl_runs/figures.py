"""The two figures of a run: accuracy before training and after, and the curves of what explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hacrl_lab.methods import get_method
from hacrl_lab.plotting import method_style, new_figure, save

LABELS = (
    "accuracy\n(share of right answers)",
    "capability ratio ω\nof the learner to another",
    "mean importance ratio s",
    "clip fraction",
)
INITIAL = "initial"  # the name of the agents before training beside methods' names
INITIAL_COLOUR = "#BBBBBB"

Curves = Mapping[str, Sequence[float]]
"""Metric key to its values, one per step, as :func:`hacrl_lab.metrics.read_metrics` gives them."""


def plot_curves(runs: Mapping[str, Curves], agents: Sequence[str], lower_bound: float, path: Path) -> None:
    """Accuracy, capability ratios, importance ratios and clip fractions against steps.

    One column for each learner. A method's lines have the method's look; markers distinguish the samplers.

    Args:
        runs: curves by method name.
        agents: names.
        lower_bound: 1 − δ, drawn beside the importance ratios.
        path: PNG to write.
    """
    figure = new_figure(10)
    panels = figure.subplots(4, len(agents), sharex=True, sharey="row", squeeze=False)
    for column, learner in zip(panels.T, agents, strict=True):
        accuracy, capability, ratio, clip = column
        accuracy.set_title(learner)
        for method, curves in runs.items():
            style = method_style(method)
            _draw(accuracy, curves, f"accuracy/{learner}", style)
            for sampler in agents:
                look = style if sampler == learner else style | {"marker": _marker(agents, sampler)}
                if sampler != learner:
                    _draw(capability, curves, f"capability_ratio/{learner}/{sampler}", look)
                _draw(ratio, curves, f"importance_ratio/{learner}/{sampler}", look)
                _draw(clip, curves, f"clip_fraction/{learner}/{sampler}", look)
        capability.axhline(1, color="black", linewidth=0.6)
        ratio.axhline(lower_bound, color="black", linewidth=0.8, linestyle=":")
        clip.set_xlabel("training step")
        for axes in column:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.25)
    for axes, text in zip(panels[:, 0], LABELS, strict=True):
        axes.set_ylabel(text)
    panels[0, 0].set_ylim(0, 1)
    panels[3, 0].set_ylim(-0.03, 1)
    methods = [Line2D([], [], label=get_method(name).label, **method_style(name)) for name in runs]  # type: ignore[arg-type]
    others = [
        Line2D([], [], color="black", marker=_marker(agents, name), label=f"{name}'s rollouts") for name in agents
    ]
    handles = [*methods, Line2D([], [], color="black", label="own rollouts"), *others]
    bound = Line2D([], [], color="black", linewidth=0.8, linestyle=":", label="1 − δ")
    figure.legend(handles=[*handles, bound], loc="outside upper center", ncols=3)
    save(figure, path)


def plot_before_after(
    accuracies: Mapping[str, Mapping[str, Sequence[tuple[float, float, float]]]], groups: Sequence[str], path: Path
) -> None:
    """Accuracy by group of problems before and after training, one panel for each agent.

    Args:
        accuracies: agent → :data:`INITIAL` or method name → (mean, ends of the 95 % interval) for each group.
        groups: names of the groups, for instance "all" and the skills.
        path: PNG to write.
    """
    figure = new_figure(1 + 2.3 * len(accuracies))
    panels = figure.subplots(len(accuracies), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (agent, columns) in zip(panels, accuracies.items(), strict=True):
        width = 0.8 / len(columns)
        for i, (name, values) in enumerate(columns.items()):
            means, low, high = np.array(values).T
            places = np.arange(len(groups)) + (i - (len(columns) - 1) / 2) * width
            initial = name == INITIAL
            colour = INITIAL_COLOUR if initial else method_style(name)["color"]
            label = "before training" if initial else f"after {get_method(name).label}"
            axes.bar(
                places,
                means,
                width,
                yerr=[means - low, high - means],
                color=colour,
                label=label,
                error_kw={"linewidth": 0.8},
            )
        axes.set(ylim=(0, 1), xticks=range(len(groups)), xticklabels=groups)
        axes.set_title(f"{agent}, alone")
        axes.set_ylabel("sampled accuracy")
        axes.grid(axis="y", alpha=0.25)
        axes.set_axisbelow(True)
    panels[-1].set_xlabel("all problems, and those about each skill; 95 % intervals over problems")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    save(figure, path)


def _draw(axes: Axes, curves: Curves, key: str, look: Mapping[str, str]) -> None:
    """Draw a metric if the run has it; a method that does not share has no cross metrics."""
    if key in curves:
        steps = range(1, len(curves[key]) + 1)
        every = max(1, len(steps) // 20)
        axes.plot(steps, curves[key], linewidth=1.4, markersize=4, markevery=every, **look)  # type: ignore[arg-type]


def _marker(agents: Sequence[str], sampler: str) -> str:
    """Of a sampler's rollouts in other agents' updates; beyond six agents they repeat."""
    return "osD^vP"[agents.index(sampler) % 6]
