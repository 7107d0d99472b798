"""The six pairs on the token chain with every method, as in the study heterogeneity."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from common.cache import Cell
from common.cli import check_methods
from common.options import ComparisonOptions
from common.teams import PAIRS
from common.testbeds import CHAIN
from common.training import team_cells
from heterogeneity.study import METHODS

REFERENCE, DOUBLE = "gspo", "gspo_x2"


@dataclass(frozen=True)
class Options(ComparisonOptions):
    """Compare methods by the rollouts that they generate, on the token chain."""

    methods: tuple[str, ...] = METHODS
    """What to train with; gspo and gspo_x2 must be among them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_methods(self.methods, self.training, least=2)
        if missing := {REFERENCE, DOUBLE} - set(self.methods):
            raise ValueError(f"methods must contain {', '.join(sorted(missing))}, got {', '.join(self.methods)}")


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """(name of the pair, method) -> its training."""
    return {**team_cells(CHAIN, PAIRS, options.methods, options)}
