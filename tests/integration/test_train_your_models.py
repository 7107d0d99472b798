"""The page "train your two models" is followed literally, in a fresh environment, with a real model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "train_your_models.md"
COPIED = ("hacrl_lab", "envs", "experiments", "docs", "pyproject.toml", "README.md", "LICENSE")


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
