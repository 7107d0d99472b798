"""Agents in processes of their own, by a real Ray: the same numbers, and an end that is clear when a worker is lost.

Needs the extra ``ray``; skipped where there is none.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from test_llm_pair import STEPS, call, command, start, wait_until

pytest.importorskip("ray")

pytestmark = pytest.mark.extras

RAY = ("--engine", "ray")
TWO_RANKS = (*RAY, "--ranks-per-agent", "2", "--checkpointing")
ONE_METHOD = ("--compare", "none")
STARTED = 400.0
"""Seconds within which all workers have started and a step is made, also on a machine that is busy."""
LIMIT = 60.0
"""Seconds within which the loss of a worker must be told."""


@pytest.fixture(autouse=True)
def one_thread_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize("count", [2, 3])
def test_agents_in_processes_of_their_own_learn_the_same_to_the_last_bit(
    count: int,
    adders: list[str],
    sums: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    for name, engine in (("local", ()), ("ray", RAY)):
        arguments = [*command(adders[:count], sums, tmp_path / name), *ONE_METHOD, *engine]
        assert call(monkeypatch, capsys, *arguments) == (0, "")
    assert same_numbers(tmp_path / "ray", tmp_path / "local")
    timings = (tmp_path / "ray" / "hacpo" / "timings.jsonl").read_text()
    assert "bytes_sent/qwen3" in timings


def test_an_error_of_an_agent_is_told_as_in_one_process(
    adders: list[str], sums: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    arguments = [*command(adders[:2], sums, tmp_path / "run"), *ONE_METHOD, *RAY, "--learning-rate", "1e30"]
    status, error = call(monkeypatch, capsys, *arguments)
    assert status == 1
    assert "is not finite" in error or "are not finite" in error


def same_numbers(folder: Path, reference: Path) -> bool:
    """Metrics byte for byte, and the evaluation."""
    parts = ("hacpo/metrics.jsonl", "hacpo/evaluation.json", "initial/evaluation.json")
    return all((folder / part).read_bytes() == (reference / part).read_bytes() for part in parts)


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """The processes in which agents live."""
    return [one for one in psutil.Process(process.pid).children(recursive=True) if "ray::_Worker" in one.name()]


@pytest.mark.parametrize(
    ("sign", "engine", "workers"),
    [(signal.SIGKILL, RAY, 2), (signal.SIGSTOP, RAY, 2), (signal.SIGKILL, TWO_RANKS, 4)],
    ids=["killed", "stopped", "a rank killed"],
)
def test_the_loss_of_a_worker_ends_the_run_clearly_and_it_can_be_resumed(
    sign: signal.Signals,
    engine: tuple[str, ...],
    workers: int,
    adders: list[str],
    sums: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    uninterrupted = engine if engine == TWO_RANKS else ()
    assert call(monkeypatch, capsys, *command(adders[:2], sums, whole), *ONE_METHOD, *uninterrupted) == (0, "")
    process = start(*command(adders[:2], sums, broken), *ONE_METHOD, *engine)
    wait_until(lambda: any((broken / "hacpo" / "checkpoints").glob("step-*")), process, STARTED)
    family = psutil.Process(process.pid).children(recursive=True)
    alive = workers_of(process)
    assert len(alive) == workers
    os.kill(alive[-1].pid, sign)
    since = time.monotonic()
    _, errors = process.communicate(timeout=LIMIT)
    assert time.monotonic() - since < LIMIT
    assert process.returncode == 1
    assert errors.decode().splitlines()[-1].startswith("error: a worker of agent ")
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert call(monkeypatch, capsys, "--resume", str(broken)) == (0, "")
    assert same_numbers(broken, whole)


def test_a_run_of_two_ranks_can_be_made_longer_with_one(
    adders: list[str], sums: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    arguments = [*command(adders[:2], sums, tmp_path), *ONE_METHOD]
    assert call(monkeypatch, capsys, *arguments, *TWO_RANKS) == (0, "")
    before = (tmp_path / "hacpo" / "metrics.jsonl").read_text()
    assert call(monkeypatch, capsys, *arguments, "--checkpointing", "--steps", str(STEPS + 1)) == (0, "")
    after = (tmp_path / "hacpo" / "metrics.jsonl").read_text()
    assert after.startswith(before)
    assert len(after.splitlines()) == STEPS + 1
