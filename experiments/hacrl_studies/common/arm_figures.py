"""The figure of studies of several methods on a pair of language models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.typing import FillStyleType

from hacrl_lab.plotting import new_figure, save
from hacrl_studies.common.arm_tables import against, agents, during_training, final, final_gains, label, start
from hacrl_studies.common.arms import REFERENCE, ArmOptions
from hacrl_studies.common.comparison import Comparison, means_and_errors
from hacrl_studies.common.figures import mark
from hacrl_studies.common.study import Results


def gains_figure(options: ArmOptions, results: Results, path: Path) -> None:
    """Gain over GSPO of every arm, after training and during it; each agent's accuracy before and after."""
    figure = new_figure(1.6 + 0.42 * len(options.arms))
    left, right = figure.subplots(1, 2, sharey=True)
    heights = {arm: -i for i, arm in enumerate(options.arms)}
    _draw_gains(left, final_gains(options, results, REFERENCE), heights, 0.12, "after training", "full")
    during = against(options, REFERENCE, partial(during_training, results))
    _draw_gains(left, during, heights, -0.12, "during training, mean of all steps", "none")
    left.axvline(0, color="black", linewidth=0.8)
    left.set(yticks=list(heights.values()), yticklabels=[label(arm) for arm in heights])
    left.set_ylim(0.5 - len(heights), 0.5)
    left.set_xlabel("accuracy − GSPO's, mean of the agents")
    for k, (name, shape) in enumerate(zip(agents(results), "osD^vP", strict=False)):
        for arm, height in heights.items():
            right.plot(final(results, arm)[k].mean(), height, shape, color=_colour(arm))
        right.axvline(start(results)[k], color="grey", linewidth=0.8, linestyle=":")
        right.plot([], [], shape, color="black", label=f"{name}, after training")
    right.plot([], [], color="grey", linestyle=":", label="before training")
    right.set_xlabel("accuracy of each agent")
    right.set_xlim(0, 1)
    for axes in (left, right):
        axes.grid(alpha=0.25)
    handles = [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.suptitle(f"{options.seeds} seeds; intervals: 95 %, paired by seed", fontsize=11)
    save(figure, path)


def _draw_gains(
    axes: Axes,
    gains: Mapping[str, Comparison],
    heights: Mapping[str, int],
    shift: float,
    name: str,
    fill: FillStyleType,
) -> None:
    """A point with its interval for each arm."""
    for arm, comparison in gains.items():
        means, errors = means_and_errors([comparison])
        look = {"color": _colour(arm), "fillstyle": fill, "capsize": 3}
        axes.errorbar(means, heights[arm] + shift, xerr=errors, fmt="o", **look)
    axes.plot([], [], "o", color="black", fillstyle=fill, label=name)


def _colour(arm: str) -> str:
    return mark(arm.partition("/")[0])[0]
