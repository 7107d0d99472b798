"""What looks at a run while it trains, and says when nothing can be learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tqdm.auto import tqdm

from hacrl_lab.errors import LabError
from hacrl_lab.metrics import read_metrics

if TYPE_CHECKING:
    from hacrl_lab.trainer import Trainer


class Observer(Protocol):
    """Is told of every step of :func:`hacrl_lab.fit.fit`; it changes nothing in what is trained.

    It may ask the trainer's agents to answer, for instance to evaluate them every few steps with
    :func:`hacrl_lab.evaluation.evaluate` and random streams of its own, and write what it measures with
    :class:`hacrl_lab.metrics.EvaluationLog`.
    """

    def begin(self, trainer: Trainer, folder: Path) -> None:
        """Training begins or continues; ``trainer.steps_done`` steps are done.

        Raises:
            StopTraining: an earlier part of the run has ended it.
        """
        ...

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """A step is done and logged; its checkpoint, if it is to have one, is written afterwards.

        Raises:
            StopTraining: training is complete.
            LabError: training must end here, with an error.
        """
        ...

    def end(self) -> None:
        """Training has ended, for whatever reason."""
        ...


class StopTraining(LabError):
    """Training is complete before its last step: a checkpoint is written, and ``fit`` returns as after the last."""


class NothingToLearn(LabError):
    """Several steps in a row from which nothing could be learned."""


class LearningMonitor:
    """Warns of steps from which nothing can be learned, and ends training after several in a row.

    Args:
        patience: how many; 0 only warns.
    """

    def __init__(self, patience: int = 3) -> None:
        self._patience = patience
        self._in_a_row: dict[str, int] = {}

    def begin(self, trainer: Trainer, folder: Path) -> None:
        """Count again what an earlier part of the run has counted."""
        self._in_a_row = {}
        curves = read_metrics(folder) if trainer.steps_done else {}
        for step in range(trainer.steps_done):
            self._count(unlearnable_step_reasons(trainer.names, {key: values[step] for key, values in curves.items()}))

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Warn at the first of several steps in a row.

        Raises:
            NothingToLearn: it was the last of too many.
        """
        reasons = unlearnable_step_reasons(trainer.names, metrics)
        self._count(reasons)
        for kind, sentence in reasons.items():
            if self._in_a_row[kind] == 1:
                tqdm.write(f"Warning, {trainer.method.label}, step {trainer.steps_done}: {sentence}.")
            if 0 < self._patience <= self._in_a_row[kind]:
                raise NothingToLearn(f"training stopped: for {self._in_a_row[kind]} steps in a row {sentence}")

    def end(self) -> None:
        """Nothing is left open."""

    def _count(self, reasons: Iterable[str]) -> None:
        self._in_a_row = {kind: self._in_a_row.get(kind, 0) + 1 for kind in reasons}


def unlearnable_step_reasons(names: Sequence[str], metrics: Mapping[str, float]) -> dict[str, str]:
    """What is wrong with a step, by kind, as sentences without a full stop; each says what to do.

    Args:
        names: of the agents.
        metrics: of the step, see :data:`hacrl_lab.metrics.METRICS`.

    >>> metrics = {"zero_variance_share/a": 1.0, "accuracy/a": 0.0, "finished_share/a": 1.0}
    >>> list(unlearnable_step_reasons(["a"], metrics))
    ['rewards']
    """
    reasons = {}
    if all(metrics[f"zero_variance_share/{name}"] == 1 for name in names):
        mean = sum(metrics[f"accuracy/{name}"] for name in names) / len(names)
        remedy = (
            "problems are too easy for these models"
            if mean > 0.5
            else "look at the sample answers: is the answer where the answer rule looks for it, and are the problems "
            "within reach?"
        )
        reasons["rewards"] = f"all rewards were equal, on average {mean:.3g}, so nothing was learned; {remedy}"
    for name in names:
        if metrics[f"finished_share/{name}"] == 0:
            reasons[f"length {name}"] = (
                f"no response of {name!r} came to its end; allow more tokens, or ask for shorter answers"
            )
    crossed = [
        metrics[f"clip_fraction/{learner}/{sampler}"]
        for learner in names
        for sampler in names
        if learner != sampler and f"clip_fraction/{learner}/{sampler}" in metrics
    ]
    if crossed and min(crossed) == 1:
        reasons["clip"] = (
            "nothing of the others' rollouts passed the clip, so each agent learned alone; their answers are too "
            "unlikely for one another, or too short for this delta (see docs/long_answers.md)"
        )
    return reasons
