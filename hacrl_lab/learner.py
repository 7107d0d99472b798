"""What a learner is sent for a step's updates, and what it reports: arrays and names that can cross processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hacrl_lab.objectives import ObjectiveSettings, ObjectiveValue
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.schedules import EmptyUpdates, UpdatePlan


@dataclass(frozen=True)
class LearnerBatch:
    """All that one learner's updates of a step need: arrays and names, so that it can be sent to another process.

    The pool has n samplers, in the order of the agents.
    """

    prompts: Any
    """What was asked, without answers."""
    pool: Sequence[RolloutBatch]
    """Rollouts by sampler; the others' without tokens."""
    learner: int
    """k, the learner's position in the pool."""
    old_log_probs: Tensor
    """The learner's token log-probabilities of its own rollouts before the first update: (..., P, G, T)."""
    sampler_mean_log_probs: Tensor
    """Samplers' mean log-probabilities of their own rollouts, nats per token: (..., n, P, G)."""
    advantages: Tensor
    """(..., n, P, G)."""
    capability_ratios: Tensor
    """ω[k, j]: (..., n, n)."""
    plan: UpdatePlan
    """The step's updates."""
    method: str
    """Name of :mod:`hacrl_lab.methods`, which gives the objective."""
    settings: ObjectiveSettings
    """The objective's settings, the method's own among them."""
    step: int
    """Number of the step, from 1, for messages."""
    empty_updates: EmptyUpdates = "skip"
    """What is done in an update that has no gradient."""


@dataclass(frozen=True)
class UpdateRecord:
    """What one update was made of."""

    samplers: tuple[int, ...]
    """Positions in the pool of those whose rollouts it held."""
    value: ObjectiveValue
    """The objective before the update."""
    sequence_ratios: Tensor
    """s of every rollout before the update, without gradient: (..., n, M, G); 1 for samplers it did not hold."""
    gradient_norm: Tensor
    """L2 norm before clipping, 0 of an update without a gradient and of one that was refused: (...)."""


@dataclass(frozen=True)
class UpdateResult:
    """What a step's updates of one learner say, all on the CPU."""

    updates: list[UpdateRecord]
    """One record for each update, in the order of the plan, those that were refused too."""
    diverged: str = ""
    """Why an update was refused, or the last one went too far; empty in sound training."""
