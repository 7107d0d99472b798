"""The folder of a run: nobody else's, one process's at a time, and with a record that fits the options."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hacrl_lab.checkpoint import Checkpoints
from hacrl_lab.config import save_config
from hacrl_lab.errors import LabError
from hacrl_lab.files import LOCK, UNFINISHED, atomic_write, locked
from hacrl_runs.command_line import FREE, load_options
from hacrl_runs.settings import Options

CONFIG = "config.json"
VERSIONS = "versions.json"
EVALUATION = "evaluation.json"
PROBLEMS = "problems.json"
PACKAGES = ("hacrl-lab", "torch", "transformers", "tokenizers", "safetensors", "numpy", "math-verify", "gymnasium")


@contextmanager
def run_folder(options: Options) -> Iterator[Path]:
    """Make the run's folder, or go on in it; within the block no other process can.

    Args:
        options: resolved.

    Yields:
        The folder, in which settings and versions are written down.

    Raises:
        LabError: the folder is another run's, or holds what is not a run's; another process is using it; its run is
            longer than these options say.
    """
    folder = _new_folder() if options.output_dir is None else Path(options.output_dir)
    options = replace(options, output_dir=str(folder))
    _refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, f"another process is running in {str(folder)!r}; wait for it, or give another --output-dir"):
        if (folder / CONFIG).exists():
            _refuse_other_run(folder, options)
        _write_json(folder / VERSIONS, _versions())  # first: it is what tells a run's folder from a model's
        save_config(options, folder / CONFIG)
        yield folder


def check_data(folder: Path, fingerprint: str | None) -> None:
    """Write down which problems the run is about, or make sure that they are still those.

    Args:
        folder: of the run.
        fingerprint: of the problems, see :func:`hacrl_envs.data.fingerprint`; None for a run that reads none.

    Raises:
        LabError: the problems are others than when the run began.
    """
    path = folder / PROBLEMS
    if fingerprint is None:
        return
    if not path.exists():
        _write_json(path, {"fingerprint": fingerprint})
    elif _read_json(path).get("fingerprint") != fingerprint:
        raise LabError(
            f"the problems have changed since the run in {str(folder)!r} began; put them back, or start a new run"
        )


def evaluated_steps(folder: Path) -> int | None:
    """After how many training steps a method's evaluation was made; None where there is none."""
    return read_evaluation(folder)["steps"] if (folder / EVALUATION).exists() else None


def write_evaluation(folder: Path, record: dict[str, Any]) -> None:
    """Write a method's evaluation, see :func:`read_evaluation`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / EVALUATION, record)


def read_evaluation(folder: Path) -> dict[str, Any]:
    """``steps``, the ``topics`` of each problem, and ``accuracy`` on each problem by agent.

    Raises:
        LabError: the file is damaged.
    """
    path = folder / EVALUATION
    record = _read_json(path)
    try:
        sizes = {len(values) for values in record["accuracy"].values()}
        if not isinstance(record["steps"], int) or sizes != {len(record["topics"])}:
            raise ValueError("its parts do not fit together")
        return record
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def _new_folder() -> Path:
    """A folder that no other process has taken, named after the time."""
    name = time.strftime("%Y%m%d-%H%M%S")
    number = 1
    while True:
        folder = Path("runs/llm_pair") / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder with files, unless they are a run's."""
    if not folder.exists() or (folder / VERSIONS).is_file():
        return
    if not folder.is_dir():
        raise LabError(f"{str(folder)!r} is a file; give a folder as --output-dir")
    held = sorted(path.name for path in folder.iterdir() if path.name != LOCK and path.suffix != UNFINISHED)
    if held:
        raise LabError(
            f"{str(folder)!r} holds files that are not a run's, {held[0]!r} for instance; give another --output-dir"
        )


def _refuse_other_run(folder: Path, options: Options) -> None:
    earlier = load_options(folder)
    if replace(earlier, **{name: getattr(options, name) for name in FREE}) != options:
        raise LabError(f"{str(folder)!r} holds another run; give another --output-dir, or --resume {folder}")
    for method in options.methods:
        done = max(evaluated_steps(folder / method) or 0, Checkpoints(folder / method / "checkpoints").last_step())
        if done > options.steps:
            raise LabError(f"the run in {str(folder)!r} has done {done} steps of {method}; --steps must be ≥ {done}")


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def _write_json(path: Path, record: dict[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(record).encode())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> LabError:
    return LabError(f"{str(path)!r} is damaged; delete it, and --resume makes it again")
