"""Success against rollouts generated: what sharing saves, measured on the cells of ``heterogeneity.py``.

    python experiments/heterogeneity.py && python experiments/sample_efficiency.py

The paper's headline is that sharing beats training alone with twice the rollouts. Here: success against the rollouts
that each agent generated, rollouts needed to reach a target, and each method at the end against GSPO×2, which generated
twice as many. Cells that are not yet in the work folder are trained.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from string import Template

import numpy as np
from heterogeneity import HeterogeneityConfig, train_teams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from script import command, main, page_folder
from study.statistics import compare, difference, holm
from study.teams import PAIRS, Team

from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS, draw_band

PAGE = Path(__file__).parent / "study" / "page_sample_efficiency.md"
REFERENCE, DOUBLE = "gspo", "gspo_x2"
RESAMPLES = 1000
ROUNDING = 1e-12

Results = Mapping[tuple[str, str], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class SampleEfficiencyConfig(HeterogeneityConfig):
    """Compare methods by the rollouts that they generate."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.world != "chain":
            raise ValueError(f"the page is about the token chain, got world {self.world!r}")
        if DOUBLE not in self.methods:
            raise ValueError(f"methods must contain {DOUBLE}, got {', '.join(self.methods)}")


def rollouts(config: HeterogeneityConfig, method: str) -> np.ndarray:
    """Rollouts that each agent has generated before training and after every step: (steps + 1,)."""
    a_step = config.prompts_per_step * config.group_size * get_method(method).rollout_factor
    return np.arange(config.steps + 1) * a_step


def needed(curve: np.ndarray, generated: np.ndarray, target: float) -> float:
    """Rollouts at which a curve first reaches the target, between steps by interpolation; inf if it does not.

    >>> needed(np.array([0.1, 0.3, 0.5]), np.array([0, 100, 200]), 0.4)
    150.0
    """
    reached = np.flatnonzero(curve >= target - ROUNDING)
    if len(reached) == 0:
        return float("inf")
    after = int(reached[0])
    if after == 0:
        return float(generated[0])
    share = (target - curve[after - 1]) / (curve[after] - curve[after - 1])
    return float(generated[after - 1] + share * (generated[after] - generated[after - 1]))


def relative_need(results: Results, config: HeterogeneityConfig, team: Team, method: str) -> tuple[float, float, float]:
    """Rollouts to reach GSPO's final success over all of GSPO's, by mean curves; seeds resampled together.

    Returns:
        The ratio and its 95 % bootstrap interval; inf where the target is not reached.
    """
    curves = results[team.name, method]["success"].mean(1)  # (steps + 1, S)
    targets = results[team.name, REFERENCE]["success"][-1].mean(0)  # (S,)
    generated, total = rollouts(config, method), rollouts(config, REFERENCE)[-1]
    seeds = curves.shape[-1]
    picks = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
    ratios = [needed(curves[:, pick].mean(-1), generated, float(targets[pick].mean())) / total for pick in picks]
    low, high = np.quantile(ratios, [0.025, 0.975], method="nearest")
    return needed(curves.mean(-1), generated, float(targets.mean())) / total, float(low), float(high)


def efficiency_table(results: Results, config: HeterogeneityConfig) -> str:
    """Rollouts to reach GSPO's final success, and the end against GSPO×2's."""
    keys = [(team, method) for team in PAIRS for method in config.methods if method != DOUBLE]
    final = {key: results[key]["success"][-1].mean(0) for key in results}
    found = {(t.name, m): compare(final[t.name, m], final[t.name, DOUBLE]) for t, m in keys}
    significant = dict(zip(found, holm([one.p_value for one in found.values()]), strict=True))
    lines = [
        "| team | method | rollouts of each agent | needed for GSPO's end, of GSPO's | end − GSPO×2's end |",
        "|---|---|---|---|---|",
    ]
    for team in PAIRS:
        for index, method in enumerate(config.methods):
            ratio, low, high = (_ratio(value) for value in relative_need(results, config, team, method))
            gain = ""
            if method != DOUBLE:
                one = found[team.name, method]
                gain = difference(one, significant[team.name, method])
            name = f"**{team.name}**, {final[team.name, REFERENCE].mean():.3f}" if index == 0 else ""
            numbers = [f"{rollouts(config, method)[-1]:,}", f"{ratio} [{low}, {high}]", gain]
            lines.append(f"| {name} | {get_method(method).label} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def _ratio(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "not reached"


def plot_efficiency(results: Results, config: HeterogeneityConfig, path: Path) -> None:
    """Success against rollouts generated, one panel a pair."""
    figure = Figure(figsize=(13, 7), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    for axes, team in zip(panels.flat, PAIRS, strict=True):
        _plot_team(axes, results, config, team)
    for axes in panels[1]:
        axes.set_xlabel("rollouts generated by each agent")
    for row in panels:
        row[0].set_ylabel("exact success, mean of the agents")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(config.methods))
    figure.suptitle(f"Success against its cost, {config.seeds} seeds; bands are 95 % intervals (not paired)")
    figure.savefig(path, dpi=110)


def _plot_team(axes: Axes, results: Results, config: HeterogeneityConfig, team: Team) -> None:
    for colour, method in zip(cycle(AGENT_COLOURS), config.methods, strict=False):
        curve = results[team.name, method]["success"].mean(1)
        style = "--" if method == DOUBLE else "-"
        draw_band(axes, rollouts(config, method).tolist(), curve, colour, get_method(method).label, style)
    axes.set_title(f"{team.name} ({team.heterogeneity})")
    axes.grid(alpha=0.25)


def write_csv(results: Results, config: HeterogeneityConfig, path: Path) -> None:
    """The curves: one line for each team, method and step, one column for each seed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["team", "method", "step", "rollouts", *(f"seed {seed}" for seed in range(config.seeds))])
        for team in PAIRS:
            for method in config.methods:
                curve = results[team.name, method]["success"].mean(1)
                for step, (generated, values) in enumerate(zip(rollouts(config, method), curve, strict=True)):
                    writer.writerow([team.name, method, step, generated, *(f"{value:.5f}" for value in values)])


def run(config: SampleEfficiencyConfig) -> str:
    """Write the page; returns its table."""
    folder = page_folder(config.output_dir, "sample_efficiency")
    results = train_teams(config, PAIRS)
    plot_efficiency(results, config, folder / "sample_efficiency" / "rollouts.png")
    write_csv(results, config, folder / "sample_efficiency" / "sample_efficiency.csv")
    table = efficiency_table(results, config)
    (folder / "sample_efficiency.md").write_text(page(table, config), encoding="utf-8")
    return table


def page(table: str, config: HeterogeneityConfig) -> str:
    """The page in Markdown."""
    values = {"command": command("sample_efficiency", config), "table": table}
    values |= {key: str(value) for key, value in config.shared_settings().items()}
    return Template(PAGE.read_text(encoding="utf-8")).substitute(values)


if __name__ == "__main__":
    sys.exit(main(SampleEfficiencyConfig, run, __doc__))
