"""Limits on the time and the memory of foreign code that runs in this process: chat templates."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Within the block, Python code that runs longer is interrupted, in any thread.

    Args:
        seconds: > 0.

    Raises:
        TimeoutError: it ran longer.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    try:
        with _alarm(seconds) if in_main_thread else _watchdog(seconds):
            yield
    except TimeoutError:
        raise TimeoutError(f"took longer than {seconds:g} seconds") from None


@contextmanager
def memory_limit(size: int) -> Iterator[None]:
    """Within the block, the process may take so many more bytes of address space.

    Args:
        size: > 0. Only Linux tells how much a process has; elsewhere there is no limit.

    Raises:
        MemoryError: something wanted more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, hard))
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """By the system's alarm clock, which only the main thread hears."""

    def on_alarm(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    previous = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextmanager
def _watchdog(seconds: float) -> Iterator[None]:
    """By another thread, which has the interpreter raise the error in this one."""
    thread, lock, over, bitten = ctypes.c_ulong(threading.get_ident()), threading.Lock(), False, False

    def bite() -> None:
        nonlocal bitten
        with lock:
            if not over:
                bitten = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(TimeoutError))

    timer = threading.Timer(seconds, bite)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over = True
        timer.cancel()
        if bitten:  # an error that is on its way is raised here, not in what follows
            for _ in range(1000):
                pass
