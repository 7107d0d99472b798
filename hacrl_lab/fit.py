"""Many steps of training: a progress bar, metrics, checkpoints, Ctrl-C or SIGTERM, and observers.

load the latest checkpoint → step → log → observers → checkpoint → ... until the last step, a signal or a stop
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from hacrl_lab.checkpoint import Checkpoints
from hacrl_lab.errors import DivergedError, LabError, SettingError
from hacrl_lab.interrupt import Interrupted, graceful_interrupt
from hacrl_lab.metrics import Metrics, MetricsWriter
from hacrl_lab.observers import Observer, StopTraining
from hacrl_lab.trainer import Trainer


def fit(
    trainer: Trainer,
    steps: int,
    folder: Path,
    checkpoint_every: int = 5,
    observers: Sequence[Observer] = (),
    keep_checkpoints: int = 2,
) -> None:
    """Train up to ``steps`` steps in all, with a progress bar, metrics and checkpoints in ``folder``.

    If the folder holds checkpoints, training continues from the latest, to the same numbers as without the break.

    Args:
        trainer: a fresh trainer.
        steps: total number of steps, those of an earlier part included.
        folder: the run's folder.
        checkpoint_every: steps between checkpoints, ≥ 1; one is also written at the end, on Ctrl-C and on SIGTERM.
        observers: all are told of every step, and each may end training by raising; a checkpoint is written then, too.
            After :class:`hacrl_lab.observers.StopTraining` the function returns. Those that began are ended.
        keep_checkpoints: how many of the latest to keep, ≥ 1; an older one is deleted when a newer one is complete.

    Raises:
        SettingError: checkpoint_every or keep_checkpoints below 1.
        Interrupted: Ctrl-C was pressed, or SIGTERM came; a checkpoint of the last full step was written.
        DivergedError: an agent has diverged. A step that was done is logged as any other, and the agents stay as they
            are. No checkpoint holds an agent that has diverged; the earlier ones are intact.
        CheckpointError: see there.
    """
    if checkpoint_every < 1:
        raise SettingError(f"checkpoint_every must be ≥ 1, got {checkpoint_every}")
    checkpoints = Checkpoints(folder / "checkpoints", keep_checkpoints)
    if (latest := checkpoints.latest()) is not None:
        trainer.load(latest)
    writer = MetricsWriter(folder, trainer.steps_done)
    label = trainer.method.label
    begun = contextlib.ExitStack()
    begun.callback(writer.close)
    try:
        for observer in observers:
            observer.begin(trainer, folder)
            begun.callback(observer.end)
        with (
            graceful_interrupt() as interrupted,
            tqdm(total=steps, initial=trainer.steps_done, desc=f"{label} training", unit="step") as bar,
        ):
            while trainer.steps_done < steps:
                started = time.perf_counter()
                metrics, diverged = _step(trainer)
                done = trainer.steps_done
                values = writer.write(done, metrics, time.perf_counter() - started, trainer.engine.statistics())
                bar.set_postfix({name: f"{values[f'accuracy/{name}']:.2f}" for name in trainer.names})
                bar.update()
                stop = _tell(observers, trainer, values)
                if diverged is not None:
                    raise diverged
                if done == steps or done % checkpoint_every == 0 or interrupted() or stop is not None:
                    checkpoints.save(done, trainer.save)
                if stop is not None:
                    raise stop
                if interrupted() and done < steps:
                    raise Interrupted(f"{label} training stopped after step {done} of {steps}", interrupted())
    except StopTraining as reason:
        tqdm.write(str(reason))
    finally:
        begun.close()


def _step(trainer: Trainer) -> tuple[Metrics, DivergedError | None]:
    """The metrics of a step, and the error of an agent that diverged in its updates."""
    try:
        return trainer.step(), None
    except DivergedError as error:
        if error.metrics is None:
            raise
        return dict(error.metrics), error


def _tell(observers: Sequence[Observer], trainer: Trainer, metrics: Mapping[str, float]) -> LabError | None:
    """Tell all observers of a step; why training must end, if it must: an error rather than a stop."""
    reasons: list[LabError] = []
    for observer in observers:
        try:
            observer.step(trainer, metrics)
        except LabError as error:
            reasons.append(error)
    return min(reasons, key=lambda reason: isinstance(reason, StopTraining), default=None)
