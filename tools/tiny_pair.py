"""What the tools have in common: a trainer of the tiny language pair."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import transformers

from hacrl_envs.arithmetic import ArithmeticWorld
from hacrl_lab.config import TrainingConfig
from hacrl_lab.trainer import Trainer
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_runs.models import load_agents, sources_of
from hacrl_runs.settings import Answers, Options
from hacrl_runs.train import resolve


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
    transformers.utils.logging.disable_progress_bar()
    options = Options(answers=answers)
    options = resolve(
        replace(
            options,
            training=options.training if training is None else training,
            tokens_per_pass=options.tokens_per_pass if tokens_per_pass is None else tokens_per_pass,
        )
    )
    with MathVerifier() as verifier:
        agents = load_agents(options, sources_of(options))
        yield Trainer(agents, ArithmeticWorld(verifier), method, options.training, options.seed)
