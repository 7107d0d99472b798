"""The page "train your two models" is followed literally, in a fresh environment, with a real model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "train_your_models.md"
COPIED = ("hacrl_lab", "hacrl_runs", "envs", "experiments", "docs", "pyproject.toml", "README.md", "LICENSE")


@pytest.mark.real_model
def test_every_command_of_the_page_works_as_it_stands(tmp_path: Path) -> None:
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    for name in ("first", "second"):
        (tmp_path / name).symlink_to(Path(os.environ["HACRL_LAB_REAL_MODEL"]).resolve())
    commands = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    environment = os.environ | {"A": "first", "B": "second", "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for table in ("runs/before", "runs/after"):
        assert "| greedy |" in (tmp_path / table / "README.md").read_text()
    metrics = (tmp_path / "runs/mine/hacpo/metrics.jsonl").read_text().splitlines()
    assert len(metrics) == 2
    sums = [json.loads(line) for line in (tmp_path / "problems.jsonl").read_text().splitlines()]
    assert len(sums) == 200
    start = json.loads((tmp_path / "runs/mine/initial/evaluation.json").read_text())
    assert max(max(values) for values in start["accuracy"].values()) > 0
    assert "Peak" in done.stdout


@pytest.mark.real_model
def test_answers_in_another_form_than_the_one_looked_for_stop_the_run_with_the_reason(tmp_path: Path) -> None:
    problems = [
        {"question": f"Anna has {k} apples and gets 2 more. How many now?", "answer": k + 2} for k in range(200)
    ]
    (tmp_path / "words.jsonl").write_text("".join(json.dumps(one) + "\n" for one in problems))
    for name in ("first", "second"):
        (tmp_path / name).symlink_to(Path(os.environ["HACRL_LAB_REAL_MODEL"]).resolve())
    words = ["--agents", "first", "second", "--problems", "words.jsonl", "--prompts-per-step", "2", "--group-size", "2"]
    words += ["--minibatches", "1", "--max-new-tokens", "12", "--eval-prompts", "2", "--eval-samples", "1"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "experiments" / "llm_pair.py"), *words],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "for 3 steps in a row all rewards were equal, on average 0, so nothing was learned" in done.stderr
    assert "is the answer where the answer rule looks for it" in done.stderr
