"""Ray's own processes killed or stopped: a clear end within a minute, and nothing of them is left.

Needs the extra ``ray``; skipped where there is none. ``tools/attack_pair.py processes`` tries all kinds of processes,
signals and moments, and continues the runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from attack_processes import TOLD, family_of, left_of, processes_of
from hacrl_lab.engines.ray_folder import remove

pytest.importorskip("ray")

pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.usefixtures("one_thread_everywhere")]

PROGRAM = Path(__file__).with_name("training_by_ray.py")
STARTED = 400.0
"""Seconds within which a run has begun, also on a machine that is busy."""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Ray's folder is made; a short path, since it holds sockets. What still runs there is ended."""
    folder = Path(tempfile.mkdtemp(prefix="t"))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    remove(folder)


def run_with(kind: str, at_start: bool, folder: Path) -> tuple[subprocess.Popen, psutil.Process]:
    """A run that has just started a process of a kind, or has made a step; and that process."""
    with (folder / "errors.txt").open("wb") as errors:
        process = subprocess.Popen([sys.executable, str(PROGRAM), str(folder)], stderr=errors)
    deadline = time.monotonic() + STARTED
    while not (at_start or any((folder / "checkpoints").glob("step-*"))) or not processes_of(process.pid, kind):
        assert process.poll() is None, (folder / "errors.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
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
    kind: str, sign: signal.Signals, at_start: bool, tmp_path: Path, temporary: Path
) -> None:
    process, victim = run_with(kind, at_start, tmp_path)
    family = set(family_of(process.pid))
    victim.send_signal(sign)
    since = time.monotonic()
    while process.poll() is None:
        family |= set(family_of(process.pid))
        assert time.monotonic() - since < TOLD
        time.sleep(0.1)
    print(f"{kind} {sign.name}: {time.monotonic() - since:.1f} s")
    errors = (tmp_path / "errors.txt").read_text()
    assert process.returncode == 1, errors
    told = [line for line in errors.splitlines() if line.startswith("error:")]
    assert len(told) == 1
    assert told[0].endswith("the run can be resumed from its last checkpoint")
    assert "Traceback" not in errors
    assert not left_of(family, temporary)


def test_after_the_death_of_the_program_nothing_of_ray_is_left(tmp_path: Path, temporary: Path) -> None:
    process, _ = run_with("worker", False, tmp_path)
    family = family_of(process.pid)
    assert {"gcs_server", "raylet"} <= {one.name() for one in family}
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not left_of(family, temporary)
