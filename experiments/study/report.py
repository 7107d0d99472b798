"""Writes the pages of heterogeneity.py: tables, figures and a CSV of every seed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS, draw_band
from study.base import StudyWorld
from study.statistics import Comparison, bootstrap_interval, compare, difference, holm, interquartile_mean
from study.teams import PAIRS, TEAMS, Team
from study.training import BY_SEED, by_seed

REFERENCE = "gspo"


@dataclass(frozen=True)
class Study:
    """Everything that was computed."""

    world: StudyWorld[Any, Any]
    results: Mapping[tuple[str, str], Mapping[str, np.ndarray]]
    """(team, method) -> arrays of ``study.training.train``."""
    seconds: Mapping[int, float]
    """Number of seeds -> seconds."""
    timing: str
    """What was timed."""
    methods: Sequence[str]
    settings: Mapping[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        """Of the page and of its folder."""
        return page_name(self.world)

    @property
    def heading(self) -> str:
        """What every figure says of the study."""
        return f"{self.world.title}, {self.settings['seeds']} seeds"

    @property
    def others(self) -> list[str]:
        """The methods that are compared with GSPO."""
        return [method for method in self.methods if method != REFERENCE]

    @property
    def colours(self) -> dict[str, str]:
        """One for each method."""
        return dict(zip(self.methods, cycle(AGENT_COLOURS), strict=False))

    def final(self, team: Team, method: str) -> np.ndarray:
        """Success after training, mean over the team's agents: (S,)."""
        return self.results[team.name, method]["success"][-1].mean(0)


def page_name(world: StudyWorld[Any, Any]) -> str:
    """Of the page of a world, and of its folder."""
    return "heterogeneity" if world.name == "chain" else f"heterogeneity_{world.name}"


def write_page(study: Study) -> str:
    """Write the page, its figures and its CSV; returns the first table."""
    figures = study.folder / study.name
    plot_curves(study, figures / "curves.png")
    plot_gains(study, figures / "gains.png")
    plot_differences(study, figures / "differences.png")
    plot_seconds(study, figures / "seconds.png")
    write_csv(study, figures / f"{study.name}.csv")
    table = pairs_table(study)
    (study.folder / f"{study.name}.md").write_text(page(study, table), encoding="utf-8")
    return table


def comparisons(study: Study, teams: Sequence[Team]) -> dict[tuple[str, str], tuple[Comparison, bool]]:
    """Every method against GSPO in every team, and whether it differs after Holm's correction over all of them."""
    keys = [(team, method) for team in teams for method in study.others]
    found = [compare(study.final(team, method), study.final(team, REFERENCE)) for team, method in keys]
    significant = holm([one.p_value for one in found])
    return {(team.name, method): (one, yes) for (team, method), one, yes in zip(keys, found, significant, strict=True)}


def pairs_table(study: Study) -> str:
    """Six pairs: what each agent can do alone afterwards, and each method against GSPO."""
    return _table(study, PAIRS)


def _table(study: Study, teams: Sequence[Team]) -> str:
    against = comparisons(study, teams)
    lines = [
        "| team | method | by agent | mean | interquartile mean | − GSPO's | improved | clipped |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for team in teams:
        start = study.results[team.name, REFERENCE]["success"][0]
        lines.append(
            f"| **{team.name}** ({team.heterogeneity}) | initial | {_agents(start)} | {start.mean():.3f} | | | | |"
        )
        for method in study.methods:
            arrays, final = study.results[team.name, method], study.final(team, method)
            low, high = bootstrap_interval(final, "iqm")
            middle = f"{interquartile_mean(final):.3f} [{low:.3f}, {high:.3f}]"
            gain = improved = ""
            if method != REFERENCE:
                one, significant = against[team.name, method]
                gain = difference(one, significant)
                improved = f"{one.improved:.0%}"
            shares = get_method(method).shares
            clipped = f"{np.mean(arrays['clipped']):.0%}" if shares else ""
            numbers = [_agents(arrays["success"][-1]), f"{final.mean():.3f}", middle, gain, improved, clipped]
            lines.append(f"| | {get_method(method).label} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def _agents(success: np.ndarray) -> str:
    """Each agent's mean over seeds: (agents, S)."""
    return " / ".join(f"{value:.3f}" for value in success.mean(-1))


def plot_curves(study: Study, path: Path) -> None:
    """Success against steps, mean over agents and seeds, one panel a pair."""

    def success(team: Team, method: str) -> np.ndarray:
        return study.results[team.name, method]["success"].mean(1)

    title = f"{study.heading}: what each agent can do alone; bands are 95 % intervals of each mean (not paired)"
    _plot_over_steps(study, study.methods, success, "success, mean of the agents", title, path)


def plot_gains(study: Study, path: Path) -> None:
    """Each method's success minus GSPO's in the same seed after as many steps, one panel a pair."""

    def gain(team: Team, method: str) -> np.ndarray:
        values, reference = (study.results[team.name, one]["success"].mean(1) for one in (method, REFERENCE))
        return values - reference

    title = f"{study.heading}: against GSPO after as many steps; bands are 95 % intervals, paired by seed"
    _plot_over_steps(study, study.others, gain, "success − GSPO's", title, path)


def _plot_over_steps(
    study: Study,
    methods: Sequence[str],
    values: Callable[[Team, str], np.ndarray],
    ylabel: str,
    title: str,
    path: Path,
) -> None:
    """One panel a pair, one line a method; values are (steps + 1, S)."""
    figure = Figure(figsize=(13, 7), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    for axes, team in zip(panels.flat, PAIRS, strict=True):
        for method in methods:
            curve = values(team, method)
            draw_band(axes, range(len(curve)), curve, study.colours[method], get_method(method).label)
        axes.set_title(f"{team.name} ({team.heterogeneity})")
        axes.grid(alpha=0.25)
    for axes in panels[1]:
        axes.set_xlabel("training step")
    for row in panels:
        row[0].set_ylabel(ylabel)
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(methods))
    figure.suptitle(title)
    figure.savefig(path, dpi=110)


def plot_differences(study: Study, path: Path) -> None:
    """Each method against GSPO after training with its interval, by pair."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots()
    against = comparisons(study, PAIRS)
    width = 0.8 / len(study.others)
    for place, method in enumerate(study.others):
        found = [against[team.name, method][0] for team in PAIRS]
        means = np.array([one.mean for one in found])
        errors = [means - [one.low for one in found], [one.high for one in found] - means]
        places = np.arange(len(PAIRS)) + (place - (len(study.others) - 1) / 2) * width
        colour, label = study.colours[method], get_method(method).label
        axes.bar(
            places,
            means,
            width,
            yerr=errors,
            error_kw={"linewidth": 0.8, "ecolor": "#777777"},
            color=colour,
            label=label,
        )
    axes.set_xticks(range(len(PAIRS)), [f"{team.name}\n({team.heterogeneity})" for team in PAIRS], fontsize=8)
    axes.axhline(0, color="black", linewidth=0.6)
    title = f"{study.heading}: against GSPO, paired by seed, 95 % bootstrap intervals"
    axes.set(ylabel="success after training − GSPO's", title=title)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(study.others))
    figure.savefig(path, dpi=110)


def plot_seconds(study: Study, path: Path) -> None:
    """Time against the number of seeds that advance together, beside as many runs of one seed."""
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    counts, seconds = list(study.seconds), list(study.seconds.values())
    axes.plot(counts, seconds, marker="o", color=AGENT_COLOURS[0], label="together, one batched computation")
    apart = [count * seconds[0] for count in counts]
    axes.plot(counts, apart, ":", color=AGENT_COLOURS[1], label="as many runs of one seed")
    axes.set(xlabel="seeds", ylabel="seconds", title=study.timing, xticks=counts, ylim=(0, None))
    axes.grid(alpha=0.25)
    axes.legend()
    figure.savefig(path, dpi=110)


def write_csv(study: Study, path: Path) -> None:
    """One line for each team, method, agent and seed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["team", "heterogeneity", "method", *BY_SEED])
        for team in (*PAIRS, *TEAMS[1:]):
            for method in study.methods:
                lines = by_seed(study.results[team.name, method], team)
                writer.writerows([team.name, team.heterogeneity, method, *line] for line in lines)


def page(study: Study, table: str) -> str:
    """The page in Markdown."""
    s = study.settings
    last = max(study.seconds)
    text = Path(__file__).with_name(f"page_{study.world.name}.md").read_text(encoding="utf-8")
    return Template(text).substitute(
        {key: str(value) for key, value in {**s, **study.world.sizes()}.items()},
        rollouts=f"{s['steps'] * s['prompts_per_step'] * s['group_size']:,}",
        table=table,
        teams=_table(study, TEAMS),
        last=last,
        minutes=f"{sum(float(study.results[t.name, m]['seconds']) for t in PAIRS for m in study.methods) / 60:.1f}",
        ratio=f"{study.seconds[last] / study.seconds[1]:.1f}",
    )
