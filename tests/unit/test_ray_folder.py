"""Ray's temporary folder: what uses it can be ended, and what killed processes left behind is removed, nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hacrl_lab.engines.ray_folder import LOCK, MARK, RayFolder

OWNER = """
import subprocess, sys, time
from hacrl_lab.engines.ray_folder import RayFolder
folder = RayFolder()
with (folder.path / "output").open("w") as output:
    user = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=output)
print(folder.path, user.pid, flush=True)
time.sleep(600)
"""
"""A program with a folder, and with a process that writes to it."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def owner(place: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(place)}
    ) as process:
        yield process
        process.kill()


def announced(owner: subprocess.Popen[str]) -> tuple[Path, psutil.Process]:
    """The owner's folder, and the process that writes to it."""
    assert owner.stdout is not None
    folder, user = owner.stdout.readline().split()
    return Path(folder), psutil.Process(int(user))


def has_ended(process: psutil.Process) -> bool:
    return not psutil.wait_procs([process], timeout=10)[1]


@pytest.mark.parametrize("stopped", [False, True])
def test_the_next_start_ends_and_removes_what_a_killed_process_left(
    owner: subprocess.Popen[str], stopped: bool
) -> None:
    path, user = announced(owner)
    if stopped:
        user.send_signal(signal.SIGSTOP)
    owner.kill()
    owner.wait()
    assert path.exists()
    assert user.is_running()
    new = RayFolder()
    assert not path.exists()
    assert has_ended(user)
    new.remove()


def test_a_folder_in_use_stays(owner: subprocess.Popen[str]) -> None:
    path, user = announced(owner)
    RayFolder().remove()
    assert (path / "output").exists()
    assert user.is_running()
    user.kill()


def test_its_owner_removes_it_and_ends_what_uses_it() -> None:
    folder = RayFolder()
    with (folder.path / "output").open("w") as output:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=output)
    user = psutil.Process(process.pid)
    folder.remove()
    assert not folder.path.exists()
    assert has_ended(user)


def test_who_only_has_its_lock_is_not_ended() -> None:
    folder = RayFolder()
    with (folder.path / LOCK).open() as lock:  # as a process that was forked has it
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=lock)
    folder.remove()
    assert other.poll() is None
    other.kill()
    other.wait()


def test_folders_of_others_stay(place: Path) -> None:
    unmarked, readable, elsewhere = place / "ray-unmarked", place / "ray-readable", place / "elsewhere"
    for folder in (unmarked, readable, elsewhere):
        folder.mkdir(mode=0o700)
        (folder / "thesis.txt").write_text("five years of work")
    readable.chmod(0o755)
    for folder in (readable, elsewhere):
        (folder / MARK).touch()
    (place / "ray-link").symlink_to(elsewhere)
    (place / "ray-file").touch()
    RayFolder().remove()
    assert len(list(place.iterdir())) == 5
    assert all((folder / "thesis.txt").exists() for folder in (unmarked, readable, elsewhere))
    assert not (elsewhere / LOCK).exists()
