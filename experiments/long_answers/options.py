"""The study's options."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import tyro

from common.options import ComparisonOptions
from common.tuning import Sweep


@dataclass(frozen=True)
class Options(ComparisonOptions):
    """Train linear agents on answers of every length, with every method, schedule and clip."""

    steps: int = 60
    """Training steps."""
    sweep: Annotated[Sweep, tyro.conf.OmitArgPrefixes] = field(default_factory=partial(Sweep, tuning_share=0.25))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.training.check("gspo_x2")


PUBLISHED = (Options(),)
