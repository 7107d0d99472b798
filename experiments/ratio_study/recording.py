"""Importance ratios of every mini-batch of every step, taken where the objective is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from pair.config import LLMPairConfig
from pair.run import load_agents, resolve, sources_of
from study.teams import Team
from study.training import StudyConfig
from study.worlds import CHAIN
from torch import Tensor
from tqdm.auto import trange

from envs.arithmetic import ArithmeticWorld
from hacrl_lab.objectives import Objective, ObjectiveInputs, ObjectiveSettings, ObjectiveValue, stepwise_bounds
from hacrl_lab.trainer import Trainer
from hacrl_lab.verifiers import MathVerifier

MEASURES = ("ratio", "below", "above")
"""Mean s; share of rollouts below the cross bound 1 − δ + m·δ_step; share above 1."""


@dataclass
class Recorder:
    """An objective that keeps what it sees of the ratios and then does what it always does."""

    objective: Objective

    def __post_init__(self) -> None:
        self.records: dict[tuple[int, int], Tensor] = {}

    def __call__(self, inputs: ObjectiveInputs, settings: ObjectiveSettings) -> ObjectiveValue:
        """Keep the measures by sampler, (measures, ..., n), under (learner, mini-batch)."""
        ratio = inputs.sequence_ratio.detach()
        low, _ = stepwise_bounds(inputs, settings)
        measures = [ratio, ratio < low, ratio > 1]
        self.records[inputs.learner, inputs.minibatch_index] = torch.stack(
            [values.double().mean((-2, -1)) for values in measures]
        )
        return self.objective(inputs, settings)


def record(trainer: Trainer, steps: int, description: str) -> dict[str, np.ndarray]:
    """Train and record.

    Args:
        trainer: of a method that shares, without micro-batches; one seed or several.
        steps: to train.
        description: of the progress bar.

    Returns:
        ``ratio``, ``below``, ``above``: (steps, learners, samplers, mini-batches, S), see :data:`MEASURES`.
    """
    recorder = Recorder(trainer.method.objective)
    trainer.method = replace(trainer.method, objective=recorder)
    learners, minibatches = range(len(trainer.agents)), range(trainer.minibatches)
    history = []
    for _ in trange(steps, desc=description, unit="step", leave=None):
        trainer.step()
        by_learner = [torch.stack([recorder.records[k, m] for m in minibatches]) for k in learners]
        history.append(torch.stack(by_learner).cpu())  # (learners, mini-batches, measures, S?, samplers)
    values = torch.stack(history).numpy()
    values = values if values.ndim == 6 else values[..., None, :]
    by_measure = np.moveaxis(values, (3, 5), (0, 3))  # measures, steps, learners, samplers, mini-batches, S
    return dict(zip(MEASURES, by_measure, strict=True))


def record_chain(team: Team, method: str, config: StudyConfig, seeds: Sequence[int]) -> dict[str, np.ndarray]:
    """A pair of the token chain, all seeds together."""
    world = CHAIN.world(seeds)
    trainer = Trainer(CHAIN.make_agents(team, world, seeds), world, config.training(method), list(seeds))
    return record(trainer, config.steps, f"{team.name}, {trainer.method.label}")


def record_language_pair(config: LLMPairConfig) -> dict[str, np.ndarray]:
    """The lab's own pair of language models, built on first use."""
    resolved = resolve(config)
    agents = load_agents(resolved, sources_of(resolved))
    with MathVerifier() as verifier:
        trainer = Trainer(agents, ArithmeticWorld(verifier), resolved.training(config.method), config.seed)
        return record(trainer, config.steps, "language models, " + trainer.method.label)
