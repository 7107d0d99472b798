"""What the tools have in common: a trainer of the tiny language pair."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hacrl_lab.config import TrainingConfig
from hacrl_lab.trainer import Trainer
from hacrl_runs.own_pair.recipes import Answers
from hacrl_runs.resolve import prepared_run


@contextmanager
def tiny_pair_trainer(
    method: str = "hacpo",
    training: TrainingConfig | None = None,
    tokens_per_pass: int | None = None,
    answers: Answers = "short",
) -> Iterator[Trainer]:
    """A trainer of the tiny pair, fresh from its pre-training, on quantity stories.

    Args:
        method: name.
        training: its settings; the main job's by default.
        tokens_per_pass: tokens in a forward and backward pass; the main job's by default.
        answers: what the pair writes.
    """
    values = {"training": training, "tokens_per_pass": tokens_per_pass}
    given = {name: value for name, value in values.items() if value is not None}
    with prepared_run(answers=answers, **given) as job:
        yield Trainer(job.load_agents(), job.worlds.training, method, job.training, job.run.seed)
