"""The folder of a run: nobody else's, one process's at a time, and with a record that fits the settings."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hacrl_lab.checkpoint import Checkpoints
from hacrl_lab.config import flat
from hacrl_lab.errors import LabError
from hacrl_lab.files import write_text
from hacrl_runs.config_file import CONFIG, read_config, write_config
from hacrl_runs.own_folder import MARK, OTHER, made_by, own_folder
from hacrl_runs.settings import TrainSettings
from hacrl_runs.shell import resume_command

MAKER = "hacrl-lab train"
VERSIONS = "versions.json"
EVALUATION = "evaluation.json"
FREE = (
    *("steps", "epochs", "patience", "keep_checkpoints", "observers", "logger", "push_to_hub", "output_dir"),
    *("engine", "ranks_per_agent", "reward_timeout", "trust_reward_in_process"),
)
"""What may change when a run is continued: how long it is, who is told of it, and in which processes it is."""


@dataclass(frozen=True)
class Evaluation:
    """How good the agents of a method were."""

    steps: int
    """Training steps that were done before."""
    topics: Sequence[Sequence[str]]
    """What each evaluation prompt is about."""
    accuracy: Mapping[str, Sequence[float]]
    """On each evaluation prompt, by agent."""
    stopped_early: bool = False
    """Whether early stopping ended the training."""
    diverged: str = ""
    """Why an agent diverged, which ended the training of all; empty if none did."""


@contextmanager
def run_folder(settings: TrainSettings) -> Iterator[Path]:
    """Make the run's folder, or find it and leave what is in it; within the block no other process can write to it.

    Args:
        settings: with the device that is used on this machine.

    Yields:
        The folder.

    Raises:
        LabError: the folder is another run's, or holds what is not a run's; another process is using it; its run is
            longer than these settings say.
    """
    output_dir = settings.run.output_dir
    folder = _new_folder() if output_dir is None else Path(output_dir)
    if made_by(folder) is None and _is_run_from_before(folder):
        write_text(folder / MARK, f"{MAKER}\n")
    with own_folder(folder, MAKER):
        if is_begun(folder):
            _refuse_other_run(folder, settings)
        elif (folder / VERSIONS).exists():
            raise LabError(f"{str(folder)!r} holds a run whose {CONFIG} is gone; put it back, or {OTHER}")
        yield folder


def is_begun(folder: Path) -> bool:
    """Whether a run's folder holds its settings."""
    return (folder / CONFIG).is_file()


def begin(folder: Path, settings: TrainSettings, versions: Mapping[str, str]) -> None:
    """Write down what a run is.

    Args:
        folder: of the run.
        settings: with the device that is used on this machine.
        versions: of libraries.
    """
    write_config(settings, folder / CONFIG)
    _write_json(folder / VERSIONS, versions)


def settings_of_run(folder: Path) -> TrainSettings:
    """The settings of a run from its folder.

    Raises:
        LabError: the folder holds no run, or its settings cannot be read.
    """
    if not (folder / CONFIG).is_file():
        raise LabError(f"{str(folder)!r} holds no run (no {CONFIG} in it)")
    return read_config(folder / CONFIG)


def check_length(folder: Path, methods: Sequence[str], steps: int) -> None:
    """Make sure that a run which is continued is not shorter than what it has done.

    Args:
        folder: of the run.
        methods: of the run.
        steps: of each method, in all.

    Raises:
        LabError: a method has done more.
    """
    for method in methods:
        evaluated = read_evaluation(folder / method).steps if (folder / method / EVALUATION).exists() else 0
        done = max(evaluated, Checkpoints(folder / method / "checkpoints").last_step())
        if done > steps:
            raise LabError(f"the run in {str(folder)!r} has done {done} steps of {method}; steps must be ≥ {done}")


def is_evaluated(folder: Path, steps: int) -> bool:
    """Whether a method is done: it has made all its steps, stopped early or diverged, and was evaluated then."""
    if not (folder / EVALUATION).exists():
        return False
    evaluation = read_evaluation(folder)
    return evaluation.steps == steps or evaluation.stopped_early or bool(evaluation.diverged)


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write a method's evaluation into its folder."""
    folder.mkdir(exist_ok=True)
    _write_json(folder / EVALUATION, asdict(evaluation))


def read_evaluation(folder: Path) -> Evaluation:
    """A method's evaluation from its folder.

    Raises:
        LabError: the file is damaged.
    """
    path = folder / EVALUATION
    try:
        evaluation = Evaluation(**_read_json(path))
        sizes = {len(values) for values in evaluation.accuracy.values()}
        numbers = [value for values in evaluation.accuracy.values() for value in values]
        are_read = isinstance(evaluation.steps, int) and isinstance(evaluation.diverged, str)
        if not are_read or sizes != {len(evaluation.topics)}:
            raise ValueError("its parts do not fit together")
        if not all(isinstance(number, int | float) for number in numbers):
            raise ValueError("accuracies must be numbers")
        return evaluation
    except (ValueError, TypeError, AttributeError) as error:
        raise damaged(path) from error


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


def _is_run_from_before(folder: Path) -> bool:
    """Whether a folder holds a run of a version that did not write down who made a folder."""
    return is_begun(folder) and (folder / VERSIONS).is_file() and "hacrl-lab" in _read_json(folder / VERSIONS)


def _refuse_other_run(folder: Path, settings: TrainSettings) -> None:
    mine, its = flat(settings), flat(read_config(folder / CONFIG))
    if any(mine[name] != its[name] for name in its.keys() - set(FREE)):
        raise LabError(f"{str(folder)!r} holds another run; {OTHER}, or continue it: {resume_command(folder)}")
    if settings.run.epochs == 0:
        check_length(folder, settings.run.methods, settings.run.steps)
    lengths = [{name: flat_settings[name] for name in ("steps", "epochs")} for flat_settings in (mine, its)]
    if lengths[0] != lengths[1] and settings.optimisation.learning_rate_schedule != "constant":
        end = f"after {its['epochs']} epochs; epochs" if its["epochs"] else f"at step {its['steps']}; steps"
        raise LabError(f"the learning rate of the run in {str(folder)!r} falls to 0 {end} must stay so")


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(dict(record)))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(path) from error


def damaged(path: Path) -> LabError:
    """The error that names a file of a run which cannot be read."""
    return LabError(f"{str(path)!r} is damaged; delete it, and --resume makes it again")
