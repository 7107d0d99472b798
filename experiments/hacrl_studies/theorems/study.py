"""What is measured: the paper's results on random problems, and the alternatives trained on bandits."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import tyro

from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import SettingError
from hacrl_runs.cache import Cell
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.theorems import alignment_map, baselines, cost, gradients, ratios
from hacrl_studies.theorems.alternatives import time_cell, training_cells
from hacrl_studies.theorems.finding import Finding

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
class Options(ComparisonOptions):
    """Check the paper's results exactly, and train the alternatives on bandits."""

    problems: int = 300
    """Random problems for each setting."""
    seeds: int = 256
    """Bandits on which the alternatives are trained."""
    steps: int = 10
    """Training steps on the bandits."""
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = TrainingConfig(prompts_per_step=8)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.problems < 2:
            raise SettingError(f"problems must be ≥ 2, got {self.problems}")


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """Findings by their function's name, ``cost``, ``map``, ``lengths``, ``time``, and (world, method) of trainings.

    What is enumerated takes seconds and is not kept.
    """
    problems = options.problems
    enumerated: dict[str, Callable[[int], object]] = {
        **FINDINGS,
        "cost": cost.enumeration_costs,
        "map": alignment_map.alignment_map,
        "lengths": alignment_map.misaligned_by_length,
    }
    by_key: dict[Hashable, Cell] = {
        name: Cell(name, partial(_kept_as_it_is, measure, problems)) for name, measure in enumerated.items()
    }
    by_key |= training_cells(options)
    by_key["time"] = time_cell(options)
    return by_key


def _kept_as_it_is(measure: Callable[[int], object], problems: int) -> dict[str, object]:
    return {"value": measure(problems)}
