"""The wheel, installed outside the checkout: its command trains, plans, evaluates, and a run's file is the next run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SMALL = [
    *("--steps", "1", "--prompts-per-step", "4", "--group-size", "4", "--max-new-tokens", "12", "--device", "cpu"),
    *("--eval-prompts", "4", "--eval-samples", "2", "--learning-rate", "3e-4", "--prompt-template", "{question}\n"),
]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``hacrl-lab`` of a fresh environment that sees the libraries, and of the project only its wheel."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(ROOT)], check=True, cwd=folder)
    (wheel,) = folder.glob("hacrl_lab-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], check=True)
    site = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    # a path file does not read the path files in the folder that it names, among them that of the checkout
    (folder / "venv" / site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "venv" / "bin" / "hacrl-lab"


def run(command: Path, folder: Path, *words: str, status: int = 0, columns: int = 80) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": str(columns)}
    done = subprocess.run([str(command), *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def test_the_wheel_holds_the_packages_and_their_data(command: Path, tmp_path: Path) -> None:
    program = (
        "import hacrl_envs, hacrl_lab, hacrl_runs, hacrl_studies.common, json\n"
        "from hacrl_runs.paper import read\n"
        "print(json.dumps([*(module.__file__ for module in (hacrl_envs, hacrl_lab, hacrl_runs, hacrl_studies.common)),"
        " len(read('paper_results.csv'))]))"
    )
    *files, lines = json.loads(run(command.with_name("python"), tmp_path, "-c", program))
    assert all(Path(file).is_relative_to(command.parents[1]) for file in files)
    assert lines > 50


def test_the_main_job_runs_and_its_file_with_one_line_edited_is_the_next_run(
    command: Path, adders: list[str], sums: str, tmp_path: Path
) -> None:
    said = run(command, tmp_path, "train", "--agents", *adders[:2], "--problems", sums, *SMALL, "--output-dir", "first")
    assert "| agent | initial | GSPO | HACPO |" in said
    config = (tmp_path / "first" / "config.yaml").read_text()
    (tmp_path / "next.yaml").write_text(re.sub(r"seed: 0\n", "seed: 1\n", config, count=1))
    run(command, tmp_path, "train", "--config", "next.yaml", "--output-dir", "second")
    again = (tmp_path / "second" / "config.yaml").read_text()
    assert [line for line in again.splitlines() if line not in config.splitlines()] == ["  seed: 1"]
    first, second = ((tmp_path / name / "hacpo" / "metrics.jsonl").read_text() for name in ("first", "second"))
    assert first != second
    (tmp_path / "same.yaml").write_text(config)
    run(command, tmp_path, "train", "--config", "same.yaml", "--output-dir", "third")
    assert (tmp_path / "third" / "hacpo" / "metrics.jsonl").read_text() == first

    table = run(command, tmp_path, "evaluate", "--models", "first", "--problems", sums, "--max-new-tokens", "12")
    assert "| llama, HACPO (first) |" in table
    assert "Peak" in run(command, tmp_path, "plan", "--config", "first/config.yaml")
    numbers = json.loads(run(command, tmp_path, "describe", "--config", "first/config.yaml"))
    assert 0 <= numbers["qwen3: accuracy"] <= 1


def test_help_fits_into_80_columns(command: Path, tmp_path: Path) -> None:
    assert all(name in run(command, tmp_path) for name in ("train", "plan", "evaluate", "describe", "methods"))
    for name in ("train", "evaluate", "plan", "describe"):
        lines = run(command, tmp_path, name, "--help").splitlines()
        assert len(lines) > 40, name
        assert max(map(len, lines)) <= 80, (name, max(lines, key=len))
    assert "hacpo_capped" in run(command, tmp_path, "methods")
    assert "hacrl_lab.advantages.capability_aware_baseline" in run(command, tmp_path, "methods", "hacpo")
    assert "unknown method 'x'" in run(command, tmp_path, "methods", "x", status=1)
    assert "unknown command 'trian'" in run(command, tmp_path, "trian", status=2)
