"""Records of an evaluation are kept by what they depend on: what was computed before is found, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hacrl_envs.data import fingerprint
from hacrl_envs.text import Problem, TextWorld, draw_each_once
from hacrl_lab.errors import LabError
from hacrl_runs.cache import cell_path
from hacrl_runs.evaluation.models import Model
from hacrl_runs.evaluation.records import records_of
from hacrl_runs.evaluation.sets import ProblemSet
from hacrl_runs.evaluation.settings import DEFAULTS, EvaluateSettings
from hacrl_runs.settings import changed

PROBLEMS = [Problem("1+1?", "2"), Problem("1+2?", "3"), Problem("1+3?", "4")]
WORLD = TextWorld(draw_each_once(PROBLEMS), lambda problems, responses: [0.0 for _ in responses])
KEY: Mapping[str, Any] = {
    "question_column": None,
    "answer_column": None,
    "reward": None,
    "samples": 4,
    "batch": 16,
    "seed": 0,
    "answer_rule": "boxed",
    "prompt_template": None,
    "system_prompt": None,
    "enable_thinking": False,
    "max_new_tokens": 1024,
    "generation": "transformers",
    "device": "cpu",
    "dtype": "float32",
}
"""Of an evaluation with default settings, as it was before sampling could be set."""


def settings_in(folder: Path, **values: Any) -> EvaluateSettings:
    return changed(DEFAULTS, {"device": "cpu", "cache_dir": str(folder), **values})


def keep(folder: Path, model: Model, batches: list[list[Problem]], version: str = "", **changes: Any) -> list[Any]:
    """Write records down as an earlier evaluation would have, under what they depended on; returns them."""
    written = []
    for number, problems in enumerate(batches):
        own = {"model": model.source, "version": model.version, "problems": fingerprint(problems)}
        key = {**KEY, **changes, **own, "number": number, "reward_version": version}
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
    ("values", "changes"),
    [
        ({}, {}),
        ({"rows_at_once": 3, "cache_gib": 0.5, "pass_at": (2,), "most_problems": 3, "output_dir": "x"}, {}),
        ({"temperature": 1.0, "top_p": 1.0, "top_k": 0}, {}),
        ({"temperature": 0.6, "top_k": 20}, {"temperature": 0.6, "top_k": 20}),
        ({"prompt_template": ("{question}",)}, {"prompt_template": "{question}"}),
        ({"seed": 3, "max_new_tokens": 9}, {"seed": 3, "max_new_tokens": 9}),
    ],
)
def test_records_are_found_by_what_they_depend_on(
    tmp_path: Path, model: Model, values: dict[str, Any], changes: dict[str, Any]
) -> None:
    written = keep(tmp_path, model, [PROBLEMS], **changes)
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


def test_records_of_another_reward_other_problems_or_another_model_are_not_used(tmp_path: Path, model: Model) -> None:
    keep(tmp_path, model, [PROBLEMS], version="one")
    settings = settings_in(tmp_path)
    assert records_of(settings, model, [ProblemSet("sums", PROBLEMS, WORLD, reward_version="one")])
    for other in (
        ProblemSet("sums", PROBLEMS, WORLD, reward_version="two"),
        ProblemSet("sums", PROBLEMS[:2], WORLD, reward_version="one"),
    ):
        with pytest.raises(LabError):
            records_of(settings, model, [other])
    Path(model.source, "weights.bin").write_text("01234")  # trained further, in the same folder
    with pytest.raises(LabError):
        records_of(settings, model, [ProblemSet("sums", PROBLEMS, WORLD, reward_version="one")])
