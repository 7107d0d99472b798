"""HACPO in Gymnasium environments: two agents that see differently and move in different steps, five environments.

    python experiments/environments.py
    python experiments/environments.py --environments FrozenLake CartPole --seeds 4 --output-dir runs/environments

One agent acts in single moves, the other also in macro-moves of two and through another view of the state. An episode
that one of them played is cut into the other's tokens, as a text is by another tokenizer. All seeds advance together
through :class:`hacrl_lab.trainer.Trainer`. Writes environments.md, environments.csv and learning curves; what is
already computed is kept in the work folder, so that an interrupted study goes on where it was.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from cells import cell
from environment_study.agents import ENVIRONMENTS, Setting, make_agents
from matplotlib.figure import Figure
from script import main
from tqdm.auto import tqdm

from envs.episodes import EnvironmentStarts
from hacrl_lab.config import TrainingConfig
from hacrl_lab.evaluation import evaluate, mean_interval
from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS
from hacrl_lab.trainer import Trainer

EVALUATION = 10**6  # added to a seed, so that evaluation draws other numbers than training


@dataclass(frozen=True)
class EnvironmentsConfig:
    """Train pairs of agents in Gymnasium environments with several methods."""

    environments: tuple[str, ...] = tuple(ENVIRONMENTS)
    """Which environments."""
    methods: tuple[str, ...] = ("gspo", "hacpo", "hacpo_sound")
    """What to train with; later ones are compared with the first."""
    seeds: int = 8
    """Independent pairs of agents."""
    prompts_per_step: int = 8
    """Initial states in a step."""
    group_size: int = 8
    """Episodes of each agent from each initial state."""
    minibatches: int = 2
    """Updates in a step."""
    epsilon_low: float = 0.2
    """Own rollouts: lower clip width."""
    epsilon_high: float = 0.2
    """Own rollouts: upper clip width."""
    alpha: float = 1.0
    """Cross rollouts: exponent of the exponential weight."""
    delta: float = 0.2
    """Cross rollouts: clip width."""
    delta_step: float = 0.025
    """Cross rollouts: tightening of the clip with each mini-batch."""
    capability_window: int = 5
    """Steps over which capabilities are averaged."""
    eval_episodes: int = 64
    """Episodes of each agent before and after training, for every seed."""
    output_dir: str = "docs"
    """Folder for environments.md and the folder environments/."""
    work_dir: str = "runs/environments"
    """Folder for what has been computed."""

    def __post_init__(self) -> None:
        if unknown := set(self.environments) - set(ENVIRONMENTS):
            raise ValueError(f"unknown environments {sorted(unknown)}; choose from {', '.join(ENVIRONMENTS)}")
        if self.seeds < 2 or self.eval_episodes < 1:
            raise ValueError(f"seeds must be ≥ 2 and eval_episodes ≥ 1, got {self.seeds} and {self.eval_episodes}")

    def training(self, method: str) -> TrainingConfig:
        """The training settings of one method."""
        shared = {field.name for field in fields(TrainingConfig)} & {field.name for field in fields(self)}
        return TrainingConfig(method=method, **{name: getattr(self, name) for name in shared})


def train(setting: Setting, method: str, config: EnvironmentsConfig) -> dict[str, np.ndarray]:
    """One method in one environment.

    Returns:
        ``before`` and ``after``, sampled success (agents, S); ``curve``, success of the training episodes
        (steps, agents, S); ``length``, tokens of an episode, and ``clipped`` cross rollouts, both (agents, S).
    """
    seeds = list(range(config.seeds))
    world = setting.world()
    agents = make_agents(setting, world, seeds)
    starts = world.starts[torch.arange(config.eval_episodes) % len(world.starts)]
    prompts = EnvironmentStarts(world, starts.expand(len(seeds), -1))
    unseen = [EVALUATION + seed for seed in seeds]

    def success() -> np.ndarray:
        values = evaluate(agents, world, prompts, 1, unseen)
        return np.stack([values[agent.name].mean(-1) for agent in agents])

    before = success()
    trainer = Trainer(agents, world, config.training(method), seeds)
    names = trainer.names
    history = [
        trainer.step() for _ in tqdm(range(setting.steps), desc=f"{setting.name}, {trainer.method.label}", leave=None)
    ]

    def series(*keys: str) -> np.ndarray:
        return np.stack([[np.asarray(step[key]) for key in keys] for step in history])

    crossed = [f"clip_fraction/{a}/{b}" for a in names for b in names if a != b]
    shares = crossed[0] in history[0]
    return {
        "before": before,
        "after": success(),
        "curve": series(*(f"accuracy/{name}" for name in names)),
        "length": series(*(f"response_length/{name}" for name in names)).mean(0),
        "clipped": series(*crossed).mean(0) if shares else np.full((len(names), len(seeds)), np.nan),
    }


Results = Mapping[tuple[str, str], Mapping[str, np.ndarray]]
"""(environment, method) -> arrays of :func:`train`."""


def run(config: EnvironmentsConfig) -> str:
    """Train everything, write the page; returns its table."""
    shared = {key: value for key, value in asdict(config).items() if key not in ("output_dir", "work_dir", "methods")}
    shared.pop("environments")
    cells = [(name, method) for name in config.environments for method in config.methods]
    results = {
        (name, method): cell(
            Path(config.work_dir),
            f"{name}-{method}",
            {**shared, "method": method, "setting": ENVIRONMENTS[name].description()},
            partial(train, ENVIRONMENTS[name], method, config),
        )
        for name, method in tqdm(cells, desc="environments", unit="run")
    }
    folder = Path(config.output_dir)
    (folder / "environments").mkdir(parents=True, exist_ok=True)
    plot_curves(results, config, folder / "environments" / "curves.png")
    write_csv(results, folder / "environments" / "environments.csv")
    table = results_table(results, config)
    (folder / "environments.md").write_text(page(table, config), encoding="utf-8")
    return table


def results_table(results: Results, config: EnvironmentsConfig) -> str:
    """Success of each agent before and after training, and paired differences from the first method."""
    reference, *others = config.methods
    labels = [get_method(method).label for method in config.methods]
    head = " | ".join(f"{label} − {labels[0]}" for label in labels[1:])
    lines = [
        f"| environment | agent | tokens | before | {labels[0]} | {head} | cross rollouts clipped |",
        "|---|---|---|---|---|" + "---|" * len(others) + "---|",
    ]
    for name in config.environments:
        base = results[name, reference]
        for k, agent in enumerate(ENVIRONMENTS[name].agent_names):
            gains = [mean_interval(results[name, method]["after"][k] - base["after"][k]) for method in others]
            clipped = [float(np.nanmean(results[name, m]["clipped"][k])) for m in others if get_method(m).shares]
            numbers = [
                f"{base['length'][k].mean():.1f}",
                f"{base['before'][k].mean():.2f}",
                "{:.3f} ± {:.3f}".format(*mean_interval(base["after"][k])),
                *(f"{mean:+.3f} ± {half:.3f}" for mean, half in gains),
                ", ".join(f"{share:.0%}" for share in clipped) or "—",
            ]
            lines.append(f"| {name} | {agent} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def plot_curves(results: Results, config: EnvironmentsConfig, path: Path) -> None:
    """Success in training against steps: one column an environment, one row an agent, one line a method."""
    figure = Figure(figsize=(1 + 3.1 * len(config.environments), 5.6), layout="constrained")
    panels = figure.subplots(2, len(config.environments), sharey=True, sharex="col", squeeze=False)
    for column, name in enumerate(config.environments):
        for k, agent in enumerate(ENVIRONMENTS[name].agent_names):
            axes = panels[k][column]
            for colour, method in zip(AGENT_COLOURS, config.methods, strict=False):
                curve = results[name, method]["curve"][:, k]  # (steps, S)
                mean, half = np.array([mean_interval(values) for values in curve]).T
                steps = np.arange(1, len(mean) + 1)
                axes.plot(steps, mean, color=colour, label=get_method(method).label)
                axes.fill_between(steps, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
            axes.set(title=f"{name}: {agent}", ylim=(0, 1.02))
            axes.title.set_fontsize(10)
            axes.grid(alpha=0.25)
        panels[1][column].set_xlabel("training step")
    for row in panels:
        row[0].set_ylabel("success of training episodes")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(config.methods))
    figure.suptitle(f"Success in training, mean of {config.seeds} seeds with 95 % band")
    figure.savefig(path, dpi=110)


def write_csv(results: Results, path: Path) -> None:
    """One line for each environment, method, agent and seed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["environment", "method", "agent", "seed", "before", "after", "tokens", "clipped"])
        for (name, method), arrays in results.items():
            for k, agent in enumerate(ENVIRONMENTS[name].agent_names):
                for seed in range(arrays["after"].shape[-1]):
                    values = [f"{arrays[key][k, seed]:.6f}" for key in ("before", "after", "length", "clipped")]
                    writer.writerow([name, method, agent, seed, *values])


def page(table: str, config: EnvironmentsConfig) -> str:
    """The page in Markdown."""
    worlds = "\n".join(
        f"- **{name}** ({ENVIRONMENTS[name].steps} steps): {ENVIRONMENTS[name].about}" for name in config.environments
    )
    return f"""# HACPO in Gymnasium environments

*Written by `python experiments/environments.py`. {config.seeds} seeds, each with agents of its own; a step is
{config.prompts_per_step} initial states × {config.group_size} episodes for each agent, under every method. Success is
sampled in {config.eval_episodes} episodes for each seed and agent; 95 % intervals over seeds, differences paired.*

A prompt is an initial state, a response an episode, and its verifiable reward whether it succeeded. The agents of a
pair differ in kind: one acts in *single moves*, the other may also make *macro-moves* of two without looking in
between, and sees the state in another way. Each cuts the other's episodes into its own tokens, so that the same episode
has another length for it.

{worlds}

{table}

*tokens*: mean length of the agent's own episodes in its own tokens (training with the first method). *cross rollouts
clipped*: share of the other agent's episodes that the clip keeps from teaching, for each method that shares.

![learning curves](environments/curves.png)

Where an agent's tokens are longer than the other's, its importance ratio on the other's episodes is far from 1 by that
alone ([theory.md](theory.md), retokenisation), and the clip keeps nearly all of them from teaching.

All numbers by seed are in [environments.csv](environments/environments.csv).
"""


if __name__ == "__main__":
    sys.exit(main(EnvironmentsConfig, run, __doc__))
