"""What the studies heterogeneity and ablations found that has a counterpart in the paper, from their CSV files."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

import hacrl_studies.ablations.study as ablations
import hacrl_studies.heterogeneity.study as heterogeneity
from hacrl_lab.errors import LabError, SettingError
from hacrl_runs.cache import Cell
from hacrl_studies.common.options import OutputOptions
from hacrl_studies.common.teams import PAIRS
from hacrl_studies.heterogeneity.study import World

METHODS = {"GRPO": "grpo", "GSPO": "gspo", "GSPOx2": "gspo_x2", "Naive": "naive", "HACPO": "hacpo"}
"""The paper's names and ours."""
WITHOUT_ADVANTAGE, WITHOUT_OMEGA, ALPHA_0, ALPHA_3 = "HACPO − advantage", "HACPO − ω", "HACPO, α = 0", "HACPO, α = 3"
VARIANTS = (ablations.REFERENCE, WITHOUT_ADVANTAGE, WITHOUT_OMEGA, ALPHA_0, ALPHA_3)
"""Labels of the ablations that are compared."""
SUCCESS = "success"
"""The one array of a cell: success after training by seed, mean over agents, (S,)."""


@dataclass(frozen=True)
class Options(OutputOptions):
    """Put our findings beside the paper's; they are read from the CSV files of the published studies."""

    worlds: tuple[World, ...] = ("chain", "bandit", "frozen_lake")
    """Worlds of the study heterogeneity."""
    records: str = "results"
    """Folder with the outputs of the studies heterogeneity, in each of these worlds, and ablations."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.worlds or len(set(self.worlds)) < len(self.worlds):
            raise SettingError(f"worlds must be at least one and different, got {', '.join(self.worlds) or 'none'}")


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """(world, name of the pair, method) -> its record; label of an ablation -> its record."""
    records: dict[Hashable, dict[int, list[float]]] = {}
    for world in options.worlds:
        name = f"heterogeneity{heterogeneity.BY_WORLD[world].suffix}"
        by_team = by_seed(Path(options.records) / name / f"{name}.csv", "team", "method")
        names = product((pair.name for pair in PAIRS), METHODS.values())
        records |= {(world, name, method): by_team[name, method] for name, method in names}
    ablated = by_seed(Path(options.records) / "ablations" / "ablations.csv", "variant")
    records |= {label: ablated[label,] for label in VARIANTS}
    return {key: Cell(str(key), partial(_record, values)) for key, values in records.items()}


def by_seed(path: Path, *columns: str) -> dict[tuple[str, ...], dict[int, list[float]]]:
    """Success after training from a study's CSV file: values of the columns -> seed -> that of each agent.

    Raises:
        LabError: the file is not there or is not such a file.
    """
    success: dict[tuple[str, ...], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                success[tuple(line[column] for column in columns)][int(line["seed"])].append(float(line["final"]))
    except (OSError, KeyError, ValueError) as error:
        study = path.parent.name
        raise LabError(f"{str(path)!r} is not the output of a study; run {study} first, or give --records") from error
    return success


def _record(values: dict[int, list[float]]) -> dict[str, np.ndarray]:
    return {SUCCESS: np.array([np.mean(values[seed]) for seed in sorted(values)])}
