"""What the tools have in common: the experiments on the path, and a trainer of the tiny language pair."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import transformers

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "experiments"))

from hacrl_envs.arithmetic import ArithmeticWorld  # noqa: E402
from hacrl_lab.config import TrainingConfig  # noqa: E402
from hacrl_lab.trainer import Trainer  # noqa: E402
from hacrl_lab.verifiers import MathVerifier  # noqa: E402
from language_pair.models import load_agents, sources_of  # noqa: E402
from language_pair.options import Answers, Options  # noqa: E402
from language_pair.run import resolve  # noqa: E402


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
