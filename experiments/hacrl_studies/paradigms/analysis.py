"""Table, figure and CSV of what agents can do alone, what they can do in turns, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from hacrl_lab.plotting import AGENT_COLOURS, new_figure, save
from hacrl_runs.tables import Csv, by_agent, decimals, markdown_table
from hacrl_studies.common.comparison import Comparison, bootstrap_interval, compare
from hacrl_studies.common.study import Results
from hacrl_studies.common.teams import Team
from hacrl_studies.common.tuning import sweep_section
from hacrl_studies.paradigms.arms import ARMS, Arm
from hacrl_studies.paradigms.study import REFERENCE, Options

TEAM_COLOUR = "black"


def alone(results: Results, team: Team, arm: str, step: int = -1) -> np.ndarray:
    """What each agent can do alone: (agents, S)."""
    return results[team.name, arm]["success"][step]


def comparisons(options: Options, results: Results) -> dict[tuple[str, str], Comparison]:
    """(pair, way to train) -> the mean of both agents against GSPO's; one correction over all."""
    return compare(
        {
            (team.name, arm.name): (alone(results, team, arm.name).mean(0), alone(results, team, REFERENCE).mean(0))
            for team in options.teams
            for arm in ARMS
            if arm.name != REFERENCE
        }
    )


def rollouts(options: Options, arm: Arm) -> int:
    """Generated in all, by everybody."""
    return options.steps * options.training.prompts_per_step * options.training.group_size * arm.samplers


def score(options: Options, results: Results) -> dict[str, float]:
    """By way to train, mean over pairs, agents and seeds: success alone, and success of the two in turns."""
    numbers: dict[str, float] = {}
    for arm in ARMS:
        by_pair = [results[team.name, arm.name] for team in options.teams]
        numbers[f"alone/{arm.name}"] = float(np.mean([arrays["success"][-1].mean() for arrays in by_pair]))
        numbers[f"in_turns/{arm.name}"] = float(np.mean([arrays["team"][-1].mean() for arrays in by_pair]))
    return numbers


def tables(options: Options, results: Results) -> dict[str, str]:
    """What each agent can do alone, what the two can do in turns, and the cost."""
    against = comparisons(options, results)
    rows = []
    for team in options.teams:
        start, in_turns = alone(results, team, REFERENCE, 0), results[team.name, REFERENCE]["team"][0].mean()
        head = [f"**{team.name}** ({team.heterogeneity})", "", "before training"]
        rows.append([*head, by_agent(start), f"{start.mean():.3f}", "", f"{in_turns:.3f}", "0", "0"])
        for arm in ARMS:
            final, in_turns = alone(results, team, arm.name), results[team.name, arm.name]["team"][-1].mean()
            gain = "" if arm.name == REFERENCE else str(against[team.name, arm.name])
            numbers = [by_agent(final), f"{final.mean():.3f}", gain, f"{in_turns:.3f}"]
            cost = [f"{rollouts(options, arm):,}", options.steps * arm.updates(options.training)]
            rows.append(["", arm.paradigm, arm.label, *numbers, *cost])
    header = ["pair", "paradigm", "way to train", "by agent, alone", "mean", "− GSPO's", "in turns"]
    header += ["rollouts, both", "updates of each that learns"]
    tried = (([team.name, arm.label], results[team.name, arm.name]) for team in options.teams for arm in ARMS)
    sweep = sweep_section(["pair", "way to train"], tried, options.tuning_seeds)
    return {"table": markdown_table(header, rows), "sweep": sweep}


def figures(options: Options, results: Results, folder: Path) -> None:
    """One panel a pair, one row a way to train: each agent alone, and the two in turns."""
    figure = new_figure(5.4)
    panels = figure.subplots(1, len(options.teams), sharey=True, sharex=True, squeeze=False)[0]
    for axes, team in zip(panels, options.teams, strict=True):
        _plot_team(axes, results, team)
    panels[0].set_yticks(range(len(ARMS)), [f"{arm.label}\n({arm.paradigm})" for arm in ARMS], fontsize=9)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"Success after training, {options.seeds} seeds, 95 % bootstrap intervals")
    save(figure, folder / "alone.png")


def _plot_team(axes: Axes, results: Results, team: Team) -> None:
    names = ("first agent alone", "second agent alone", "both in turns")
    for k, (colour, marker) in enumerate(zip((*AGENT_COLOURS[:2], TEAM_COLOUR), ("o", "s", "x"), strict=True)):
        for height, arm in enumerate(ARMS):
            values = alone(results, team, arm.name)[k] if k < 2 else results[team.name, arm.name]["team"][-1]
            low, high = bootstrap_interval(values)
            error = [[values.mean() - low], [high - values.mean()]]
            label = names[k] if height == 0 else None
            axes.errorbar(values.mean(), height, xerr=error, fmt=marker, color=colour, capsize=2, label=label)
        if k < 2:
            start = alone(results, team, REFERENCE, 0)[k].mean()
            before = f"{names[k]}, before training"
            axes.axvline(start, color=colour, linewidth=0.8, linestyle=":", label=before)
    axes.set_title(f"{team.name}\n({team.heterogeneity})", fontsize=10)
    axes.set(xlabel="exact success", xlim=(0.2, 1))
    axes.grid(axis="x", alpha=0.25)


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each pair, way to train, agent and seed; the team in turns is an agent of its own."""
    header = ["pair", "arm", "agent", "seed", "initial", "final", "rollouts_of_both"]
    return {"paradigms.csv": (header, _rows(options, results))}


def _rows(options: Options, results: Results) -> Iterator[list[str]]:
    for team in options.teams:
        for arm in ARMS:
            arrays = results[team.name, arm.name]
            success = np.concatenate([arrays["success"], arrays["team"][:, None]], axis=1)  # (steps + 1, 3, S)
            for k, label in enumerate([*team.labels, "in turns"]):
                for seed in range(success.shape[-1]):
                    values = decimals(success[step, k, seed] for step in (0, -1))
                    yield [team.name, arm.name, label, str(seed), *values, str(rollouts(options, arm))]
