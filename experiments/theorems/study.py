"""What is measured: the paper's results on random problems, and the alternatives trained on bandits."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import tyro

from common.cache import Cell
from common.options import OutputOptions
from common.tuning import Sweep
from theorems import alignment_map, baselines, cost, gradients, ratios
from theorems.alternatives import time_cell, training_cells
from theorems.finding import Finding

FINDINGS: dict[str, Callable[[int], Finding]] = {
    function.__name__: function
    for function in (
        baselines.theorem_4_1,
        baselines.corollary_4_2,
        baselines.own_reward,
        baselines.group_std,
        gradients.proposition_d5,
        gradients.proposition_d6,
        ratios.lemma_d10,
        gradients.theorem_d11,
        ratios.equation_45,
        ratios.retokenisation,
        ratios.remark_d2,
        ratios.concentration,
    )
}


@dataclass(frozen=True)
class Options(OutputOptions):
    """Check the paper's results exactly, and train the alternatives on bandits."""

    problems: int = 300
    """Random problems for each setting."""
    seeds: int = 256
    """Bandits on which the alternatives are trained."""
    steps: int = 10
    """Training steps on the bandits."""
    sweep: Annotated[Sweep, tyro.conf.OmitArgPrefixes] = field(default_factory=partial(Sweep, tuning_share=0.25))

    @property
    def tuning_seeds(self) -> int:
        """On how many seeds learning rates are chosen."""
        return len(self.sweep.seeds(self.seeds))

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("problems", 2), ("seeds", 2), ("steps", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be ≥ {least}, got {getattr(self, name)}")


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """Findings by their function's name, ``cost``, ``map``, ``lengths``, ``time``, and (setting, method) of trainings.

    What is enumerated takes seconds and is not kept.
    """
    problems = options.problems
    enumerated: dict[str, Callable[[int], object]] = {
        **FINDINGS,
        "cost": cost.enumeration_costs,
        "map": alignment_map.alignment_map,
        "lengths": alignment_map.misaligned_by_length,
    }
    found: dict[Hashable, Cell] = {
        name: Cell(name, partial(_kept_as_it_is, measure, problems)) for name, measure in enumerated.items()
    }
    found |= training_cells(options.seeds, options.steps, options.sweep)
    found["time"] = time_cell(options.seeds, options.steps)
    return found


def _kept_as_it_is(measure: Callable[[int], object], problems: int) -> dict[str, object]:
    return {"value": measure(problems)}
