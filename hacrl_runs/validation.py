"""Evaluations during training on the validation share, and early stopping by them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from hacrl_lab.evaluation import evaluate
from hacrl_lab.metrics import open_log
from hacrl_lab.observers import StopTraining
from hacrl_lab.seeding import RandomStream
from hacrl_lab.trainer import Trainer
from hacrl_lab.worlds import World
from hacrl_runs.settings import EvaluationSettings, SamplingSettings
from hacrl_runs.worlds import EVALUATION_SEED

VALIDATIONS = "validation.jsonl"
VALIDATION = 2
"""Tells the stream of validation problems and samples from that of the evaluation."""


@dataclass(frozen=True)
class Validated:
    """What one validation found."""

    step: int
    accuracy: Mapping[str, float]
    """By agent."""

    @property
    def mean(self) -> float:
        """Over the agents."""
        return sum(self.accuracy.values()) / len(self.accuracy)


def read_validations(folder: Path) -> list[Validated]:
    """Those of a method, in the order of their steps."""
    path = folder / VALIDATIONS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Validated(**json.loads(line)) for line in lines]


class Validation:
    """Evaluates every so many steps, and ends training when accuracy has not grown for a while.

    Args:
        world: of the validation share.
        settings: how often, on how many problems, and when to stop.
        sampling: of the responses.
    """

    def __init__(self, world: World, settings: EvaluationSettings, sampling: SamplingSettings) -> None:
        self._world = world
        self._settings = settings
        self._sampling = sampling
        self._prompts = world.sample_prompts(settings.eval_prompts, RandomStream(EVALUATION_SEED, VALIDATION))
        self._done: list[Validated] = []

    def begin(self, trainer: Trainer, folder: Path) -> None:
        """Continue after the validations of the steps that are done.

        Raises:
            StopTraining: they had ended the training already.
        """
        self._log: Any = open_log(folder / VALIDATIONS, trainer.steps_done // self._settings.validation_every)
        self._done = read_validations(folder)
        self._stop_if_it_is_time()

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Evaluate, if it is time.

        Raises:
            StopTraining: accuracy has not grown for ``early_stopping`` validations.
        """
        if trainer.steps_done % self._settings.validation_every:
            return
        accuracy = evaluate(
            trainer.agents,
            self._world,
            self._prompts,
            self._settings.eval_samples,
            EVALUATION_SEED + VALIDATION,
            self._sampling,
        )
        validated = Validated(trainer.steps_done, {name: float(values.mean()) for name, values in accuracy.items()})
        self._done.append(validated)
        self._log.write(json.dumps(asdict(validated)) + "\n")
        self._log.flush()
        by_agent = ", ".join(f"{name} {value:.3f}" for name, value in validated.accuracy.items())
        tqdm.write(f"Validation after step {validated.step}: {by_agent}")
        self._stop_if_it_is_time()

    def end(self) -> None:
        """Close the log."""
        self._log.close()

    def _stop_if_it_is_time(self) -> None:
        if 0 < self._settings.early_stopping <= without_progress([one.mean for one in self._done]):
            raise StopTraining(f"validation accuracy has not grown for {self._settings.early_stopping} validations")


def without_progress(accuracy: Sequence[float]) -> int:
    """How many of the last values are not above the best one before them.

    >>> without_progress([0.1, 0.3, 0.2, 0.3]), without_progress([0.1, 0.2]), without_progress([])
    (2, 0, 0)
    """
    return len(accuracy) - 1 - accuracy.index(max(accuracy)) if accuracy else 0
