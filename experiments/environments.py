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
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, product
from pathlib import Path
from string import Template

import numpy as np
import torch
from cells import cell
from environment_study.agents import AGENTS, ENVIRONMENTS, Setting, make_agents
from matplotlib.figure import Figure
from script import check_methods, command, main, page_folder
from study.statistics import bootstrap_interval, compare, difference, holm
from study.training import LoopConfig
from tqdm.auto import tqdm

from envs.episodes import EnvironmentStarts
from hacrl_lab.evaluation import evaluate
from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS, draw_band
from hacrl_lab.trainer import Trainer

PAGE = Path(__file__).parent / "environment_study" / "page.md"
EVALUATION = 10**6  # added to a seed, so that evaluation draws other numbers than training


@dataclass(frozen=True)
class EnvironmentsConfig(LoopConfig):
    """Train pairs of agents in Gymnasium environments with several methods."""

    seeds: int = 16
    """Independent pairs of agents."""
    prompts_per_step: int = 8
    """Initial states in a step."""
    environments: tuple[str, ...] = tuple(ENVIRONMENTS)
    """Which environments."""
    methods: tuple[str, ...] = ("gspo", "hacpo", "hacpo_sound")
    """What to train with; later ones are compared with the first."""
    eval_episodes: int = 64
    """Episodes of each agent before and after training, for every seed."""
    output_dir: str = "docs"
    """Folder for environments.md and the folder environments/."""
    work_dir: str = "runs/environments"
    """Folder for what has been computed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := set(self.environments) - set(ENVIRONMENTS):
            raise ValueError(f"unknown environments {sorted(unknown)}; choose from {', '.join(ENVIRONMENTS)}")
        if not self.environments:
            raise ValueError(f"environments must be at least one of {', '.join(ENVIRONMENTS)}")
        check_methods(self.methods, self.training, least=2)
        if self.eval_episodes < 1:
            raise ValueError(f"eval_episodes must be ≥ 1, got {self.eval_episodes}")


def train(setting: Setting, method: str, config: EnvironmentsConfig) -> dict[str, np.ndarray]:
    """One method in one environment.

    Returns:
        ``before`` and ``after``, sampled success (agents, S); ``curve``, success of the training episodes
        (steps, agents, S); ``length``, tokens of an episode, and ``clipped`` cross rollouts, both (agents, S).
    """
    seeds = list(range(config.seeds))
    world = setting.world()
    agents = make_agents(setting, world, seeds)
    # seeds go on where the one before stopped, so that together they see all initial states equally often
    order = torch.arange(len(seeds) * config.eval_episodes).reshape(len(seeds), -1) % len(world.starts)
    prompts = EnvironmentStarts(world, world.starts[order])
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
    folder = page_folder(config.output_dir, "environments")
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
    plot_curves(results, config, folder / "environments" / "curves.png")
    write_csv(results, folder / "environments" / "environments.csv")
    table = results_table(results, config)
    (folder / "environments.md").write_text(page(table, config), encoding="utf-8")
    return table


def comparisons(results: Results, config: EnvironmentsConfig) -> dict[tuple[str, str, int], str]:
    """(environment, method, agent) -> its difference from the first method, marked after Holm's correction over all."""
    reference, *others = config.methods
    keys = list(product(config.environments, others, range(2)))
    found = [
        compare(results[name, method]["after"][k], results[name, reference]["after"][k]) for name, method, k in keys
    ]
    significant = holm([one.p_value for one in found])
    return {key: difference(one, yes) for key, one, yes in zip(keys, found, significant, strict=True)}


def results_table(results: Results, config: EnvironmentsConfig) -> str:
    """Success of each agent before and after training, and paired differences from the first method."""
    reference, *others = config.methods
    labels = [get_method(method).label for method in config.methods]
    sharing = [method for method in config.methods if get_method(method).shares]
    columns = ["environment", "agent", "tokens", "before", labels[0], *(f"{one} − {labels[0]}" for one in labels[1:])]
    columns += [f"clipped, {get_method(method).label}" for method in sharing]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    against = comparisons(results, config)
    for name, (k, agent) in product(config.environments, enumerate(AGENTS)):
        base = results[name, reference]
        low, high = bootstrap_interval(base["after"][k])
        numbers = [
            f"{base['length'][k].mean():.1f}",
            f"{base['before'][k].mean():.2f}",
            f"{base['after'][k].mean():.3f} [{low:.3f}, {high:.3f}]",
            *(against[name, method, k] for method in others),
            *(f"{results[name, method]['clipped'][k].mean():.0%}" for method in sharing),
        ]
        lines.append(f"| {name} | {agent} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def plot_curves(results: Results, config: EnvironmentsConfig, path: Path) -> None:
    """Success in training against steps: one column an environment, one row an agent, one line a method."""
    figure = Figure(figsize=(1 + 3.1 * len(config.environments), 5.6), layout="constrained")
    panels = figure.subplots(2, len(config.environments), sharey=True, sharex="col", squeeze=False)
    for column, name in enumerate(config.environments):
        for k, agent in enumerate(AGENTS):
            axes = panels[k][column]
            for colour, method in zip(cycle(AGENT_COLOURS), config.methods, strict=False):
                curve = results[name, method]["curve"][:, k]  # (steps, S)
                draw_band(axes, range(1, len(curve) + 1), curve, colour, get_method(method).label)
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
            for k, agent in enumerate(AGENTS):
                for seed in range(arrays["after"].shape[-1]):
                    values = [f"{arrays[key][k, seed]:.6f}" for key in ("before", "after", "length", "clipped")]
                    writer.writerow([name, method, agent, seed, *values])


def page(table: str, config: EnvironmentsConfig) -> str:
    """The page in Markdown."""
    worlds = "\n".join(
        f"- **{name}** ({ENVIRONMENTS[name].steps} steps): {ENVIRONMENTS[name].about}" for name in config.environments
    )
    values = {key: str(value) for key, value in asdict(config).items()}
    texts = {"worlds": worlds, "table": table, "command": command("environments", config)}
    return Template(PAGE.read_text(encoding="utf-8")).substitute(values, **texts)


if __name__ == "__main__":
    sys.exit(main(EnvironmentsConfig, run, __doc__))
