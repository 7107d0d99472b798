"""Learning rates that change with the training step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from hacrl_lab.errors import SettingError

ScheduleKind = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True)
class LearningRateSchedule:
    """What the learning rate is multiplied by in each training step: a warm-up, then constant or falling.

    With W = ``warmup_steps``, T = ``steps`` and t = 1 ... T:

        t ≤ W:  f(t) = t/(W + 1)
        t > W:  f(t) = 1 (constant),  1 − p (linear),  (1 + cos πp)/2 (cosine),   p = (t − W − 1)/(T − W)

    The first step after the warm-up has the full rate, and no step has a rate of 0. It goes by training steps, not by
    optimiser updates: methods that make more updates in a step have the same rates in the same steps.
    """

    kind: ScheduleKind = "constant"
    """What comes after the warm-up."""
    warmup_steps: int = 0
    """W, training steps before the full rate."""
    steps: int = 0
    """T, training steps in all; not needed for a constant rate."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScheduleKind):
            raise SettingError(f"kind must be one of {', '.join(get_args(ScheduleKind))}, got {self.kind!r}")
        if self.warmup_steps < 0:
            raise SettingError(f"warmup_steps must be ≥ 0, got {self.warmup_steps}")
        if self.kind != "constant" and self.steps <= self.warmup_steps:
            raise SettingError(
                f"steps must be above warmup_steps = {self.warmup_steps} with a {self.kind} learning rate, "
                f"got {self.steps}"
            )

    def factor(self, step: int) -> float:
        """f(t), in (0, 1].

        Args:
            step: t, number of the training step, from 1.

        Raises:
            ValueError: a step before the first, or after the last of a falling rate.

        >>> [LearningRateSchedule("linear", warmup_steps=1, steps=5).factor(t) for t in range(1, 6)]
        [0.5, 1.0, 0.75, 0.5, 0.25]
        """
        if step < 1 or (self.kind != "constant" and step > self.steps):
            raise ValueError(f"step must be in [1, {self.steps}], the steps of the learning-rate schedule, got {step}")
        if step <= self.warmup_steps:
            return step / (self.warmup_steps + 1)
        if self.kind == "constant":
            return 1.0
        progress = (step - self.warmup_steps - 1) / (self.steps - self.warmup_steps)
        return 1 - progress if self.kind == "linear" else (1 + math.cos(math.pi * progress)) / 2


CONSTANT = LearningRateSchedule()
"""The same learning rate in every step."""
