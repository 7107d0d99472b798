"""Limits on foreign code: they hold in any thread, and nothing of them is left afterwards."""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hacrl_lab.limits import memory_limit, time_limit


def busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def here(call: Callable[[], Any]) -> Any:
    return call()


def elsewhere(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


anywhere = pytest.mark.parametrize("run", [here, elsewhere])


def limited(limit: float, work: float) -> str:
    with time_limit(limit):
        busy(work)
    return "done"


@anywhere
def test_what_takes_too_long_is_interrupted(run: Callable[..., Any]) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"^took longer than 0\.2 seconds$"):
        run(lambda: limited(0.2, 60))
    assert time.monotonic() - started < 5


@anywhere
def test_what_is_in_time_is_left_alone_and_so_is_what_follows(run: Callable[..., Any]) -> None:
    def several() -> list[str]:
        said = [limited(0.3, 0.0) for _ in range(200)]
        busy(0.5)  # longer than any limit of before
        return said

    assert run(several) == ["done"] * 200


def test_a_limit_that_runs_out_at_the_end_is_raised_within_the_block_or_not_at_all() -> None:
    def on_the_edge(number: int) -> str:
        try:
            return limited(0.01, 0.0099 + number * 1e-6)
        except TimeoutError:
            return "late"

    def several() -> list[str]:
        said = [on_the_edge(number) for number in range(100)]
        busy(0.05)
        return said

    assert set(elsewhere(several)) <= {"done", "late"}


@anywhere
def test_code_that_is_traced_runs_on_after_a_limit(run: Callable[..., Any]) -> None:
    """As Hypothesis traces it."""

    def several() -> str:
        for work in (0.0, 60.0):
            with contextlib.suppress(TimeoutError):
                limited(0.05, work)
        sys.settrace(lambda *_: None)
        try:
            return limited(5, 0.0)
        finally:
            sys.settrace(None)

    assert run(several) == "done"


def test_the_alarm_and_its_handler_are_those_of_before() -> None:
    before = signal.getsignal(signal.SIGALRM)
    limited(5, 0)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    for thread in threading.enumerate():  # one that is cancelled ends by itself
        if isinstance(thread, threading.Timer):
            thread.join(30)
            assert not thread.is_alive()


@anywhere
def test_what_takes_too_much_memory_is_refused_and_the_limit_is_taken_away(run: Callable[..., Any]) -> None:
    def take(size: int) -> int:
        return len(bytearray(size))

    def too_much() -> int:
        with memory_limit(2**26):
            return take(2**28)

    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError):
        run(too_much)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert take(2**28) == 2**28
