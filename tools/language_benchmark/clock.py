"""How long the parts of a step take, by watching the calls that make them up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import torch

from language_benchmark.operations import Operations

Result = TypeVar("Result")
WATCHED = ("generation", "verification", "scoring", "updates")
PARTS = (*WATCHED, "other")
"""Of a step. Scoring: log-probabilities before the first update; updates: forward and backward passes, clipping,
optimiser; other: everything else."""


@dataclass(frozen=True)
class Measurement:
    """What one step of one side was seen to do."""

    seconds: Mapping[str, float]
    """Of every part."""
    response_tokens: float
    """Mean length of the answers, in the tokens of those who gave them."""
    updates: int
    """Optimiser updates of each model."""
    operations: Sequence[Operations]
    """That such a step needs, by model; see :mod:`language_benchmark.operations`."""

    @property
    def total(self) -> float:
        """Seconds of the step."""
        return sum(self.seconds.values())


class Clock:
    """Sums up the seconds of watched calls; a call within another counts to the outer one.

    Args:
        device: where the models live; work that it has not finished is waited for.
    """

    def __init__(self, device: str) -> None:
        self._waits = device.startswith("cuda")
        self._within = False
        self.start()

    def start(self) -> None:
        """A step begins now."""
        self._seconds: dict[str, float] = dict.fromkeys(WATCHED, 0.0)
        self._started = self._now()

    def stop(self) -> dict[str, float]:
        """Seconds of every part since :meth:`start`."""
        total = self._now() - self._started
        return {**self._seconds, "other": total - sum(self._seconds.values())}

    def watch(self, owner: Any, method: str, part: str) -> None:
        """From now on, an object's calls of one of its methods count to a part."""
        call = getattr(owner, method)

        @wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._within:
                return call(*args, **kwargs)
            self._within, started = True, self._now()
            try:
                return call(*args, **kwargs)
            finally:
                self._within = False
                self._seconds[part] += self._now() - started

        setattr(owner, method, timed)

    def _now(self) -> float:
        return _now(self._waits)


def timed(call: Callable[[], Result], device: str) -> tuple[Result, float]:
    """What a call returns, and its seconds with the work that it leaves a GPU."""
    waits = device.startswith("cuda")
    started = _now(waits)
    result = call()
    return result, _now(waits) - started


def _now(waits: bool) -> float:
    if waits:
        torch.cuda.synchronize()
    return time.perf_counter()
