"""The options that all studies share; every study has a dataclass of its own that adds to them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from hacrl_lab.config import TrainingConfig, flat
from hacrl_lab.errors import SettingError
from hacrl_studies.common.tuning import Sweep

NOT_OF_RESULTS = ("output_dir", "publish", "cache_dir", "workers")
"""Options that say where and how results are made, and that no result depends on."""


@dataclass(frozen=True)
class OutputOptions:
    """Where a study's results go."""

    output_dir: str | None = None
    """Folder for the page, its figures and CSV files; by default runs/<study>."""
    publish: bool = False
    """Write to results/<study>, which is part of the repository."""
    cache_dir: str = "runs/cells"
    """Folder for what has been computed, one for all studies: an interrupted study continues where it was."""
    workers: int = 1
    """Processes that compute side by side."""

    def __post_init__(self) -> None:
        if self.publish and self.output_dir is not None:
            raise SettingError(f"publish writes to results/<study>; output_dir must be left out, got {self.output_dir}")
        if self.workers < 1:
            raise SettingError(f"workers must be ≥ 1, got {self.workers}")

    @property
    def suffix(self) -> str:
        """Added to the names of the study's output folder and of its page; for a study of several worlds."""
        return ""

    def settings(self) -> dict[str, Any]:
        """Everything that results depend on, by the name of its option."""
        return {name: value for name, value in flat(self).items() if name not in NOT_OF_RESULTS}


@dataclass(frozen=True)
class StudyOptions(OutputOptions):
    """What the studies that train have in common."""

    seeds: int = 32
    """Independent worlds, each with agents of its own, from seed 0 on."""
    steps: int = 40
    """Training steps."""
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seeds < 2:
            raise SettingError(f"seeds must be ≥ 2, got {self.seeds}")
        if self.steps < 1:
            raise SettingError(f"steps must be ≥ 1, got {self.steps}")

    def loop_settings(self) -> dict[str, Any]:
        """What every cell of a training study depends on: seeds, steps and the training settings."""
        return {"seeds": self.seeds, "steps": self.steps, "training": asdict(self.training)}


@dataclass(frozen=True)
class ComparisonOptions(StudyOptions):
    """What the studies that compare methods have in common: every method has learning rates of its own."""

    sweep: Annotated[Sweep, tyro.conf.OmitArgPrefixes] = field(default_factory=Sweep)

    @property
    def tuning_seeds(self) -> int:
        """On how many seeds learning rates are chosen."""
        return len(self.sweep.seeds(self.seeds))


def output_folder(options: OutputOptions, study: str) -> Path:
    """Where a study writes.

    Args:
        options: of the study.
        study: its name.
    """
    if options.output_dir is not None:
        return Path(options.output_dir)
    return Path("results" if options.publish else "runs") / f"{study}{options.suffix}"
