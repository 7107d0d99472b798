"""Importance ratios of every mini-batch of every step, from what the learners' updates report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import trange

from hacrl_lab.config import TrainingConfig
from hacrl_lab.importance import stepwise_lower_bound
from hacrl_lab.learner import UpdateResult
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.trainer import Trainer
from hacrl_runs.resolve import prepared_run
from hacrl_studies.common.arms import RunValues
from hacrl_studies.common.teams import Team
from hacrl_studies.common.testbeds import CHAIN

MEASURES = ("ratio", "below", "above")
"""Mean s; share of rollouts below the cross bound 1 − δ + m·δ_step; share above 1."""


def measured(result: UpdateResult, settings: ObjectiveSettings) -> Tensor:
    """The measures of one learner's updates, by sampler: (mini-batches, measures, ..., n)."""
    rows = []
    for m, update in enumerate(result.updates):
        ratio = update.sequence_ratios
        low = stepwise_lower_bound(settings.delta, settings.delta_step, m)
        measures = (ratio, ratio < low, ratio > 1)
        rows.append(torch.stack([values.double().mean((-2, -1)) for values in measures]))
    return torch.stack(rows)


def record(trainer: Trainer, steps: int, description: str) -> dict[str, np.ndarray]:
    """Train and record.

    Args:
        trainer: of a method that shares and mixes all samplers in every update; one seed or several.
        steps: to train.
        description: of the progress bar.

    Returns:
        ``ratio``, ``below``, ``above``: (steps, learners, samplers, mini-batches, S), see :data:`MEASURES`.
    """
    history = []
    for _ in trange(steps, desc=f"{description}, {trainer.method.label}", unit="step", leave=None):
        trainer.step()
        history.append(torch.stack([measured(result, trainer.settings) for result in trainer.last_updates]))
    values = torch.stack(history).numpy()  # (steps, learners, mini-batches, measures, S?, samplers)
    values = values if values.ndim == 6 else values[..., None, :]
    by_measure = np.moveaxis(values, (3, 5), (0, 3))  # measures, steps, learners, samplers, mini-batches, S
    return dict(zip(MEASURES, by_measure, strict=True))


def record_chain(
    team: Team, method: str, training: TrainingConfig, steps: int, seeds: Sequence[int]
) -> dict[str, np.ndarray]:
    """A pair of the token chain, all seeds together."""
    world = CHAIN.world(seeds)
    trainer = Trainer(CHAIN.agents(team, seeds), world, method, training, list(seeds))
    return record(trainer, steps, team.name)


def record_language_pair(pair: RunValues) -> dict[str, np.ndarray]:
    """The lab's own pair of language models, built on first use; see :data:`hacrl_studies.common.arms.RunValues`."""
    with prepared_run(**pair) as job:
        trainer = Trainer(job.load_agents(), job.worlds.training, job.run.method, job.training, job.run.seed)
        return record(trainer, job.run.steps, "language models")
