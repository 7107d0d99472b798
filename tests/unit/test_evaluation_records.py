"""Records of an evaluation are kept by what they depend on: what was computed before is found, and nothing else is."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hacrl_envs.data import fingerprint
from hacrl_envs.text import Problem, TextWorld, draw_each_once
from hacrl_lab.errors import LabError
from hacrl_runs.cache import cell_path
from hacrl_runs.evaluation.models import Model
from hacrl_runs.evaluation.records import key_of, records_of
from hacrl_runs.evaluation.sets import ProblemSet
from hacrl_runs.evaluation.settings import DEFAULTS, EvaluateSettings
from hacrl_runs.settings import changed

PROBLEMS = [Problem("1+1?", "2"), Problem("1+2?", "3"), Problem("1+3?", "4")]
WORLD = TextWorld(draw_each_once(PROBLEMS), lambda problems, responses: [0.0 for _ in responses])


def settings_in(folder: Path, **values: Any) -> EvaluateSettings:
    return changed(DEFAULTS, {"device": "cpu", "cache_dir": str(folder), **values})


def keep(folder: Path, model: Model, batches: list[list[Problem]], version: str = "", **values: Any) -> list[Any]:
    """Write records down as an earlier evaluation would have, under what they depended on; returns them."""
    written = []
    for number, problems in enumerate(batches):
        own = {"model": model.fingerprint, "problems": fingerprint(problems)}
        key = {**key_of(settings_in(folder, **values)), **own, "number": number, "reward_version": version}
        records = [{"question": problem.question, "batch": number} for problem in problems]
        np.savez(cell_path(folder, "evaluation", key), records=np.array(json.dumps(records)))
        written += records
    return written


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A model that cannot be loaded: whoever asks it anything fails."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_text("0123")
    return Model("a", str(tmp_path / "model"), base="a")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"rows_at_once": 3, "cache_gib": 0.5, "pass_at": (2,), "most_problems": 3, "output_dir": "x"},
        {"temperature": 1.0, "top_p": 1.0, "top_k": 0},
    ],
)
def test_records_are_found_by_what_they_depend_on(tmp_path: Path, model: Model, values: dict[str, Any]) -> None:
    written = keep(tmp_path, model, [PROBLEMS])
    found = records_of(settings_in(tmp_path, **values), model, [ProblemSet("sums", PROBLEMS, WORLD)])
    assert found == {"sums": written}


def test_batches_are_kept_one_by_one_and_put_together_in_order(tmp_path: Path, model: Model) -> None:
    written = keep(tmp_path, model, [PROBLEMS[:2], PROBLEMS[2:]], batch=2)
    found = records_of(settings_in(tmp_path, batch=2), model, [ProblemSet("sums", PROBLEMS, WORLD)])
    assert found == {"sums": written}
    assert [record["batch"] for record in written] == [0, 0, 1]


@pytest.mark.parametrize(
    "values",
    [{"temperature": 0.6}, {"top_p": 0.9}, {"top_k": 20}, {"seed": 1}, {"samples": 5}, {"answer_rule": "whole"}],
)
def test_records_of_other_settings_are_not_used(tmp_path: Path, model: Model, values: dict[str, Any]) -> None:
    keep(tmp_path, model, [PROBLEMS])
    with pytest.raises(LabError):  # the model is asked, which cannot be loaded
        records_of(settings_in(tmp_path, **values), model, [ProblemSet("sums", PROBLEMS, WORLD)])


@pytest.mark.parametrize("changed_input", ["weights", "template", "column", "reward", "torch", "threads"])
def test_records_of_other_inputs_are_not_used(
    tmp_path: Path, model: Model, changed_input: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [Problem("1+1?", "2", columns={"level": 1}), Problem("1+2?", "3", columns={"level": 2})]
    keep(tmp_path, model, [asked], version="one")
    settings, version = settings_in(tmp_path), "one"
    assert records_of(settings, model, [ProblemSet("sums", asked, WORLD, reward_version=version)])
    weights = Path(model.source, "weights.bin")
    match changed_input:
        case "weights":  # of the same size, with the same time stamp
            before = weights.stat()
            weights.write_text("0124")
            os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
        case "template":
            Path(model.source, "chat_template.jinja").write_text("{{ messages }}")
        case "column":
            asked = [replace(asked[0], columns={"level": 3}), asked[1]]
        case "reward":
            version = "two"
        case "torch":
            monkeypatch.setattr("hacrl_runs.inputs.version", lambda name: "0")
        case "threads":
            monkeypatch.setattr("torch.get_num_threads", lambda: 77)
    with pytest.raises(LabError):  # the model is asked, which cannot be loaded
        records_of(settings, model, [ProblemSet("sums", asked, WORLD, reward_version=version)])
