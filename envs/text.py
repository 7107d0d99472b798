"""Worlds of written problems whose answers math-verify can check."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hacrl_lab.errors import LabError
from hacrl_lab.rollouts import RolloutBatch, TextPrompts
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verifiers import MathVerifier


@dataclass(frozen=True)
class Problem:
    """One problem in words, its exact answer as LaTeX, and what it is about."""

    question: str
    answer: str
    topics: tuple[str, ...] = ()


class TextWorld:
    r"""Problems in words; a response is right when its last ``\boxed{}`` equals the answer.

    Args:
        draw: gives one problem from a generator; called once for each prompt.
        verifier: decides equality.
    """

    def __init__(self, draw: Callable[[np.random.Generator], Problem], verifier: MathVerifier) -> None:
        self._draw = draw
        self._verifier = verifier

    def sample_prompts(self, count: int, stream: RandomStream) -> TextPrompts:
        """Draw ``count`` problems."""
        return as_prompts([self._draw(stream.numpy) for _ in range(count)])

    def verify(self, prompts: TextPrompts, rollouts: RolloutBatch) -> Tensor:
        """1 for a right answer, 0 for any other: (P, G)."""
        group = rollouts.finished.shape[-1]
        texts = [text for texts in rollouts.responses for text in texts]
        answers = [answer for answer in prompts.answers for _ in range(group)]
        return torch.tensor(self._verifier.rewards(texts, answers)).reshape(-1, group)


def as_prompts(problems: Sequence[Problem]) -> TextPrompts:
    """Problems in the form in which agents are asked them."""
    return TextPrompts(
        [problem.question for problem in problems],
        [problem.answer for problem in problems],
        [problem.topics for problem in problems],
    )


def draw_from(problems: Sequence[Problem]) -> Callable[[np.random.Generator], Problem]:
    """A source that draws uniformly, with replacement, from a fixed set of problems."""
    return lambda rng: problems[int(rng.integers(len(problems)))]


def read_problems(path: Path) -> list[Problem]:
    """Read a JSON Lines file of objects with the keys ``question`` and ``answer``.

    Raises:
        LabError: no such file, no problem in it, or a line that is not such an object.
    """
    if not path.is_file():
        raise LabError(f"problem file {str(path)!r} does not exist")
    problems = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            problems.append(Problem(question=str(record["question"]), answer=str(record["answer"])))
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(
                f'{path}, line {number} is not a JSON object like {{"question": "...", "answer": "..."}}'
            ) from error
    if not problems:
        raise LabError(f"problem file {str(path)!r} holds no problem")
    return problems
