"""One training of the study: a pair or a larger team of linear agents on long answers, with one method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from hacrl_envs.long_answers import LongAnswerTask, long_answer_world
from hacrl_lab.config import TrainingConfig
from hacrl_lab.metrics import Metrics
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.trainer import Trainer
from hacrl_runs.cache import Cell
from hacrl_studies.common.training import crossed, final_success
from hacrl_studies.common.tuning import Sweep, tuned_cell
from hacrl_studies.common.writers import Beginning, draw_writers

LEARNING_RATE = 0.03
"""Adam's, of which the sweep tries multiples."""
QUESTIONS = 256
"""Held-out questions on which success is measured."""
MEASURED_EVERY = 5
"""Steps from one measurement of success to the next."""
RECORDED = {"ratio": "importance_ratio", "kept_positive": "positive_mass_kept", "kept_negative": "negative_mass_kept"}
"""Arrays of cross rollouts and the metrics that they are made of."""


@dataclass(frozen=True)
class Run:
    """What is trained; everything but the number of steps and seeds."""

    method: str
    task: LongAnswerTask = field(default_factory=LongAnswerTask)
    beginning: Beginning = field(default_factory=Beginning)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    @property
    def description(self) -> dict[str, Any]:
        """What its results depend on, as JSON."""
        return asdict(self)


def run_cell(run: Run, steps: int, seeds: int, sweep: Sweep) -> Cell:
    """The cell of :func:`train` with the best learning rate."""
    name = f"long-{run.task.length}-{run.method}"
    settings = {"steps": steps, "learning_rate": LEARNING_RATE, "questions": QUESTIONS, **run.description}
    return tuned_cell(name, partial(train, run, steps), final_success, seeds, sweep, settings)


def train(run: Run, steps: int, seeds: Sequence[int], rate: float = 1.0) -> dict[str, np.ndarray]:
    """Train, and measure every agent before training, every few steps and at the end.

    Args:
        run: what is trained.
        steps, seeds: of the training.
        rate: multiple of :data:`LEARNING_RATE`.

    Returns:
        ``success``, (points, agents, S), and the ``steps`` after which it was measured, (points,); and of cross
        rollouts by learner, mean over the others, (steps, agents, S), nan for a method that does not share: ``ratio``,
        mean s; ``kept_positive`` and ``kept_negative``, shares of the positive and the negative advantage mass whose
        gradient no clip removes.
    """
    world = long_answer_world(list(seeds), run.task)
    optimizer = partial(torch.optim.Adam, lr=rate * LEARNING_RATE)
    agents = draw_writers(run.beginning, world, list(seeds), optimizer)
    trainer = Trainer(agents, world, run.method, run.training, list(seeds))
    questions = run.task.held_out(QUESTIONS)
    right = world.right_tokens(questions)

    def success() -> list[np.ndarray]:
        stream = RandomStream(list(seeds), Stream.EVALUATION)
        return [agent.success(questions, right, stream).numpy() for agent in agents]

    measured, recorded = {0: success()}, []
    description = f"{run.task.length} tokens, {trainer.method.label}"
    for step in tqdm(range(1, steps + 1), desc=description, unit="step", leave=None):
        recorded.append(cross_metrics(trainer.step(), trainer.names))
        if step % MEASURED_EVERY == 0 or step == steps:
            measured[step] = success()
    series = {name: np.array([metrics[name] for metrics in recorded]) for name in RECORDED}
    return {"steps": np.array(list(measured)), "success": np.array(list(measured.values())), **series}


def cross_metrics(metrics: Metrics, names: Sequence[str]) -> Mapping[str, np.ndarray]:
    """The recorded metrics of a step by learner, mean over the other samplers: (agents, S) each."""
    return {name: crossed(metrics, key, names) for name, key in RECORDED.items()}
