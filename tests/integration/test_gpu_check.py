"""The check of a GPU, rehearsed on a CPU from its shell script: every part measures something that can be right."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "tools" / "gpu_check.sh"
SIZES = {"product": 256, "pretrain-seconds": 1, "long-seconds": 1, "prompts": 4, "group-size": 4, "max-new-tokens": 16}
SIZES |= {"rounds": 1, "long-steps": 1, "long-prompts": 2}
SMALL = [
    "--size",
    "tiny",
    "--device",
    "cpu",
    "--dtype",
    "float32",
    *(f"--{name}={size}" for name, size in SIZES.items()),
]


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By the first word of their title."""
    folder = tmp_path_factory.mktemp("gpu_check")
    environment = {**os.environ, "PYTHON": sys.executable, "OUT": str(folder)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(["bash", str(SCRIPT), *SMALL], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {one["title"].split(":")[0]: one for one in json.loads((folder / "results.json").read_text())}


def column(section: dict[str, Any], name: str) -> list[Any]:
    place = section["header"].index(name)
    return [row[place] for row in section["rows"]]


def test_both_samplers_answer_with_both_models(sections: dict[str, dict[str, Any]]) -> None:
    sampling = sections["Sampling"]
    assert set(column(sampling, "sampler")) == {"grouped", "transformers"}
    assert len(set(column(sampling, "model"))) == 2
    assert min(column(sampling, "tokens a second")) > 0


def test_all_sides_make_steps(sections: dict[str, dict[str, Any]]) -> None:
    sides = column(sections["Steps of two models, in turn"], "side")
    trl = ["trl"] if importlib.util.find_spec("trl") else []
    assert sides == ["gspo", "hacpo", *trl]


def test_updates_reach_some_share_of_the_peak(sections: dict[str, dict[str, Any]]) -> None:
    updates = sections["Updates in which every answer has an advantage"]
    assert set(column(updates, "method")) == {"gspo", "hacpo"}
    assert all(0 < share < 1 for share in column(updates, "share of the peak"))
    needed = dict(zip(column(updates, "method"), column(updates, "operations, 10¹²"), strict=True))
    assert needed["hacpo"] > needed["gspo"] > 0


def test_long_answers_train_with_own_ratios_of_one(sections: dict[str, dict[str, Any]]) -> None:
    training = sections["Training with long answers"]
    assert column(training, "method") == ["hacpo", "gspo"]
    assert column(training, "largest self-ratio error") == [0, 0]
    hacpo, gspo = column(training, "ratio of others' answers")
    assert hacpo > 0
    assert gspo is None
