"""Calls that use up a worker's limits: they sleep, loop, allocate or end their process. Nothing outside is involved."""

from __future__ import annotations

import os
import time
from collections import deque
from itertools import repeat

from hacrl_lab.verification.equality import are_equal
from hacrl_lab.verification.fork_server import MEMORY_LIMIT


def loop_within_c() -> None:
    """Never return, and never come back from C code, which no Python thread interrupts."""
    deque(repeat(None), maxlen=0)


def allocate(count: int) -> int:
    """Fill so many bytes; how many were filled."""
    return len(bytearray(count))


def true_or_exit(gold: str, given: str) -> bool:
    """True, except that the process ends as long as there is a file called ``gold``."""
    if os.path.exists(gold):
        os._exit(1)
    return True


def compare_or_fail(gold: str, given: str) -> bool:
    """Whether two answers are equal; the words ``sleep``, ``loop``, ``allocate`` and ``exit`` do that instead."""
    match given.split()[:1]:
        case ["sleep"]:
            time.sleep(3600)
        case ["loop"]:
            loop_within_c()
        case ["allocate"]:
            allocate(2 * MEMORY_LIMIT)
        case ["exit"]:
            os._exit(1)
    return are_equal(gold, given)
