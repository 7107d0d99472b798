"""Ray's own processes killed or stopped: a clear end within a minute, and nothing of them is left.

Needs the extra ``ray``; skipped where there is none. ``tools/attack_pair.py processes`` tries all kinds of processes,
signals and moments, and continues the runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from test_llm_pair import command, start, wait_until

from attack_processes import TOLD, family_of, left_of, processes_of

pytest.importorskip("ray")

pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.usefixtures("one_thread_everywhere")]

LONG = ("--engine", "ray", "--compare", "none", "--steps", "1000")
STARTED = 400.0
"""Seconds within which a run has begun, also on a machine that is busy."""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Ray's folder is made; a short path, since it holds sockets."""
    folder = Path(tempfile.mkdtemp(prefix="t"))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def run_with(kind: str, at_start: bool, arguments: list[str], folder: Path) -> tuple[subprocess.Popen, psutil.Process]:
    """A run that has just started a process of a kind, or has made a step; and that process."""
    process = start(*arguments, *LONG)
    if not at_start:
        wait_until(lambda: any((folder / "hacpo" / "checkpoints").glob("step-*")), process, STARTED)
    wait_until(lambda: bool(processes_of(process.pid, kind)), process, STARTED)
    return process, processes_of(process.pid, kind)[0]


@pytest.mark.parametrize(
    ("kind", "sign", "at_start"),
    [
        ("gcs_server", signal.SIGKILL, False),
        ("gcs_server", signal.SIGSTOP, True),
        ("raylet", signal.SIGKILL, True),
        ("raylet", signal.SIGSTOP, False),
        ("ray process", signal.SIGKILL, False),
        ("ray process", signal.SIGSTOP, True),
    ],
)
def test_the_loss_of_a_process_of_ray_is_told_within_a_minute(
    kind: str, sign: signal.Signals, at_start: bool, adders: list[str], sums: str, tmp_path: Path, temporary: Path
) -> None:
    process, victim = run_with(kind, at_start, command(adders[:2], sums, tmp_path), tmp_path)
    family = family_of(process.pid)
    victim.send_signal(sign)
    since = time.monotonic()
    _, errors = process.communicate(timeout=TOLD)
    seconds = time.monotonic() - since
    print(f"{kind} {sign.name}: {seconds:.1f} s")
    assert process.returncode == 1, errors
    told = [line for line in errors.decode().splitlines() if line.startswith("error:")]
    assert len(told) == 1
    assert told[0].endswith("the run can be resumed from its last checkpoint")
    assert b"Traceback" not in errors
    assert not left_of(family, temporary)


def test_after_the_death_of_the_program_nothing_of_ray_is_left(
    adders: list[str], sums: str, tmp_path: Path, temporary: Path
) -> None:
    process, _ = run_with("worker", False, command(adders[:2], sums, tmp_path), tmp_path)
    family = family_of(process.pid)
    assert {"gcs_server", "raylet"} <= {one.name() for one in family}
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not left_of(family, temporary)
