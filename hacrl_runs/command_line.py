"""The command line of the language-model pair: options in groups, presets, and going on with an earlier run."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import get_args, get_type_hints

import tyro

from hacrl_lab.config import TrainingConfig, flat, load_config
from hacrl_lab.errors import LabError
from hacrl_runs.presets import PresetName, preset_settings
from hacrl_runs.settings import (
    DeviceOptions,
    GenerationOptions,
    ModelOptions,
    OptimiserOptions,
    Options,
    ProblemOptions,
    PromptOptions,
    RunOptions,
)
from hacrl_runs.shell import option_words, shell_line

Group = tyro.conf.OmitArgPrefixes
FREE = ("steps", "patience", "logger", "push_to_hub", "output_dir", "engine", "ranks_per_agent")
"""What a run that is gone on with may have otherwise: how long it is, where it is, and in which processes."""


@dataclass(frozen=True)
class _Grouped:
    """The options as ``--help`` shows them, a group each."""

    run: Group[RunOptions]
    model: Group[ModelOptions]
    problem: Group[ProblemOptions]
    prompt: Group[PromptOptions]
    training: Group[TrainingConfig]
    optimiser: Group[OptimiserOptions]
    generation: Group[GenerationOptions]
    device: Group[DeviceOptions]

    def __post_init__(self) -> None:
        try:
            self.options()
        except ValueError as error:  # shown beside the usage
            raise ValueError(as_options(str(error))) from error

    @classmethod
    def of(cls, options: Options) -> _Grouped:
        """Options in their groups."""
        kinds = {name: kind for name, kind in get_type_hints(cls).items() if name != "training"}
        groups = {
            name: kind(**{one.name: getattr(options, one.name) for one in fields(kind)}) for name, kind in kinds.items()
        }
        return cls(training=options.training, **groups)

    def options(self) -> Options:
        """All of them side by side."""
        groups = [getattr(self, one.name) for one in fields(self) if one.name != "training"]
        flat_settings = {one.name: getattr(group, one.name) for group in groups for one in fields(group)}
        return Options(training=self.training, **flat_settings)


def read_options(arguments: Sequence[str] | None, description: str | None) -> Options:
    """The options of a command line.

    Args:
        arguments: its words; None: those of this process.
        description: for ``--help``.

    Raises:
        LabError: settings beside ``--resume`` that the run does not have, or a run that cannot be read.
        ValueError: impossible settings; the message names the option.
        SystemExit: ``--help``, or words that are no options.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--resume")
    early.add_argument("--preset", choices=get_args(PresetName))
    try:
        known, _ = early.parse_known_args(arguments)
    except argparse.ArgumentError:
        known = argparse.Namespace(resume=None, preset=None)  # the whole parser says what is wrong
    if known.resume is not None:
        return _resumed(known.resume, arguments, description)
    start = replace(Options(), **preset_settings(known.preset)) if known.preset else Options()
    options = _parsed(start, arguments, description)
    if known.preset:
        print(f"Preset {known.preset}: {shell_line(option_words(flat(start), flat(Options())))}")
    return options


def load_options(folder: Path) -> Options:
    """The options of a run from the ``config.json`` of its folder.

    Raises:
        LabError: the file cannot be read, has unknown or impossible settings, or is of the format before
            the algorithm's settings were nested.
    """
    path = folder / "config.json"
    try:
        keys = set(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        keys = set()  # load_config says what is wrong
    if "microbatch_prompts" in keys:
        raise LabError(
            f"{str(folder)!r} is a run of an earlier version, whose settings and checkpoints this one cannot read; "
            "start it anew in another --output-dir"
        )
    return load_config(Options, path)


def as_options(message: str) -> str:
    """An error's message with settings named as they are typed.

    >>> as_options("max_grad_norm must be a number > 0, got -1.0")
    '--max-grad-norm must be a number > 0, got -1.0'
    """
    known = "|".join(sorted(flat(Options()), key=len, reverse=True))
    found = re.compile(rf"(?<![\w-])({known})(?= (?:must|and|above|needs)\b)")
    return found.sub(lambda match: "--" + match[1].replace("_", "-"), message)


def _parsed(start: Options, arguments: Sequence[str] | None, description: str | None) -> Options:
    """The options that words change from others."""
    return tyro.cli(_Grouped, description=description, args=arguments, default=_Grouped.of(start)).options()


def _resumed(folder: str, arguments: Sequence[str] | None, description: str | None) -> Options:
    """The settings of the run that ``--resume`` names; other words are compared with them, also with defaults."""
    if not (Path(folder) / "config.json").is_file():
        raise LabError(f"--resume: {folder!r} holds no run (no config.json in it)")
    earlier = replace(load_options(Path(folder)), output_dir=folder)
    options = _parsed(earlier, arguments, description)
    mine, its = flat(options), flat(earlier)
    for name in its.keys() - {*FREE, "resume", "plan", "plan_gpu_gib"}:
        if mine[name] != its[name]:
            option = name.replace("_", "-")
            raise LabError(
                f"--resume goes on under the run's own settings; its --{option} is {its[name]!r}, not {mine[name]!r}"
            )
    if options.output_dir != folder:
        raise LabError("--resume goes on in the run's own folder; leave --output-dir out")
    return replace(options, resume=None)
