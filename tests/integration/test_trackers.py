"""Metrics go to real tracking services as well, both without a network."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hacrl_lab.extras import extra
from hacrl_lab.metrics import read_metrics

PROGRAM = [sys.executable, str(Path(__file__).parents[2] / "experiments" / "llm_pair.py")]
OPTIONS = [
    *("--steps", "2", "--prompts-per-step", "2", "--group-size", "4", "--max-new-tokens", "12", "--compare", "none"),
    *("--eval-prompts", "2", "--eval-samples", "1", "--device", "cpu", "--prompt-template", "{question}\n"),
]


def train(adders: list[str], sums: str, folder: Path, logger: str, settings: dict[str, str]) -> None:
    """In a process of its own, since these services read their settings when they are imported."""
    extra(logger, logger)
    words = ["--agents", *adders[:2], "--problems", sums, *OPTIONS, "--logger", logger, "--output-dir", str(folder)]
    environment = os.environ | settings
    done = subprocess.run([*PROGRAM, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.extras
def test_trackio_has_the_numbers_of_the_metrics_file(adders: list[str], sums: str, tmp_path: Path) -> None:
    train(adders, sums, tmp_path / "run", "trackio", {"TRACKIO_DIR": str(tmp_path / "trackio")})
    [base] = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(base) as connection:
        logged = connection.execute("SELECT run_name, step, metrics FROM metrics ORDER BY step").fetchall()
    assert [(name, step) for name, step, _ in logged] == [("run-hacpo", 1), ("run-hacpo", 2)]
    expected = read_metrics(tmp_path / "run" / "hacpo")["importance_ratio/qwen3/llama"]
    assert [json.loads(metrics)["importance_ratio/qwen3/llama"] for _, _, metrics in logged] == expected


@pytest.mark.extras
@pytest.mark.parametrize(
    ("key", "reason"), [("", "nobody is logged in"), ("a" * 40, "Failed to authenticate with http://127.0.0.1:9")]
)
def test_wandb_without_a_login_or_a_connection_is_refused_before_anything_is_computed(
    adders: list[str], sums: str, tmp_path: Path, key: str, reason: str
) -> None:
    extra("wandb", "wandb")
    nobody = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_DIR": str(tmp_path), "HOME": str(tmp_path)}
    own = ["--logger", "wandb", "--output-dir", str(tmp_path / "run")]
    done = subprocess.run(
        [*PROGRAM, "--agents", *adders[:2], "--problems", sums, *OPTIONS, *own],
        env=os.environ | nobody | {"WANDB_API_KEY": key, "WANDB_MODE": "online"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    [sentence] = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    wanted = "logger wandb needs a login (wandb login) and a connection, or WANDB_MODE=offline"
    assert sentence.startswith(f"error: {wanted}: {reason}")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.extras
def test_wandb_writes_a_run_for_each_method(adders: list[str], sums: str, tmp_path: Path) -> None:
    train(adders, sums, tmp_path / "run", "wandb", {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)})
    [log] = tmp_path.glob("wandb/offline-run-*/run-run-hacpo.wandb")
    assert b"importance_ratio/qwen3/llama" in log.read_bytes()
