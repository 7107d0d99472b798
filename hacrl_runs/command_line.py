"""The words of ``hacrl-lab train``: settings, and where they start from (a file, a preset, an earlier run)."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, get_args

import tyro

from hacrl_envs.weights import split_weight
from hacrl_lab.config import flat
from hacrl_lab.errors import LabError, SettingError
from hacrl_runs.accepted_code import accept, confirm
from hacrl_runs.config_file import read_config
from hacrl_runs.folder import FREE, settings_of_run
from hacrl_runs.other_names import refuse_other_names
from hacrl_runs.presets import DATA, PresetName, preset_settings
from hacrl_runs.settings import Group, TrainSettings, changed, train_settings
from hacrl_runs.shell import option_words, refuse_unreadable, shell_line


@dataclass(frozen=True)
class StartSettings:
    """Where the settings start from; options beside it take precedence."""

    config: str | None = None
    """A file of settings, such as the config.yaml that every run leaves."""
    preset: PresetName | None = None
    """Settings of the paper, set together. 'paper' sets clip bounds, KL penalty, schedule, batch and lengths; the
    others also one of the paper's six pairs, its data and its α and δ; '-lora' at the end trains adapters, on one GPU.
    Its data, the evaluation's included, give way as a whole to --problems or --tasks."""
    resume: str | None = None
    """Folder of an earlier run, which is continued under its own settings; only --steps or --epochs may be larger, and
    --patience, --keep-checkpoints, --observers, --logger, --push-to-hub, --engine and --ranks-per-agent may differ."""
    accept_changes: bool = False
    """Continue the run also if its models, problems, rewards, libraries or numbers of threads and ranks are not those
    with which it began. Its page then names the changes."""
    accept_code: bool = False
    """Execute reward functions and observers that the run or the file of settings names also if they were not run here
    before with this content. They are files that anybody may have written: read them first."""
    plan: bool = False
    """Print memory, rollouts, tokens and hours of the run and stop, as hacrl-lab plan does; no weights are loaded.
    Refuses what cannot fit."""
    plan_gpu_gib: float = 0.0
    """With --plan: for GPUs of so many GiB, which this machine need not have, without hours. 0: for this machine."""


@dataclass(frozen=True)
class TrainCommand(TrainSettings):
    """All words of the command: the settings, and where they start from."""

    start: Annotated[StartSettings, Group] = field(default_factory=StartSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        gib = self.start.plan_gpu_gib
        if not 0 <= gib < float("inf"):
            raise SettingError(f"plan_gpu_gib must be a number ≥ 0, got {gib}")
        if gib > 0 and not self.start.plan:
            raise SettingError("plan_gpu_gib needs plan")

    @property
    def settings(self) -> TrainSettings:
        """Those of the run."""
        return TrainSettings(**{one.name: getattr(self, one.name) for one in fields(TrainSettings)})


NAMES = tuple(flat(TrainCommand()))
"""Of all settings, in Python."""


def read_command(words: Sequence[str], prog: str, description: str | None = None) -> TrainCommand:
    """What a command line says.

    Args:
        words: of the command line.
        prog: how the command is written, for ``--help``.
        description: for ``--help``.

    Raises:
        LabError: settings beside ``--resume`` that the run does not have, a file or run that cannot be read, or code
            that it names and the user does not confirm.
        SystemExit: ``--help``, or words that are no options.
    """
    refuse_unreadable(words)
    start, given = _early(words), _given(words)
    if sum(origin is not None for origin in (start.config, start.preset, start.resume)) > 1:
        raise LabError("--config, --preset and --resume exclude each other")
    origin = _giving_way(_origin(start), start, given)
    refuse_other_names(words, NAMES)
    default = _command(origin, StartSettings())
    command = tyro.cli(TrainCommand, prog=prog, description=description, args=words, default=default)
    if start.preset is not None:
        print(f"Preset {start.preset}: {shell_line(option_words(flat(origin), flat(TrainSettings())))}")
    if start.resume is not None:
        command = _command(_continued(command.settings, origin, start.resume), command.start)
    _check_code(command.settings, given, command.start.accept_code)
    return command


def _check_code(settings: TrainSettings, given: Collection[str], accepted: bool) -> None:
    """Before anything of the user's own code is imported: what no word of the command line names must be confirmed."""
    rewards = [split_weight(reward)[0] for reward in settings.problems.reward]
    for option, paths in (("reward", rewards), ("observers", settings.run.observers)):
        if accepted or option in given:
            accept(paths)
        else:
            confirm(paths)


def _command(settings: TrainSettings, start: StartSettings) -> TrainCommand:
    return TrainCommand(**{one.name: getattr(settings, one.name) for one in fields(TrainSettings)}, start=start)


def _early(words: Sequence[str]) -> StartSettings:
    """Where the settings start from, read before all others."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--resume")
    early.add_argument("--config")
    early.add_argument("--preset", choices=get_args(PresetName))
    known = argparse.Namespace(resume=None, config=None, preset=None)
    with contextlib.suppress(argparse.ArgumentError):  # the whole parser says what is wrong
        known, _ = early.parse_known_args(words)
    return StartSettings(config=known.config, preset=known.preset, resume=known.resume)


def _origin(start: StartSettings) -> TrainSettings:
    if start.resume is not None:
        return changed(settings_of_run(Path(start.resume)), {"output_dir": start.resume})
    if start.config is not None:
        return read_config(Path(start.config))
    return train_settings(**preset_settings(start.preset)) if start.preset is not None else TrainSettings()


def _given(words: Sequence[str]) -> set[str]:
    """The settings that words name."""
    return {word.split("=")[0].removeprefix("--").replace("-", "_") for word in words if word.startswith("--")}


def _giving_way(origin: TrainSettings, start: StartSettings, given: Collection[str]) -> TrainSettings:
    """The settings to start from, without those that give way as a whole to what the words say.

    Raises:
        SettingError: words for the number of steps and for that of epochs.
    """
    if "steps" in given and "epochs" in given:
        raise SettingError("steps and epochs exclude each other")
    without = {"epochs"} if "steps" in given else set()
    if start.preset is not None and ("problems" in given or "tasks" in given):
        without |= set(DATA)
    defaults = flat(TrainSettings())
    return changed(origin, {name: defaults[name] for name in without})


def _continued(settings: TrainSettings, earlier: TrainSettings, folder: str) -> TrainSettings:
    """The settings of a run that is continued, if they are the run's own."""
    mine, its = flat(settings), flat(earlier)
    if mine["output_dir"] != folder:
        raise LabError("--resume continues in the run's own folder; leave --output-dir out")
    for name in its:
        if name not in FREE and mine[name] != its[name]:
            option = name.replace("_", "-")
            raise LabError(
                f"--resume continues under the run's own settings; its --{option} is {its[name]!r}, not {mine[name]!r}"
            )
    return settings
