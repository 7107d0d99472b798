"""Configurations: frozen dataclasses, written beside every run and read back without guessing."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import tyro

from hacrl_lab.errors import LabError
from hacrl_lab.files import atomic_write
from hacrl_lab.methods import get_method, methods_help
from hacrl_lab.objectives import ObjectiveSettings

ConfigT = TypeVar("ConfigT")

MethodName = Annotated[str, tyro.conf.arg(help=methods_help())]
"""The type of an option that names a method: ``--help`` lists all methods with what they are."""


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of the training loop, in any world and with any method; every command has them under these names."""

    prompts_per_step: int = 16
    """P, prompts in a step."""
    group_size: int = 8
    """G, rollouts of each agent for each prompt."""
    minibatches: int = 2
    """Optimiser updates in a step; each takes an equal share of the prompts."""
    capability_window: int = 5
    """K, steps over which capabilities are averaged."""
    old_log_probs: Literal["recomputed", "engine"] = "recomputed"
    """Samplers' log-probabilities: recomputed by the training model, or as the generating engine reports them."""
    objective: Annotated[ObjectiveSettings, tyro.conf.OmitArgPrefixes] = ObjectiveSettings()
    """Clip bounds and weights."""

    def __post_init__(self) -> None:
        for name in ("prompts_per_step", "group_size", "minibatches", "capability_window"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {getattr(self, name)!r}")
        if self.old_log_probs not in ("recomputed", "engine"):
            raise ValueError(f"old_log_probs must be 'recomputed' or 'engine', got {self.old_log_probs!r}")

    def check(self, method: str) -> None:
        """Refuse a method before anything is trained.

        Raises:
            ValueError: an unknown method, one that makes more updates in a step than there are prompts, or one whose
                own settings are impossible.
        """
        chosen = get_method(method)
        updates = self.minibatches * chosen.rollout_factor
        if updates > self.prompts_per_step:
            raise ValueError(
                f"minibatches must not exceed prompts_per_step, got {updates} > {self.prompts_per_step} "
                f"in a step of {chosen.label}"
            )
        chosen.settings(self.objective)


def save_config(config: Any, path: Path) -> None:
    """Write a dataclass as JSON."""
    text = json.dumps(dataclasses.asdict(config), indent=2, ensure_ascii=False)
    with atomic_write(path) as file:
        file.write(f"{text}\n".encode())


def load_config(kind: type[ConfigT], path: Path) -> ConfigT:
    """Read a dataclass, and those nested in it, written by :func:`save_config`.

    Raises:
        LabError: the file is missing or not JSON, or has unknown, missing or impossible keys.
    """
    try:
        values = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise LabError(f"cannot read the configuration {str(path)!r}: {error}") from error
    return _from_json(kind, values, path)


def _from_json(kind: type[ConfigT], values: dict[str, Any], path: Path) -> ConfigT:
    hints = get_type_hints(kind)
    if unknown := sorted(values.keys() - hints.keys()):
        raise LabError(f"{path} has unknown keys: {', '.join(unknown)}")
    arguments = {key: _value(hints[key], value, path) for key, value in values.items()}
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise LabError(f"{path} is not a valid {kind.__name__}: {error}") from error


def _value(hint: Any, value: Any, path: Path) -> Any:
    """Nested dataclasses and tuples as they were before they became JSON."""
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _from_json(hint, value, path)  # type: ignore[arg-type]
    return tuple(value) if isinstance(value, list) else value
