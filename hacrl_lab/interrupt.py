"""Ctrl-C that lets the current step finish, and limits on the time of foreign code."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """Training stopped at the user's wish, after a checkpoint."""


@contextmanager
def graceful_interrupt() -> Iterator[Callable[[], bool]]:
    """Within the block the first Ctrl-C only sets a flag; the second interrupts at once.

    Yields:
        A function that says whether Ctrl-C was pressed. Outside the main thread it is never.
    """
    pressed = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        print("\nFinishing this step and saving; Ctrl-C again stops at once.", file=sys.stderr, flush=True)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    previous = signal.signal(signal.SIGINT, on_signal)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Within the block, Python code that runs longer is interrupted. Outside the main thread there is no limit.

    Args:
        seconds: > 0.

    Raises:
        TimeoutError: it ran longer.
    """

    def on_alarm(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took longer than {seconds:g} seconds")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
