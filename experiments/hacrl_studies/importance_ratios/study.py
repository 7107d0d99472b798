"""What is trained: the six pairs of the token chain, and the lab's own pair of language models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import tyro

from hacrl_lab.config import MethodName, TrainingConfig
from hacrl_lab.errors import SettingError
from hacrl_lab.methods import get_method
from hacrl_lab.schedules import mixed
from hacrl_runs.cache import Cell
from hacrl_studies.common.arms import RunValues, run_key
from hacrl_studies.common.options import StudyOptions
from hacrl_studies.common.teams import PAIRS
from hacrl_studies.common.testbeds import CHAIN
from hacrl_studies.importance_ratios.recording import record_chain, record_language_pair

LANGUAGE = "language models"


@dataclass(frozen=True)
class Options(StudyOptions):
    """Record the importance ratios of self and cross rollouts in every mini-batch."""

    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = TrainingConfig(minibatches=4)
    method: MethodName = "hacpo"
    language_pair: bool = True
    """Whether to train the lab's own language models too (some minutes; they are built on first use)."""
    language_steps: int = 10
    """Their training steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.training.check(self.method)
        method = get_method(self.method)
        if not method.shares or method.schedule is not mixed:
            raise SettingError(f"method must be one that shares rollouts and mixes them in updates, got {self.method}")
        if self.training.minibatches < 2 or self.language_steps < 2:
            raise SettingError(
                f"minibatches and language_steps must be ≥ 2, got {self.training.minibatches} and {self.language_steps}"
            )

    def language(self) -> RunValues:
        """The settings of the language models: their own, with this study's method and mini-batches."""
        own = {"method": self.method, "compare": "none", "steps": self.language_steps}
        return {**own, "minibatches": self.training.minibatches}


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[str, Cell]:
    """Pair -> its training."""
    settings = {**options.loop_settings(), "testbed": {CHAIN.name: CHAIN.sizes()}, "method": options.method}
    trainings = {
        team.name: Cell(
            f"ratios-{team.name}",
            partial(record_chain, team, options.method, options.training, options.steps, range(options.seeds)),
            {**settings, "team": repr(team), "recorded": "ratios"},
        )
        for team in PAIRS
    }
    if options.language_pair:
        language = options.language()
        trainings[LANGUAGE] = Cell(
            "ratios-language", partial(record_language_pair, language), {**run_key(language), "recorded": "ratios"}
        )
    return trainings
