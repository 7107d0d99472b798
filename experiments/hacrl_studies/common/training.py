"""Training a team, all seeds at once, with success measured after every step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from hacrl_lab.config import TrainingConfig
from hacrl_lab.methods import get_method
from hacrl_lab.metrics import Metrics
from hacrl_lab.trainer import Trainer
from hacrl_runs.cache import Cell
from hacrl_runs.tables import decimals
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.common.teams import Team
from hacrl_studies.common.testbed import Testbed
from hacrl_studies.common.tuning import Sweep, tuned_cell

BY_SEED = ("agent", "seed", "initial", "final", "clipped")
"""The columns of :func:`by_seed`."""


def team_cells(
    testbed: Testbed[Any, Any], teams: Sequence[Team], methods: Sequence[str], options: ComparisonOptions
) -> dict[tuple[str, str], Cell]:
    """Every team with every method: (name of the team, method) -> its :func:`team_cell`."""
    return {
        (team.name, method): team_cell(
            testbed, team, method, options.training, options.steps, options.seeds, options.sweep
        )
        for team in teams
        for method in methods
    }


def team_cell(
    testbed: Testbed[Any, Any], team: Team, method: str, training: TrainingConfig, steps: int, seeds: int, sweep: Sweep
) -> Cell:
    """:func:`train` with the best learning rates; the same cell for every study that asks for the same."""
    settings = {
        "steps": steps,
        "training": asdict(training),
        "testbed": {testbed.name: testbed.sizes()},
        "team": repr(team),
        "method": method,
    }
    of_rate = partial(train, testbed, team, method, training, steps)
    return tuned_cell(f"{testbed.name}-{team.name}-{method}", of_rate, final_success, seeds, sweep, settings)


def train(
    testbed: Testbed[Any, Any],
    team: Team,
    method: str,
    training: TrainingConfig,
    steps: int,
    seeds: Sequence[int],
    rate: float = 1.0,
) -> dict[str, np.ndarray]:
    """Train one team with one method.

    Args:
        testbed, team: the world and the agents.
        method, training, steps, seeds: of the training.
        rate: multiple of the agents' learning rates; demonstrations before training are learnt with 1.

    Returns:
        ``success``, as its testbed measures it, before training and after every step, (steps + 1, agents, S);
        ``clipped``, share of cross rollouts, (agents, S), nan for a method that does not share; ``seconds``, without
        making the agents, ().
    """
    world = testbed.world(seeds)
    agents = testbed.agents(team, seeds)
    for agent in agents:
        agent.scale_learning_rate(rate)
    trainer = Trainer(agents, world, method, training, list(seeds))
    return train_with(trainer, steps, partial(testbed.success, world=world, seeds=seeds), team.name)


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


def crossed_clip_fraction(metrics: Metrics, names: Sequence[str]) -> np.ndarray:
    """Share of the others' rollouts whose gradient the clip sets to 0, by learner: (agents, S), nan without sharing."""
    return crossed(metrics, "clip_fraction", names)


def crossed(metrics: Metrics, metric: str, names: Sequence[str]) -> np.ndarray:
    """A metric of cross rollouts by learner, mean over the other samplers: (agents, S), nan without sharing.

    Args:
        metrics: of a step.
        metric: one that has a learner and a sampler.
        names: of the agents.
    """
    own = np.asarray(metrics[f"{metric}/{names[0]}/{names[0]}"])
    rows = []
    for learner in names:
        keys = [f"{metric}/{learner}/{sampler}" for sampler in names if sampler != learner]
        shared = [np.asarray(metrics[key]) for key in keys if key in metrics]
        rows.append(np.mean(shared, axis=0) if shared else np.full_like(own, np.nan))
    return np.stack(rows)


def final_success(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Success after training, mean over the agents, of what :func:`train` returns: (S,)."""
    return arrays["success"][-1].mean(0)


def clipped_share(method: str, arrays: Mapping[str, np.ndarray]) -> str:
    """For a table: the share of cross rollouts that the clip sets to 0, empty for a method that does not share."""
    return f"{np.mean(arrays['clipped']):.0%}" if get_method(method).shares else ""


def by_seed(arrays: Mapping[str, np.ndarray], team: Team) -> Iterator[list[str]]:
    """For CSV files: one line for each agent and seed of what :func:`train` returns."""
    success, clipped = arrays["success"], arrays["clipped"]
    for k, label in enumerate(team.labels):
        for seed in range(success.shape[-1]):
            yield [label, str(seed), *decimals((success[0, k, seed], success[-1, k, seed], clipped[k, seed]))]
