"""Writes the pages of heterogeneity.py: tables, figures and a CSV of every seed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS
from study.base import StudyWorld
from study.statistics import Comparison, bootstrap_interval, compare, holm, interquartile_mean
from study.teams import PAIRS, TEAMS, Team

REFERENCE = "gspo"


@dataclass(frozen=True)
class Study:
    """Everything that was computed."""

    world: StudyWorld[Any, Any]
    results: Mapping[tuple[str, str], Mapping[str, np.ndarray]]
    """(team, method) -> arrays of ``heterogeneity.train``."""
    seconds: Mapping[int, float]
    """Number of seeds -> seconds."""
    methods: Sequence[str]
    settings: Mapping[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        """Of the page and of its folder."""
        return "heterogeneity" if self.world.name == "chain" else f"heterogeneity_{self.world.name}"

    def final(self, team: Team, method: str) -> np.ndarray:
        """Success after training, mean over the team's agents: (S,)."""
        return self.results[team.name, method]["success"][-1].mean(0)


def write_page(study: Study) -> str:
    """Write the page, its figures and its CSV; returns the first table."""
    figures = study.folder / study.name
    figures.mkdir(parents=True, exist_ok=True)
    plot_curves(study, figures / "curves.png")
    plot_differences(study, figures / "differences.png")
    plot_seconds(study, figures / "seconds.png")
    write_csv(study, figures / f"{study.name}.csv")
    table = pairs_table(study)
    (study.folder / f"{study.name}.md").write_text(page(study, table), encoding="utf-8")
    return table


def comparisons(study: Study, teams: Sequence[Team]) -> dict[tuple[str, str], tuple[Comparison, bool]]:
    """Every method against GSPO in every team, and whether it differs after Holm's correction over all of them."""
    keys = [(team, method) for team in teams for method in study.methods if method != REFERENCE]
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
                gain = f"{one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]{' *' if significant else ''}"
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
    figure = Figure(figsize=(13, 7), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    for axes, team in zip(panels.flat, PAIRS, strict=True):
        for colour, method in zip(AGENT_COLOURS, study.methods, strict=False):
            curve = study.results[team.name, method]["success"].mean(1)  # (steps + 1, S)
            mean = curve.mean(-1)
            half = 1.96 * curve.std(-1, ddof=1) / curve.shape[-1] ** 0.5
            axes.plot(mean, color=colour, label=get_method(method).label)
            axes.fill_between(range(len(mean)), mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
        axes.set_title(f"{team.name} ({team.heterogeneity})")
        axes.grid(alpha=0.25)
    for axes in panels[1]:
        axes.set_xlabel("training step")
    for row in panels:
        row[0].set_ylabel("success, mean of the agents")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(study.methods))
    figure.suptitle(f"{study.world.title}: what each agent can do alone, {study.settings['seeds']} seeds, 95 % bands")
    figure.savefig(path, dpi=110)


def plot_differences(study: Study, path: Path) -> None:
    """Each method against GSPO with its interval, by pair."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots()
    against = comparisons(study, PAIRS)
    others = [method for method in study.methods if method != REFERENCE]
    width = 0.8 / len(others)
    colours = [colour for colour, method in zip(AGENT_COLOURS, study.methods, strict=False) if method != REFERENCE]
    for place, (colour, method) in enumerate(zip(colours, others, strict=True)):
        found = [against[team.name, method][0] for team in PAIRS]
        means = np.array([one.mean for one in found])
        errors = [means - [one.low for one in found], [one.high for one in found] - means]
        places = np.arange(len(PAIRS)) + (place - (len(others) - 1) / 2) * width
        axes.bar(
            places, means, width, yerr=errors, color=colour, label=get_method(method).label, error_kw={"linewidth": 0.8}
        )
    axes.set_xticks(range(len(PAIRS)), [f"{team.name}\n({team.heterogeneity})" for team in PAIRS], fontsize=8)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(ylabel="success after training − GSPO's", title="Against GSPO, paired by seed, 95 % bootstrap intervals")
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(others))
    figure.savefig(path, dpi=110)


def plot_seconds(study: Study, path: Path) -> None:
    """Time against the number of seeds that advance together, beside as many runs of one seed."""
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    counts, seconds = list(study.seconds), list(study.seconds.values())
    axes.plot(counts, seconds, marker="o", color=AGENT_COLOURS[0], label="together, one batched computation")
    apart = [count * seconds[0] for count in counts]
    axes.plot(counts, apart, ":", color=AGENT_COLOURS[1], label="as many runs of one seed")
    axes.set(
        xlabel="seeds", ylabel="seconds", title=f"A few steps of HACPO, {PAIRS[0].name}", xticks=counts, ylim=(0, None)
    )
    axes.grid(alpha=0.25)
    axes.legend()
    figure.savefig(path, dpi=110)


def write_csv(study: Study, path: Path) -> None:
    """One line for each team, method, agent and seed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["team", "heterogeneity", "method", "agent", "seed", "initial", "final", "clipped"])
        for team in (*PAIRS, *TEAMS[1:]):
            for method in study.methods:
                arrays = study.results[team.name, method]
                for k, spec in enumerate(team.agents):
                    for seed in range(arrays["success"].shape[-1]):
                        values = (
                            arrays["success"][0, k, seed],
                            arrays["success"][-1, k, seed],
                            arrays["clipped"][k, seed],
                        )
                        head = [team.name, team.heterogeneity, method, f"{k + 1}: {spec.label}", seed]
                        writer.writerow([*head, *(f"{value:.6f}" for value in values)])


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
