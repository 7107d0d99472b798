"""Who is told of every step of a run: progress bar, sample answers, validation, loggers, the user's own observers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from hacrl_lab.extras import extra
from hacrl_lab.observers import LearningMonitor, Observer
from hacrl_lab.own_code import load_own
from hacrl_lab.trainer import Trainer
from hacrl_runs.resolve import Job
from hacrl_runs.sample_answers import SampleAnswers
from hacrl_runs.settings import Logger
from hacrl_runs.validation import Validation


@contextmanager
def observing(job: Job, name: str, methods: Sequence[str]) -> Iterator[list[Observer]]:
    """The observers of a run's training, with all of its methods.

    Args:
        job: the run.
        name: of the run, for services that track it.
        methods: those that are not done yet.
    """
    own = [load_own(path, "observer")[0]() for path in job.run.observers]
    progress = RunProgress(job.run.steps * len(methods))
    observers: list[Observer] = [SampleAnswers(), progress, LearningMonitor(job.run.patience), *own]
    if job.worlds.validation is not None:
        observers.append(Validation(job.worlds.validation, job.evaluation, job.sampling))
    if job.run.logger != "none":
        observers.insert(0, Tracker(job.run.logger, name, job.record))
    try:
        yield observers
    finally:
        progress.close()


class RunProgress:
    """One progress bar for all methods of a run, which knows what time is left.

    Args:
        steps: of all methods together.
    """

    def __init__(self, steps: int) -> None:
        self._bar = tqdm(total=steps, desc="Whole run", unit="step")

    def begin(self, trainer: Trainer, folder: Path) -> None:
        """Steps of an earlier part of the run count as done, and not for the speed."""
        self._bar.initial += trainer.steps_done
        self._bar.n += trainer.steps_done
        self._bar.refresh()

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """One step more."""
        self._bar.update()

    def end(self) -> None:
        """Other methods may follow."""

    def close(self) -> None:
        """The run has ended."""
        self._bar.close()


class Tracker:
    """Sends every step's metrics to a tracking service as well, a run for each method.

    Args:
        logger: wandb or trackio, whose functions have the same names.
        run: name of the whole run.
        settings: of the run.
    """

    def __init__(self, logger: Logger, run: str, settings: Mapping[str, Any]) -> None:
        self._service = extra(logger, logger)
        self._run = run
        self._settings = dict(settings)

    def begin(self, trainer: Trainer, folder: Path) -> None:
        """Begin a run of the service, or continue the one of the same name."""
        name = f"{self._run}-{trainer.method.name}"
        identity = {"id": name} if self._service.__name__ == "wandb" else {}
        self._service.init(project="hacrl-lab", name=name, config=self._settings, resume="allow", **identity)

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Send the metrics."""
        self._service.log(dict(metrics), step=trainer.steps_done)

    def end(self) -> None:
        """Send what is left."""
        self._service.finish()
