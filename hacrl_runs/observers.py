"""Who is told of every step of a run: progress bar, sample answers, validation, loggers, the user's own observers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from hacrl_lab.errors import LabError, first_line
from hacrl_lab.extras import extra
from hacrl_lab.observers import LearningMonitor, Observer
from hacrl_lab.own_code import described, load_own
from hacrl_lab.trainer import Trainer
from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_runs.resolve import Job
from hacrl_runs.sample_answers import SampleAnswers
from hacrl_runs.settings import Logger
from hacrl_runs.validation import Validation

LOGIN_SECONDS = 10
"""How long a tracking service may take to answer before a run."""


@contextmanager
def observing(job: Job, own: Sequence[Observer], name: str, methods: Sequence[str]) -> Iterator[list[Observer]]:
    """The observers of a run's training, with all of its methods.

    Args:
        job: the run.
        own: the user's own observers.
        name: of the run, for services that track it.
        methods: those that are not done yet.
    """
    progress = RunProgress(job.run.steps * len(methods))
    observers: list[Observer] = [
        SampleAnswers(ANSWER_RULES[job.answer_rule]),
        progress,
        LearningMonitor(job.run.patience),
        *own,
    ]
    if job.worlds.validation is not None:
        observers.append(Validation(job.worlds.validation, job.evaluation, job.sampling))
    if job.run.logger != "none":
        observers.insert(0, Tracker(job.run.logger, name, job.record))
    try:
        yield observers
    finally:
        progress.close()


class OwnObserver:
    """An observer of the user's own, whose errors become one sentence with the file and the line.

    After an error it is told of nothing more, so that its ``end`` does not hide what ``begin`` or ``step`` raised.

    Args:
        path: FILE.py:CLASS or PACKAGE.MODULE:CLASS. The module is imported, which runs it, and the class is called
            without arguments.

    Raises:
        SettingError: the path is not written so.
        LabError: the class does not exist, cannot be imported or made, or lacks a method of an observer.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_told = False
        make, self._file = load_own(path, "observer")
        with self._clear_errors():
            self._own = make()
        for name in ("begin", "step", "end"):
            if not callable(getattr(self._own, name, None)):
                raise LabError(f"observer {path!r} has no method {name!r}; an observer has begin, step and end")

    def begin(self, trainer: Trainer, folder: Path) -> None:
        """Tell it that training begins."""
        self._is_told = True
        with self._clear_errors():
            self._own.begin(trainer, folder)

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Tell it of a step."""
        with self._clear_errors():
            self._own.step(trainer, metrics)

    def end(self) -> None:
        """Tell it that training has ended, if it knows that training began and has raised no error since."""
        if self._is_told:
            self._is_told = False
            with self._clear_errors():
                self._own.end()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except LabError:  # StopTraining among them, which is no error
            raise
        except (Exception, SystemExit) as error:
            self._is_told = False
            raise LabError(f"observer {self._path!r} raised {described(error, self._file)}") from error


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


def check_logger(logger: Logger) -> None:
    """Make sure before training that a tracking service takes what a run sends.

    Args:
        logger: of the run.

    Raises:
        LabError: it is not installed, or wandb has no connection or nobody is logged in.
    """
    if logger == "none":
        return
    service = extra(logger, logger)
    if logger != "wandb" or service.setup().settings.mode not in ("online", "shared"):
        return  # nothing leaves this machine
    try:
        is_logged_in, reason = service.login(prompt=False, timeout=LOGIN_SECONDS), "nobody is logged in"
    except Exception as error:  # the client raises errors of its own and of its transport
        is_logged_in, reason = False, first_line(error)
    if not is_logged_in:
        raise LabError(f"logger wandb needs a login (wandb login) and a connection, or WANDB_MODE=offline: {reason}")


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
        with self._clear_errors():
            self._service.init(project="hacrl-lab", name=name, config=self._settings, resume="allow", **identity)

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Send the metrics."""
        with self._clear_errors():
            self._service.log(dict(metrics), step=trainer.steps_done)

    def end(self) -> None:
        """Send what is left."""
        with self._clear_errors():
            self._service.finish()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of the service, which has many kinds
            raise LabError(f"logger {self._service.__name__} failed: {first_line(error)}") from error
