"""What a run of language models shows while it trains: sample answers, time left, and other loggers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tqdm.auto import tqdm

from hacrl_envs.reasoning import ReasoningWorld
from hacrl_envs.text import TextWorld
from hacrl_lab.config import flat
from hacrl_lab.errors import LabError
from hacrl_lab.extras import extra
from hacrl_lab.metrics import open_log
from hacrl_lab.observers import LearningMonitor, Observer
from hacrl_lab.trainer import Trainer
from hacrl_runs.folder import evaluated_steps
from hacrl_runs.settings import Logger, Options

SAMPLES = "samples.jsonl"
SHOWN = 240
"""Characters of a response that are printed: the last ones, where the answer is."""


@contextmanager
def showing(options: Options, folder: Path) -> Iterator[list[Observer]]:
    """What looks at the training of a run with all of its methods.

    Args:
        options: of the run.
        folder: its own; methods that are done are not counted.
    """
    left = [method for method in options.methods if evaluated_steps(folder / method) != options.steps]
    bar = WholeRun(options.steps * len(left))
    observers: list[Observer] = [SampleAnswers(), bar, LearningMonitor(options.patience)]
    if options.logger != "none":
        observers.insert(0, Tracker(options.logger, folder.name, flat(options)))
    try:
        yield observers
    finally:
        bar.close()


class SampleAnswers:
    """Keeps one answer of every agent in every step, with its verdict; prints those of steps 1, 2, 4, 8, ..."""

    def __init__(self) -> None:
        self._file: IO[str] | None = None

    def begin(self, trainer: Trainer, folder: Path) -> None:
        """Go on after the steps that are done."""
        self._file = open_log(folder / SAMPLES, trainer.steps_done)

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Write down, and perhaps print, the first answers to the step's first question."""
        record = sample_answers(trainer)
        assert self._file is not None
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if trainer.steps_done & (trainer.steps_done - 1) == 0:
            tqdm.write(as_text(record))

    def end(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def sample_answers(trainer: Trainer) -> dict[str, Any]:
    """The step, its first question, the exact answer if the world tells it, and each agent's first response to it."""
    pool, world = trainer.last_pool, trainer.world
    assert pool is not None
    return {
        "step": trainer.steps_done,
        "question": pool.prompts.questions[0],
        "answer": exact_answer(world, pool.prompts),
        "responses": {
            name: {"text": batch.responses[0][0], "reward": float(pool.rewards[k, 0, 0])}
            for k, (name, batch) in enumerate(zip(trainer.names, pool.batches, strict=True))
        },
    }


def exact_answer(world: Any, prompts: Any) -> str | None:
    """The exact answer to the first prompt, or None where there is only a verifier."""
    if not isinstance(world, TextWorld | ReasoningWorld):
        return None
    try:
        return world.answers(prompts)[0]
    except LabError:
        return None


def as_text(record: Mapping[str, Any]) -> str:
    """A record of :func:`sample_answers` for a terminal."""
    lines = [f"Step {record['step']}, for instance: {_tail(record['question'])}"]
    if record["answer"] is not None:
        lines[0] += f"  (answer: {_tail(record['answer'])})"
    for name, response in record["responses"].items():
        lines.append(f"  {name}, reward {response['reward']:g}: {_tail(response['text'])}")
    return "\n".join(lines)


class WholeRun:
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
        """Begin a run of the service, or go on with the one of the same name."""
        name = f"{self._run}-{trainer.method.name}"
        identity = {"id": name} if self._service.__name__ == "wandb" else {}
        self._service.init(project="hacrl-lab", name=name, config=self._settings, resume="allow", **identity)

    def step(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Send the metrics."""
        self._service.log(dict(metrics), step=trainer.steps_done)

    def end(self) -> None:
        """Send what is left."""
        self._service.finish()


def _tail(text: str) -> str:
    """The end of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"... {line[-SHOWN:]}"
