"""Two small agents that train in Ray's workers without end: a program for tests/integration/test_lost_ray.py.

python training_by_ray.py FOLDER    trains there, with a checkpoint after every step
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import torch

from hacrl_envs.bandit import bandit_world
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.engines.ray import RayEngine
from hacrl_lab.fit import fit
from hacrl_lab.trainer import Trainer
from hacrl_runs.program import exit_with, with_clear_errors

STEPS = 100_000


def train(folder: Path) -> None:
    """Until somebody ends it."""
    world = bandit_world(0, contexts=4, actions=3, length=2)
    logits = torch.zeros(4, world.space.prefixes, 3, dtype=torch.float64)
    adam = partial(torch.optim.Adam, lr=0.1)
    makers = {name: partial(TabularAgent, name, logits, world.space, adam) for name in ("a", "b")}
    with RayEngine(makers) as engine:
        config = TrainingConfig(prompts_per_step=4, group_size=4)
        fit(Trainer(engine.agents, world, "hacpo", config, 0, engine=engine), STEPS, folder, 1)


if __name__ == "__main__":
    exit_with(lambda: with_clear_errors(lambda: train(Path(sys.argv[1]))))
