"""The runs of the studies heterogeneity and ablations that have a counterpart in the paper."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import ablations.study as ablations
import heterogeneity.study as heterogeneity
from common.cache import Cell
from common.options import OutputOptions
from common.teams import PAIRS
from common.training import team_cells
from heterogeneity.study import World

METHODS = {"GRPO": "grpo", "GSPO": "gspo", "GSPOx2": "gspo_x2", "Naive": "naive", "HACPO": "hacpo"}
"""The paper's names and ours."""
WITHOUT_ADVANTAGE, WITHOUT_OMEGA, ALPHA_0, ALPHA_3 = "HACPO − advantage", "HACPO − ω", "HACPO, α = 0", "HACPO, α = 3"
VARIANTS = (ablations.REFERENCE, WITHOUT_ADVANTAGE, WITHOUT_OMEGA, ALPHA_0, ALPHA_3)
"""Labels of the ablations that are compared."""


@dataclass(frozen=True)
class Options(OutputOptions):
    """Put our findings beside the paper's; training settings are the published ones of each study."""

    worlds: tuple[World, ...] = ("chain", "bandit", "frozen_lake")
    """Worlds of the study heterogeneity."""
    seeds: int = 32
    """Independent worlds, each with agents of its own."""
    steps: int = 40
    """Training steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.worlds or len(set(self.worlds)) < len(self.worlds):
            raise ValueError(f"worlds must be at least one and different, got {', '.join(self.worlds) or 'none'}")
        for world in self.worlds:
            self.of_world(world)

    def of_world(self, world: World) -> heterogeneity.Options:
        """The options of the study heterogeneity."""
        return replace(heterogeneity.BY_WORLD[world], seeds=self.seeds, steps=self.steps)


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """(world, name of the pair, method) -> its training; label of an ablation -> its training."""
    found: dict[Hashable, Cell] = {}
    for world in options.worlds:
        chosen = options.of_world(world)
        of_teams = team_cells(chosen.testbed, PAIRS, list(METHODS.values()), chosen)
        found |= {(world, *key): cell for key, cell in of_teams.items()}
    ablated = ablations.cells(ablations.Options(seeds=options.seeds, steps=options.steps))
    return {**found, **{label: ablated[label] for label in VARIANTS}}
