"""The paper's Figure 1, made runnable: the same two agents trained alone, by distillation, as a team, or with HACPO.

    python experiments/paradigms.py
    python experiments/paradigms.py --pairs 0 --seeds 8 --steps 10 --output-dir runs/paradigms

Isolated reinforcement learning (GSPO, and PPO with a critic), distillation in one direction from the stronger agent
(off-policy on its verified answers, on-policy by reverse KL), a team trained and deployed jointly, and sharing (Naive,
HACPO): what each agent can do *alone* afterwards, and what each way cost in rollouts. Writes paradigms.md with its
table, CSV and figure; finished cells are kept in the work folder.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template

import numpy as np
from cells import cell
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from paradigm_study.arms import ARMS, Arm, train
from script import command, main, page_folder
from study.statistics import Comparison, bootstrap_interval, compare, difference, holm
from study.teams import PAIRS, Team
from study.training import StudyConfig
from study.worlds import CHAIN
from tqdm.auto import tqdm

from hacrl_lab.plotting import AGENT_COLOURS
from hacrl_lab.trainer import objective_settings

PAGE = Path(__file__).parent / "paradigm_study" / "page.md"
REFERENCE = "gspo"
TEAM_COLOUR = "black"
Results = Mapping[tuple[str, str], Mapping[str, np.ndarray]]
"""(pair, arm) -> arrays of ``arms.train``."""


@dataclass(frozen=True)
class ParadigmsConfig(StudyConfig):
    """Train the same two agents in every way of the paper's Figure 1."""

    pairs: tuple[int, ...] = (0, 2, 4)
    """Which of the six pairs of heterogeneity.py, 0 to 5."""
    output_dir: str = "docs"
    """Folder for paradigms.md and the folder paradigms/."""
    work_dir: str = "runs/paradigms"
    """Folder for what has been computed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        objective_settings(self.training(REFERENCE))
        if not self.pairs or not set(self.pairs) <= set(range(len(PAIRS))):
            raise ValueError(f"pairs must be some of 0 ... {len(PAIRS) - 1}, got {self.pairs}")

    @property
    def teams(self) -> list[Team]:
        """The pairs."""
        return [PAIRS[index] for index in self.pairs]


def run(config: ParadigmsConfig) -> str:
    """Train every pair in every way, write the page; returns its table."""
    folder = page_folder(config.output_dir, "paradigms")
    settings, work = {**config.shared_settings(), "world": CHAIN.sizes()}, Path(config.work_dir)
    cells = [(team, arm) for team in config.teams for arm in ARMS]
    results = {
        (team.name, arm.name): cell(
            work,
            f"{team.name}-{arm.name}".replace(" ", "_"),
            {**settings, "team": repr(team), "arm": arm.name},
            partial(train, team, arm, config, range(config.seeds)),
        )
        for team, arm in tqdm(cells, desc="pairs × ways to train", unit="cell")
    }
    plot_results(results, config, folder / "paradigms" / "alone.png")
    write_csv(results, config, folder / "paradigms" / "paradigms.csv")
    table = results_table(results, config)
    (folder / "paradigms.md").write_text(page(table, config), encoding="utf-8")
    return table


def alone(results: Results, team: Team, arm: Arm | str, step: int = -1) -> np.ndarray:
    """What each agent can do alone: (agents, S)."""
    return results[team.name, arm if isinstance(arm, str) else arm.name]["success"][step]


def comparisons(results: Results, config: ParadigmsConfig) -> dict[tuple[str, str], tuple[Comparison, bool]]:
    """Mean of both agents against GSPO's, and whether it differs after Holm's correction over the table."""
    keys = [(team, arm) for team in config.teams for arm in ARMS if arm.name != REFERENCE]
    found = [compare(alone(results, t, arm).mean(0), alone(results, t, REFERENCE).mean(0)) for t, arm in keys]
    significant = holm([one.p_value for one in found])
    return {(t.name, arm.name): (one, yes) for (t, arm), one, yes in zip(keys, found, significant, strict=True)}


def rollouts(config: ParadigmsConfig, arm: Arm) -> int:
    """Generated in all, by everybody."""
    return config.steps * config.prompts_per_step * config.group_size * arm.samplers


def results_table(results: Results, config: ParadigmsConfig) -> str:
    """What each agent can do alone, what the two can do in turns, and the cost."""
    against = comparisons(results, config)
    lines = [
        "| pair | paradigm | way to train | by agent, alone | mean | − GSPO's | in turns | rollouts, both |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for team in config.teams:
        start = alone(results, team, REFERENCE, 0)
        in_turns = results[team.name, REFERENCE]["team"][0].mean()
        head = f"| **{team.name}** ({team.heterogeneity}) | | before training |"
        lines.append(f"{head} {_agents(start)} | {start.mean():.3f} | | {in_turns:.3f} | 0 |")
        for arm in ARMS:
            final, gain = alone(results, team, arm), ""
            if arm.name != REFERENCE:
                one, significant = against[team.name, arm.name]
                gain = difference(one, significant)
            in_turns = results[team.name, arm.name]["team"][-1].mean()
            numbers = [_agents(final), f"{final.mean():.3f}", gain, f"{in_turns:.3f}", f"{rollouts(config, arm):,}"]
            lines.append(f"| | {arm.paradigm} | {arm.label} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def _agents(success: np.ndarray) -> str:
    """Each agent's mean over seeds: (agents, S)."""
    return " / ".join(f"{value:.3f}" for value in success.mean(-1))


def plot_results(results: Results, config: ParadigmsConfig, path: Path) -> None:
    """One panel a pair, one row a way to train: each agent alone, and the two in turns."""
    figure = Figure(figsize=(2.6 + 3.8 * len(config.teams), 4.6), layout="constrained")
    panels = figure.subplots(1, len(config.teams), sharey=True, sharex=True, squeeze=False)[0]
    for axes, team in zip(panels, config.teams, strict=True):
        _plot_team(axes, results, team)
    panels[0].set_yticks(range(len(ARMS)), [f"{arm.label}\n({arm.paradigm})" for arm in ARMS], fontsize=8)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    figure.suptitle(f"What each agent can do alone after training, {config.seeds} seeds, 95 % bootstrap intervals")
    figure.savefig(path, dpi=110)


def _plot_team(axes: Axes, results: Results, team: Team) -> None:
    names = ("first agent alone", "second agent alone", "both in turns")
    for k, (colour, marker) in enumerate(zip((*AGENT_COLOURS[:2], TEAM_COLOUR), ("o", "s", "x"), strict=True)):
        for place, arm in enumerate(ARMS):
            values = alone(results, team, arm)[k] if k < 2 else results[team.name, arm.name]["team"][-1]
            low, high = bootstrap_interval(values)
            error = [[values.mean() - low], [high - values.mean()]]
            label = names[k] if place == 0 else None
            axes.errorbar(values.mean(), place, xerr=error, fmt=marker, color=colour, capsize=2, label=label)
        if k < 2:
            start = alone(results, team, REFERENCE, 0)[k].mean()
            before = f"{names[k]}, before training"
            axes.axvline(start, color=colour, linewidth=0.8, linestyle=":", label=before)
    axes.set(title=f"{team.name} ({team.heterogeneity})", xlabel="exact success", xlim=(0.2, 1))
    axes.grid(axis="x", alpha=0.25)


def write_csv(results: Results, config: ParadigmsConfig, path: Path) -> None:
    """One line for each pair, way to train, agent and seed; the team in turns is an agent of its own."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["pair", "arm", "agent", "seed", "initial", "final", "rollouts_of_both"])
        for team in config.teams:
            labels = [*(f"{k + 1}: {spec.label}" for k, spec in enumerate(team.agents)), "in turns"]
            for arm in ARMS:
                arrays = results[team.name, arm.name]
                whole = np.concatenate([arrays["success"], arrays["team"][:, None]], axis=1)  # (steps + 1, 3, S)
                for k, label in enumerate(labels):
                    for seed in range(whole.shape[-1]):
                        values = [f"{whole[step, k, seed]:.6f}" for step in (0, -1)]
                        writer.writerow([team.name, arm.name, label, seed, *values, rollouts(config, arm)])


def page(table: str, config: ParadigmsConfig) -> str:
    """The page in Markdown."""
    settings = {key: str(value) for key, value in config.shared_settings().items()}
    text = PAGE.read_text(encoding="utf-8")
    return Template(text).substitute(settings, table=table, command=command("paradigms", config))


if __name__ == "__main__":
    sys.exit(main(ParadigmsConfig, run, __doc__))
