"""Training a team, all seeds at once, with success measured after every step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from hacrl_lab.config import TrainingConfig
from hacrl_lab.metrics import Metrics
from hacrl_lab.trainer import Trainer
from study.base import StudyWorld
from study.teams import Team


@dataclass(frozen=True)
class LoopConfig:
    """What all experiments on small worlds have in common."""

    seeds: int = 32
    """Independent worlds, each with agents of its own."""
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

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise ValueError(f"seeds must be ≥ 2, got {self.seeds}")

    def training(self, method: str) -> TrainingConfig:
        """The training settings of one method."""
        shared = {field.name for field in fields(TrainingConfig)} & {field.name for field in fields(LoopConfig)}
        return TrainingConfig(method=method, **{name: getattr(self, name) for name in shared})


@dataclass(frozen=True)
class StudyConfig(LoopConfig):
    """What the studies have in common."""

    steps: int = 40
    """Training steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1:
            raise ValueError(f"steps must be ≥ 1, got {self.steps}")

    def shared_settings(self) -> dict[str, Any]:
        """Everything of this class that results depend on."""
        return {field.name: getattr(self, field.name) for field in fields(StudyConfig)}


def train(
    study: StudyWorld[Any, Any], team: Team, method: str, config: StudyConfig, seeds: Sequence[int]
) -> dict[str, np.ndarray]:
    """One cell.

    Returns:
        ``success``, as its world measures it, before training and after every step, (steps + 1, agents, S);
        ``clipped``, share of cross rollouts, (agents, S), nan for a method that does not share; ``seconds``, without
        making the agents, ().
    """
    world = study.world(seeds)
    agents = study.make_agents(team, world, seeds)
    trainer = Trainer(agents, world, config.training(method), list(seeds))
    return train_with(trainer, config.steps, partial(study.success, world=world, seeds=seeds), team.name)


def train_with(
    trainer: Trainer, steps: int, success: Callable[[Any], np.ndarray], description: str
) -> dict[str, np.ndarray]:
    """Train, and measure every agent before training and after every step; returns what :func:`train` does.

    Args:
        trainer: of several seeds.
        steps: to train.
        success: of one agent, (S,).
        description: of the progress bar.
    """
    curve = [[success(agent) for agent in trainer.agents]]
    clipped = []
    started = time.perf_counter()
    for _ in tqdm(range(steps), desc=f"{description}, {trainer.method.label}", unit="step", leave=None):
        metrics = trainer.step()
        curve.append([success(agent) for agent in trainer.agents])
        clipped.append(crossed_clip_fraction(metrics, trainer.names))
    seconds = time.perf_counter() - started
    return {"success": np.array(curve), "clipped": np.mean(clipped, axis=0), "seconds": np.array(seconds)}


BY_SEED = ("agent", "seed", "initial", "final", "clipped")
"""The columns of :func:`by_seed`."""


def by_seed(arrays: Mapping[str, np.ndarray], team: Team) -> Iterator[list[str]]:
    """For CSV files: one line for each agent and seed of what :func:`train` returns."""
    success, clipped = arrays["success"], arrays["clipped"]
    for k, spec in enumerate(team.agents):
        for seed in range(success.shape[-1]):
            values = success[0, k, seed], success[-1, k, seed], clipped[k, seed]
            yield [f"{k + 1}: {spec.label}", str(seed), *(f"{value:.6f}" for value in values)]


def crossed_clip_fraction(metrics: Metrics, names: list[str]) -> np.ndarray:
    """Share of the others' rollouts that the clip keeps from each learner: (agents, S), nan without sharing."""
    own = np.asarray(metrics[f"clip_fraction/{names[0]}/{names[0]}"])
    rows = []
    for learner in names:
        keys = [f"clip_fraction/{learner}/{sampler}" for sampler in names if sampler != learner]
        shared = [np.asarray(metrics[key]) for key in keys if key in metrics]
        rows.append(np.mean(shared, axis=0) if shared else np.full_like(own, np.nan))
    return np.stack(rows)
