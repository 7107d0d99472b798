"""The study's options."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Literal, get_args

import tyro

from hacrl_lab.errors import SettingError
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.common.tuning import Sweep

Part = Literal["lengths", "law", "widths", "schedules", "ablations", "paper", "teams", "networks"]
BESIDE_THE_PAPER: tuple[Part, ...] = ("lengths", "schedules", "ablations")
"""What the comparison with the paper is made of."""


@dataclass(frozen=True)
class Options(ComparisonOptions):
    """Train linear agents on answers of every length, with every method, schedule and clip."""

    steps: int = 60
    """Training steps."""
    sweep: Annotated[Sweep, tyro.conf.OmitArgPrefixes] = field(default_factory=partial(Sweep, tuning_share=0.25))
    parts: tuple[Part, ...] = get_args(Part)
    """What is computed; lengths, the headline, must be among them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.training.check("gspo_x2")
        if "lengths" not in self.parts or not set(self.parts) <= set(get_args(Part)):
            raise SettingError(f"parts must be lengths and any of {', '.join(get_args(Part)[1:])}, got {self.parts}")
        if "paper" in self.parts and (missing := set(BESIDE_THE_PAPER) - set(self.parts)):
            raise SettingError(f"parts must hold {', '.join(sorted(missing))} beside paper, got {self.parts}")


PUBLISHED = (Options(),)
