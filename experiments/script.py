"""What every experiment does on the command line: options from a dataclass, a printed result, clear errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import tyro

from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import LabError
from hacrl_lab.trainer import objective_settings

Config = TypeVar("Config")
FOLDERS = ("output_dir", "work_dir")


def main(config: type[Config], run: Callable[[Config], str], description: str | None) -> int:
    """Read the options, run, print what the experiment returns.

    Args:
        config: a dataclass whose fields are the options; a ``ValueError`` of its own is shown beside the usage.
        run: the experiment.
        description: for ``--help``.

    Returns:
        The exit status: 0, 1 after an error, 130 after Ctrl-C.
    """
    options = tyro.cli(config, description=description)
    try:
        print(run(options))
    except (LabError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Finished parts in a work folder are kept: the same command goes on.", file=sys.stderr)
        return 130
    return 0


def command(script: str, config: Any) -> str:
    """The command line that gives these options; what is at its default and the folders are left out.

    Args:
        script: file name in ``experiments/``, without ``.py``.
        config: the dataclass of its options.
    """
    words = ["python", f"experiments/{script}.py"]
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name in FOLDERS or value == field.default:
            continue
        option = field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", *(str(one) for one in (value if isinstance(value, tuple) else (value,)))]
    return " ".join(words)


def check_methods(methods: Sequence[str], training: Callable[[str], TrainingConfig], least: int = 1) -> None:
    """Refuse a choice of methods before anything is trained.

    Args:
        methods: names.
        training: the settings of a method by name.
        least: how many there must be.

    Raises:
        ValueError: too few, one of them twice, an unknown one, or one that the settings do not allow.
    """
    if len(methods) < least or len(set(methods)) < len(methods):
        raise ValueError(f"methods must be at least {least} different ones, got {', '.join(methods) or 'none'}")
    for method in methods:
        objective_settings(training(method))


def page_folder(output_dir: str, name: str) -> Path:
    """The folder of a page, with a folder for its figures: made before anything is computed, so that a wrong path costs
    nothing.
    """
    folder = Path(output_dir)
    (folder / name).mkdir(parents=True, exist_ok=True)
    return folder
