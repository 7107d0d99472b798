"""Processes that somebody has stopped, by SIGSTOP for instance: they end no wait, and are not dead."""

from __future__ import annotations

import time

import psutil

STAYS = 3.0
"""Seconds after which a stopped process is not taken for one that is about to continue, as after Ctrl-Z and fg."""
_LOOK = 0.1  # seconds between two looks


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped now; one that has ended is not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def stays_stopped(pid: int) -> bool:
    """Whether a process is stopped, and is not continued within ``STAYS`` seconds."""
    for _ in range(round(STAYS / _LOOK)):
        if not is_stopped(pid):
            return False
        time.sleep(_LOOK)
    return True
