"""Every pair × every method × many seeds on a small world: the design of Tables 1 and 7, in minutes.

    python experiments/heterogeneity.py
    python experiments/heterogeneity.py --world bandit
    python experiments/heterogeneity.py --seeds 8 --steps 20 --output-dir runs/heterogeneity

Six pairs of agents, two for each kind of heterogeneity, and teams of two, three and four. All seeds of a cell advance
together through :class:`hacrl_lab.trainer.Trainer`. Writes a page with tables, CSV and figures. Finished
cells are kept in the work folder, so that an interrupted study goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from cells import cell
from script import check_methods, command, main, page_folder
from study.report import REFERENCE, Study, page_name, write_page
from study.teams import PAIRS, TEAMS, Team
from study.training import StudyConfig, train
from study.worlds import WORLDS
from tqdm.auto import tqdm

SEED_COUNTS: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
TIMED_METHOD, TIMED_STEPS, REPEATS = "hacpo", 8, 3
World = Literal["chain", "bandit", "lake"]


@dataclass(frozen=True)
class HeterogeneityConfig(StudyConfig):
    """Train pairs of different agents on a small world with every method."""

    world: World = "chain"
    """The token chain, the contextual bandit or Gymnasium's FrozenLake."""
    methods: tuple[str, ...] = ("grpo", "gspo", "gspo_x2", "naive", "hacpo", "hacpo_sound", "hacpo_open")
    """What to train with; gspo must be among them, the others are compared with it."""
    output_dir: str = "docs"
    """Folder for heterogeneity.md and the folder heterogeneity/; with another world heterogeneity_<world>."""
    work_dir: str = "runs/heterogeneity"
    """Folder for what has been computed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_methods(self.methods, self.training, least=2)
        if REFERENCE not in self.methods:
            raise ValueError(f"methods must contain {REFERENCE}, the reference, got {', '.join(self.methods)}")


def time_of_seeds(config: HeterogeneityConfig) -> dict[str, np.ndarray]:
    """Seconds of a few HACPO steps of the first pair for different numbers of seeds, median of repeats in turn."""
    short = replace(config, steps=TIMED_STEPS)
    times = np.empty((REPEATS, len(SEED_COUNTS)))
    for repeat in range(REPEATS):
        for column, count in enumerate(SEED_COUNTS):
            times[repeat, column] = float(
                train(WORLDS[config.world], PAIRS[0], TIMED_METHOD, short, list(range(count)))["seconds"]
            )
    return {"seconds": np.median(times, axis=0)}


def cell_settings(config: HeterogeneityConfig) -> dict[str, Any]:
    """What every cell depends on."""
    study = WORLDS[config.world]
    return {**config.shared_settings(), "world": {study.name: study.sizes()}}


def train_teams(config: HeterogeneityConfig, teams: Sequence[Team]) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Every team with every method, each cell computed once: (team, method) -> arrays of ``train``."""
    study, work, settings = WORLDS[config.world], Path(config.work_dir), cell_settings(config)
    cells = [(team, method) for team in teams for method in config.methods]
    return {
        (team.name, method): cell(
            work,
            f"{study.name}-{team.name}-{method}".replace(" ", "_"),
            {**settings, "team": repr(team), "method": method},
            partial(train, study, team, method, config, range(config.seeds)),
        )
        for team, method in tqdm(cells, desc="teams × methods", unit="cell")
    }


def run(config: HeterogeneityConfig) -> str:
    """Compute every cell, write the page; returns its first table."""
    study, work = WORLDS[config.world], Path(config.work_dir)
    folder = page_folder(config.output_dir, page_name(study))
    results = train_teams(config, [*PAIRS, *TEAMS[1:]])
    timed = {**cell_settings(config), "team": repr(PAIRS[0]), "method": TIMED_METHOD, "steps": TIMED_STEPS}
    times = cell(work, f"{study.name}-time_of_seeds", timed, partial(time_of_seeds, config))
    seconds = dict(zip(SEED_COUNTS, times["seconds"].tolist(), strict=True))
    settings = {**config.shared_settings(), "command": command("heterogeneity", config)}
    timing = f"{TIMED_STEPS} steps of HACPO, {PAIRS[0].name}: median of {REPEATS} runs"
    return write_page(Study(study, results, seconds, timing, config.methods, settings, folder))


if __name__ == "__main__":
    sys.exit(main(HeterogeneityConfig, run, __doc__))
