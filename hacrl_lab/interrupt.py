"""Ctrl-C and SIGTERM that let the current step finish."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what schedulers send before they kill."""


class Interrupted(Exception):
    """Training stopped at the user's wish, after a checkpoint.

    Args:
        message: what was stopped, and where.
        number: of the signal that asked for it.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.status = 128 + number
        """Exit status of a process that a signal stopped."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, where nothing is waited for."""


def stop_at_once(number: int, frame: FrameType | None) -> None:
    """Handler of a signal.

    Raises:
        KeyboardInterrupt: :class:`Terminated` for SIGTERM.
    """
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


@contextmanager
def graceful_interrupt() -> Iterator[Callable[[], int]]:
    """Within the block the first Ctrl-C or SIGTERM is only remembered; the second interrupts at once.

    Yields:
        A function that gives the number of the signal that came, else 0. Outside the main thread none does.
    """
    received = 0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal received
        if received:
            stop_at_once(number, frame)
        received = number
        again = "Ctrl-C again stops" if number == signal.SIGINT else "the same signal again stops"
        print(f"\nFinishing this step and saving; {again} at once.", file=sys.stderr, flush=True)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    previous = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield lambda: received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
