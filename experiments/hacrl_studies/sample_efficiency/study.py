"""The six pairs on the token chain with every method, as in the study heterogeneity."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from hacrl_lab.errors import SettingError
from hacrl_runs.cache import Cell
from hacrl_studies.common.cli import check_methods
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.common.teams import PAIRS
from hacrl_studies.common.testbeds import CHAIN
from hacrl_studies.common.training import team_cells
from hacrl_studies.heterogeneity.study import METHODS

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
            raise SettingError(f"methods must contain {', '.join(sorted(missing))}, got {', '.join(self.methods)}")


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """(name of the pair, method) -> its training."""
    return {**team_cells(CHAIN, PAIRS, options.methods, options)}
