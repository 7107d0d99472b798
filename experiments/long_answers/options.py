"""The study's options."""

from __future__ import annotations

from dataclasses import dataclass

from common.options import ComparisonOptions


@dataclass(frozen=True)
class Options(ComparisonOptions):
    """Train linear agents on answers of every length, with every method, schedule and clip."""

    steps: int = 60
    """Training steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.training.check("gspo_x2")


PUBLISHED = (Options(),)
