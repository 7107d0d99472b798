"""Configurations: frozen dataclasses, written beside every run and read back without guessing."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hacrl_lab.errors import LabError
from hacrl_lab.files import replacing
from hacrl_lab.methods import get_method

ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of one training run, in any world."""

    method: str
    """Name of :mod:`hacrl_lab.methods`."""
    prompts_per_step: int
    """P, prompts in a step."""
    group_size: int
    """G, rollouts of each agent for each prompt."""
    minibatches: int
    """Optimiser updates in a step; each takes an equal share of the prompts."""
    epsilon_low: float
    """Own rollouts: lower clip bound 1 − ε_low."""
    epsilon_high: float
    """Own rollouts: upper clip bound 1 + ε_high."""
    alpha: float
    """Cross rollouts: exponent of the exponential weight."""
    delta: float
    """Cross rollouts: clip bounds [1 − δ + m·δ_step, 1]."""
    delta_step: float
    """Cross rollouts: tightening of the bound with each mini-batch update m."""
    capability_window: int
    """K, steps in the sliding window of capabilities."""
    microbatch_prompts: int = 0
    """Prompts in one forward and backward pass, to bound memory; 0 takes the whole mini-batch."""
    old_log_probs: str = "recomputed"
    """Where samplers' log-probabilities come from: ``recomputed`` by the training model or the ``engine``'s (D11)."""

    def __post_init__(self) -> None:
        for name in ("prompts_per_step", "group_size", "minibatches", "capability_window"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {getattr(self, name)!r}")
        method = get_method(self.method)
        updates = self.minibatches * method.rollout_factor
        if updates > self.prompts_per_step:
            raise ValueError(
                f"minibatches must not exceed prompts_per_step, got {updates} > {self.prompts_per_step} "
                f"in a step of {method.label}"
            )
        if self.microbatch_prompts < 0:
            raise ValueError(f"microbatch_prompts must be ≥ 0, got {self.microbatch_prompts}")
        if self.old_log_probs not in ("recomputed", "engine"):
            raise ValueError(f"old_log_probs must be 'recomputed' or 'engine', got {self.old_log_probs!r}")


def save_config(config: Any, path: Path) -> None:
    """Write a dataclass as JSON."""
    text = json.dumps(dataclasses.asdict(config), indent=2, ensure_ascii=False)
    with replacing(path) as file:
        file.write(f"{text}\n".encode())


def load_config(kind: type[ConfigT], path: Path) -> ConfigT:
    """Read a dataclass written by :func:`save_config`.

    Raises:
        LabError: the file is missing or not JSON, or has unknown, missing or impossible keys.
    """
    try:
        values = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise LabError(f"cannot read the configuration {str(path)!r}: {error}") from error
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(values.keys() - names):
        raise LabError(f"{path} has unknown keys: {', '.join(unknown)}")
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except (TypeError, ValueError) as error:
        raise LabError(f"{path} is not a valid {kind.__name__}: {error}") from error
