"""Configurations: frozen dataclasses, written beside every run and read back without guessing."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import torch
import tyro

from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.files import write_text
from hacrl_lab.methods import Method, get_method, methods_help
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.schedules import SCHEDULES, EmptyUpdates, Schedule, ScheduleName, UpdatePlan

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
    schedule: ScheduleName | None = None
    """How a step's rollouts are cut into updates; None: as the method has it, which for most is mixed."""
    empty_updates: EmptyUpdates | None = None
    """An update that has no gradient: skip it, or make the optimiser's step all the same, which Adam fills with earlier
    gradients; None: as the method has it, which for most is skip."""
    objective: Annotated[ObjectiveSettings, tyro.conf.OmitArgPrefixes] = ObjectiveSettings()
    """Clip bounds and weights."""

    def __post_init__(self) -> None:
        for name in ("prompts_per_step", "group_size", "minibatches", "capability_window"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise SettingError(f"{name} must be a whole number of at least 1, got {getattr(self, name)!r}")
        if self.old_log_probs not in ("recomputed", "engine"):
            raise SettingError(f"old_log_probs must be 'recomputed' or 'engine', got {self.old_log_probs!r}")
        if self.schedule is not None and self.schedule not in SCHEDULES:
            raise SettingError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        if self.empty_updates not in (None, "skip", "step"):
            raise SettingError(f"empty_updates must be 'skip' or 'step', got {self.empty_updates!r}")

    def schedule_of(self, method: Method) -> Schedule:
        """How a step's rollouts are cut into updates: this run's schedule, else the method's own."""
        return method.schedule if self.schedule is None else SCHEDULES[self.schedule]

    def empty_updates_of(self, method: Method) -> EmptyUpdates:
        """What is done in updates without a gradient: as this run says, else as the method has it."""
        return method.empty_updates if self.empty_updates is None else self.empty_updates

    def updates(self, method: str, agents: int) -> int:
        """Updates that are planned for each agent in a step; those without a gradient are among them.

        Args:
            method: name.
            agents: n, how many train together.

        >>> [TrainingConfig(schedule="self_first").updates(method, agents=2) for method in ("gspo", "gspo_x2", "hacpo")]
        [2, 4, 4]
        """
        return len(self.plan(get_method(method), agents))

    def check(self, method: str, agents: int = 1) -> None:
        """Refuse a method before anything is trained.

        Args:
            method: name.
            agents: how many will train together, as far as it is known.

        Raises:
            SettingError: an unknown method, one that makes more updates in a step than there are prompts, one whose
                groups are of one rollout, or one whose own settings are impossible.
        """
        row = get_method(method)
        samplers = max(agents, 2) if row.shares else 1
        if self.group_size * row.rollout_factor * samplers < 2:
            raise SettingError(
                f"group_size must be ≥ 2 with {row.label}: the rewards of a group are compared with one another"
            )
        plan = self.plan(row, agents)
        if any(update.prompts.shape[-1] == 0 for update in plan):
            raise SettingError(
                f"minibatches must leave a prompt for each of the {len(plan)} updates in a step of {row.label}, "
                f"got prompts_per_step = {self.prompts_per_step}"
            )
        row.settings(self.objective)

    def plan(self, method: Method, agents: int) -> UpdatePlan:
        """The first agent's updates in a step whose prompts are in their own order."""
        order = torch.arange(self.prompts_per_step)
        return method.plan(self.schedule_of(method), order, self.minibatches, 0, agents)


def flat(options: Any) -> dict[str, Any]:
    """The fields of a dataclass and of the dataclasses in it, in order, as on the command line.

    >>> list(flat(TrainingConfig()))[-2:]
    ['delta_step', 'kl_weight']
    """
    values: dict[str, Any] = {}
    for setting in dataclasses.fields(options):
        value = getattr(options, setting.name)
        values |= flat(value) if dataclasses.is_dataclass(value) else {setting.name: value}
    return values


def save_config(config: Any, path: Path) -> None:
    """Write a dataclass as JSON."""
    write_text(path, json.dumps(dataclasses.asdict(config), indent=2, ensure_ascii=False) + "\n")


def load_config(kind: type[ConfigT], path: Path) -> ConfigT:
    """Read a dataclass, and those nested in it, written by :func:`save_config`.

    Raises:
        LabError: the file is missing or not JSON.
        SettingError: it has unknown, missing or impossible keys.
    """
    try:
        values = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise LabError(f"cannot read the configuration {str(path)!r}: {error}") from error
    return _from_json(kind, values, path)


def _from_json(kind: type[ConfigT], values: dict[str, Any], path: Path) -> ConfigT:
    hints = get_type_hints(kind)
    if unknown := sorted(values.keys() - hints.keys()):
        raise SettingError(f"{path} has unknown keys: {', '.join(unknown)}")
    arguments = {key: _value(hints[key], value, path) for key, value in values.items()}
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise SettingError(f"{path} is not a valid {kind.__name__}: {error}") from error


def _value(hint: Any, value: Any, path: Path) -> Any:
    """Nested dataclasses and tuples as they were before they became JSON."""
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _from_json(hint, value, path)  # type: ignore[arg-type]
    return tuple(value) if isinstance(value, list) else value
