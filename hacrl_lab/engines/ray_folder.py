"""Ray's temporary folder, and the end of every process that uses it."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from hacrl_lab.errors import LabError
from hacrl_lab.files import LOCK, locked

PREFIX = "ray-"
"""Of the folder's name; short, since paths of sockets have a limit."""
MARK = ".hacrl-lab"
"""A file that says who made the folder."""
ROUNDS = 10
"""How often all processes that use the folder are killed, until there are none."""
IN_USE = "another process uses this folder of Ray"


class RayFolder:
    """A new temporary folder that this process has to itself; also removes those that killed processes left behind."""

    def __init__(self) -> None:
        _remove_abandoned(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = ExitStack()
        self._lock.enter_context(locked(self.path, IN_USE))
        (self.path / MARK).touch()  # after the lock: a folder with a mark and without a lock is abandoned

    def remove(self) -> None:
        """End all processes that use the folder, and remove it."""
        with self._lock:
            remove(self.path)


def remove(folder: Path) -> None:
    """Kill every other process that has a file open below a folder, stopped ones too, and remove the folder.

    All processes of Ray write to files there, and what they start inherits that. Locks of the folder do not count.

    Args:
        folder: may be gone.
    """
    for _ in range(ROUNDS):  # one process may have just started another
        users = _users(folder)
        for process in users:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if not users:
            break
        psutil.wait_procs(users, timeout=1)
    shutil.rmtree(folder, ignore_errors=True)


def _users(folder: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _uses(process, folder)]


def _uses(process: psutil.Process, folder: Path) -> bool:
    try:
        paths = [Path(file.path) for file in process.open_files()]
    except psutil.Error:  # it has ended, or is another user's
        return False
    return any(path.is_relative_to(folder) and path != folder / LOCK for path in paths)


def _remove_abandoned(parent: Path) -> None:
    """Remove folders whose process was killed, with what still runs there."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError, LabError):  # it is just being removed, or in use
            if _is_ours(folder):
                with locked(folder, IN_USE):
                    remove(folder)


def _is_ours(folder: Path) -> bool:
    """Whether a :class:`RayFolder` of this user made it; links are not followed, and nobody else can write there."""
    status = folder.lstat()
    private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == stat.S_IRWXU
    return private and status.st_uid == os.getuid() and stat.S_ISREG((folder / MARK).lstat().st_mode)
