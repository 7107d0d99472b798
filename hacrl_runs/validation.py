"""Evaluations during training on the validation share, and early stopping by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from hacrl_lab.evaluation import evaluate
from hacrl_lab.metrics import EvaluationLog, read_evaluations
from hacrl_lab.observers import StopTraining
from hacrl_lab.sampling import Sampling
from hacrl_lab.seeding import RandomStream
from hacrl_lab.trainer import Trainer
from hacrl_lab.worlds import World
from hacrl_runs.settings import EvaluationSettings
from hacrl_runs.worlds import EVALUATION_SEED

KEY = "validation_accuracy"
"""Of each agent, in the run's log of evaluations: ``validation_accuracy/NAME``."""
VALIDATIONS = "validation.jsonl"
VALIDATION = 2
"""Tells the streams of validation problems and samples from those of the evaluation."""


class Validation:
    """Evaluates every so many steps, and ends training when accuracy has not grown for a while.

    Args:
        world: of the validation share.
        settings: how often, on how many problems, and when to stop.
        sampling: of the responses.
    """

    def __init__(self, world: World, settings: EvaluationSettings, sampling: Sampling) -> None:
        self._world = world
        self._settings = settings
        self._sampling = sampling
        self._prompts = world.sample_prompts(settings.eval_prompts, RandomStream(EVALUATION_SEED, VALIDATION))
        self._log: EvaluationLog | None = None
        self._means: list[float] = []

    def begin(self, trainer: Trainer, folder: Path) -> None:
        """Continue after the validations of the steps that are done.

        Raises:
            StopTraining: they had ended the training already.
        """
        self._log = EvaluationLog(folder, trainer.steps_done, VALIDATIONS)
        keys = [f"{KEY}/{name}" for name in trainer.names]
        self._means = [sum(line[key] for key in keys) / len(keys) for line in read_evaluations(folder, VALIDATIONS)]
        self._stop_without_progress()

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
        means = {name: float(values.mean()) for name, values in accuracy.items()}
        assert self._log is not None
        self._log.write(trainer.steps_done, {f"{KEY}/{name}": mean for name, mean in means.items()})
        self._means.append(sum(means.values()) / len(means))
        by_agent = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
        tqdm.write(f"Validation after step {trainer.steps_done}: {by_agent}")
        self._stop_without_progress()

    def end(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()

    def _stop_without_progress(self) -> None:
        if 0 < self._settings.early_stopping <= without_progress(self._means):
            raise StopTraining(
                f"Stopped early: validation accuracy has not grown for {self._settings.early_stopping} validations."
            )


def without_progress(accuracy: Sequence[float]) -> int:
    """How many of the last values are not above the best one before them.

    >>> without_progress([0.1, 0.3, 0.2, 0.3]), without_progress([0.1, 0.2]), without_progress([])
    (2, 0, 0)
    """
    return len(accuracy) - 1 - accuracy.index(max(accuracy)) if accuracy else 0
