"""Agents in processes of their own, by a real Ray: the same numbers, and an end that is clear when a worker is lost.

Needs the extra ``ray``; skipped where there is none.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_llm_pair import STEPS, call, command, start, wait_until

from hacrl_lab.engines.ray import RayEngine, RemoteAgent
from hacrl_lab.errors import LabError
from hacrl_lab.seeding import RandomStream
from hacrl_runs.cli.main import train

pytest.importorskip("ray")

pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("one_thread_everywhere")]

RAY = ("--engine", "ray")
TWO_RANKS = (*RAY, "--ranks-per-agent", "2", "--checkpointing")
ONE_METHOD = ("--compare", "none")
STARTED = 400.0
"""Seconds within which all workers have started and a step is made, also on a machine that is busy."""
LIMIT = 60.0
"""Seconds within which the loss of a worker must be told."""


def trained(arguments: list[str], folder: Path) -> Path:
    assert train(arguments) == 0
    return folder


@pytest.fixture(scope="module")
def in_one_process(adders: list[str], sums: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two agents in the process of the test."""
    folder = tmp_path_factory.mktemp("in_one_process")
    return trained([*command(adders[:2], sums, folder), *ONE_METHOD], folder)


@pytest.fixture(scope="module")
def by_two_ranks(adders: list[str], sums: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two agents, each of two processes."""
    folder = tmp_path_factory.mktemp("by_two_ranks")
    return trained([*command(adders[:2], sums, folder), *ONE_METHOD, *TWO_RANKS], folder)


def test_agents_in_processes_of_their_own_learn_the_same_to_the_last_bit(
    in_one_process: Path, adders: list[str], sums: str, tmp_path: Path
) -> None:
    run = trained([*command(adders[:2], sums, tmp_path), *ONE_METHOD, *RAY], tmp_path)
    assert same_numbers(run, in_one_process)
    assert "bytes_sent/qwen3" in (run / "hacpo" / "timings.jsonl").read_text()


def test_three_agents_in_processes_of_their_own_learn_the_same_to_the_last_bit(
    adders: list[str], sums: str, tmp_path: Path
) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    trained([*command(adders, sums, local), *ONE_METHOD], local)
    trained([*command(adders, sums, remote), *ONE_METHOD, *RAY], remote)
    assert same_numbers(remote, local)


class Failing:
    """An agent that cannot answer."""

    def generate(self, *arguments: Any) -> None:
        raise LabError("no answer")


def generate_after(seconds: float, agent: RemoteAgent) -> None:
    time.sleep(seconds)
    agent.generate(None, 1, RandomStream(0))


def test_after_an_error_of_one_agent_no_call_of_another_remains() -> None:
    makers: dict[str, Any] = {"first": Failing, "second": Failing}
    before, running = set(threading.enumerate()), set(psutil.Process().children(recursive=True))
    with pytest.raises(LabError, match="no answer"), RayEngine(makers) as engine:
        engine.together([partial(generate_after, *one) for one in zip((0, 5), engine.agents, strict=True)])
    left = [thread.name for thread in set(threading.enumerate()) - before]
    assert not [name for name in left if "ThreadPoolExecutor" in name]
    assert not set(psutil.Process().children(recursive=True)) - running


def test_an_error_of_an_agent_is_told_as_in_one_process(
    adders: list[str], sums: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    arguments = [*command(adders[:2], sums, tmp_path / "run"), *ONE_METHOD, *RAY, "--learning-rate", "1e30"]
    status, error = call(monkeypatch, capsys, *arguments)
    assert status == 1
    assert "diverged in step 1" in error


def same_numbers(folder: Path, reference: Path) -> bool:
    """Metrics byte for byte, and the evaluation."""
    parts = ("hacpo/metrics.jsonl", "hacpo/evaluation.json", "initial/evaluation.json")
    return all((folder / part).read_bytes() == (reference / part).read_bytes() for part in parts)


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """The processes in which agents live."""
    return [one for one in psutil.Process(process.pid).children(recursive=True) if "ray::Worker" in one.name()]


@pytest.mark.parametrize(
    ("sign", "engine", "workers", "uninterrupted"),
    [
        (signal.SIGKILL, RAY, 2, "in_one_process"),
        (signal.SIGSTOP, RAY, 2, "in_one_process"),
        (signal.SIGKILL, TWO_RANKS, 4, "by_two_ranks"),
    ],
    ids=["killed", "stopped", "a rank killed"],
)
def test_the_loss_of_a_worker_ends_the_run_clearly_and_it_can_be_resumed(
    sign: signal.Signals,
    engine: tuple[str, ...],
    workers: int,
    uninterrupted: str,
    adders: list[str],
    sums: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    whole = request.getfixturevalue(uninterrupted)
    process = start(*command(adders[:2], sums, tmp_path), *ONE_METHOD, *engine)
    wait_until(lambda: any((tmp_path / "hacpo" / "checkpoints").glob("step-*")), process, STARTED)
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
    assert same_numbers(trained(["--resume", str(tmp_path)], tmp_path), whole)


def test_a_run_of_two_ranks_can_be_made_longer_with_one(
    by_two_ranks: Path, adders: list[str], sums: str, tmp_path: Path
) -> None:
    longer = shutil.copytree(by_two_ranks, tmp_path / "longer")
    arguments = [*command(adders[:2], sums, longer), *ONE_METHOD, "--checkpointing", "--steps", str(STEPS + 1)]
    arguments.append("--accept-changes")  # two ranks do not round as one does
    after = (trained(arguments, longer) / "hacpo" / "metrics.jsonl").read_text()
    assert after.startswith((by_two_ranks / "hacpo" / "metrics.jsonl").read_text())
    assert len(after.splitlines()) == STEPS + 1
