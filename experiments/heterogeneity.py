"""Every pair × every method × many seeds on the token-chain world: the design of Tables 1 and 7, in minutes.

    python experiments/heterogeneity.py
    python experiments/heterogeneity.py --seeds 8 --steps 20 --output-dir runs/heterogeneity

Six pairs of agents, two for each kind of heterogeneity, and teams of two, three and four. All seeds of a cell advance
together through :class:`hacrl_lab.trainer.Trainer`. Writes heterogeneity.md with tables, CSV and figures. Finished
cells are kept in the work folder, so that an interrupted study goes on where it was.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import tyro
from cells import cell
from chain_study.pairs import PAIRS, TASK, TEAMS, Team, exact_success, make_agents
from chain_study.report import Study, write_page
from tqdm.auto import tqdm

from envs.chain import chain_world
from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import LabError
from hacrl_lab.metrics import Metrics
from hacrl_lab.trainer import Trainer

SEED_COUNTS = (1, 2, 4, 8, 16, 32)
TIMED_STEPS, REPEATS = 8, 3


@dataclass(frozen=True)
class HeterogeneityConfig:
    """Train pairs of different agents on the token-chain world with every method."""

    methods: tuple[str, ...] = ("grpo", "gspo", "gspo_x2", "naive", "hacpo", "hacpo_sound")
    """What to train with; gspo must be among them, the others are compared with it."""
    seeds: int = 32
    """Independent worlds, each with agents of its own."""
    steps: int = 60
    """Training steps."""
    prompts_per_step: int = 16
    """Questions in a step."""
    group_size: int = 8
    """Answers of each agent to each question."""
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
    output_dir: str = "docs"
    """Folder for heterogeneity.md and the folder heterogeneity/."""
    work_dir: str = "runs/heterogeneity"
    """Folder for what has been computed."""

    def __post_init__(self) -> None:
        if "gspo" not in self.methods:
            raise ValueError(f"methods must contain gspo, the reference, got {', '.join(self.methods)}")
        if self.seeds < 2 or self.steps < 1:
            raise ValueError(f"seeds must be ≥ 2 and steps ≥ 1, got {self.seeds} and {self.steps}")

    def training(self, method: str) -> TrainingConfig:
        """The training settings of one method."""
        shared = {field.name for field in fields(TrainingConfig)} & {field.name for field in fields(self)}
        return TrainingConfig(method=method, **{name: getattr(self, name) for name in shared})


def train(team: Team, method: str, config: HeterogeneityConfig, seeds: list[int]) -> dict[str, np.ndarray]:
    """One cell.

    Returns:
        ``success``, exact, before training and after every step, (steps + 1, agents, S); ``clipped``, share of cross
        rollouts, (agents, S), nan for a method that does not share; ``seconds``, without making the agents, ().
    """
    world = chain_world(seeds, TASK)
    agents = make_agents(team, world, seeds)
    trainer = Trainer(agents, world, config.training(method), seeds)
    success = [[exact_success(agent, world, seeds) for agent in agents]]
    clipped = []
    started = time.perf_counter()
    for _ in tqdm(range(config.steps), desc=f"{team.name}, {trainer.method.label}", unit="step", leave=None):
        metrics = trainer.step()
        success.append([exact_success(agent, world, seeds) for agent in agents])
        clipped.append(crossed_clip_fraction(metrics, trainer.names))
    seconds = time.perf_counter() - started
    return {"success": np.array(success), "clipped": np.mean(clipped, axis=0), "seconds": np.array(seconds)}


def crossed_clip_fraction(metrics: Metrics, names: list[str]) -> np.ndarray:
    """Share of the others' rollouts that the clip keeps from each learner: (agents, S), nan without sharing."""
    own = np.asarray(metrics[f"clip_fraction/{names[0]}/{names[0]}"])
    rows = []
    for learner in names:
        keys = [f"clip_fraction/{learner}/{sampler}" for sampler in names if sampler != learner]
        shared = [np.asarray(metrics[key]) for key in keys if key in metrics]
        rows.append(np.mean(shared, axis=0) if shared else np.full_like(own, np.nan))
    return np.stack(rows)


def time_of_seeds(config: HeterogeneityConfig) -> dict[str, np.ndarray]:
    """Seconds of a few HACPO steps of the first pair for different numbers of seeds, median of repeats in turn."""
    short = HeterogeneityConfig(**{**asdict(config), "steps": TIMED_STEPS})
    times = np.empty((REPEATS, len(SEED_COUNTS)))
    for repeat in range(REPEATS):
        for column, count in enumerate(SEED_COUNTS):
            times[repeat, column] = float(train(PAIRS[0], "hacpo", short, list(range(count)))["seconds"])
    return {"seconds": np.median(times, axis=0)}


def run(config: HeterogeneityConfig) -> str:
    """Compute every cell, write the page; returns its first table."""
    settings = {key: value for key, value in asdict(config).items() if key not in ("output_dir", "work_dir", "methods")}
    work = Path(config.work_dir)
    teams = [*PAIRS, *TEAMS[1:]]
    cells = [(team, method) for team in teams for method in config.methods]
    results = {
        (team.name, method): cell(
            work,
            f"{team.name}-{method}".replace(" ", "_"),
            {**settings, "team": repr(team), "method": method},
            partial(train, team, method, config, list(range(config.seeds))),
        )
        for team, method in tqdm(cells, desc="heterogeneity", unit="cell")
    }
    times = cell(work, "time_of_seeds", settings, partial(time_of_seeds, config))
    seconds = dict(zip(SEED_COUNTS, times["seconds"].tolist(), strict=True))
    return write_page(Study(results, seconds, config.methods, settings, Path(config.output_dir)))


def main() -> int:
    """Run from the command line; returns the exit status."""
    config = tyro.cli(HeterogeneityConfig, description=__doc__)
    try:
        print(run(config))
    except (LabError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
