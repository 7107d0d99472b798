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
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verifiers import MathVerifier
from hacrl_lab.worlds import TextPrompts


@dataclass(frozen=True)
class Problem:
    """One problem in words, its exact answer as LaTeX, and what it is about."""

    question: str
    answer: str
    topics: tuple[str, ...] = ()


class TextWorld:
    r"""Problems in words; a response is right when its last ``\boxed{}`` equals the answer.

    Agents are shown the questions; the answers stay here, by question.

    Args:
        draw: gives one problem from a generator; called once for each prompt.
        verifier: decides equality.
    """

    def __init__(self, draw: Callable[[np.random.Generator], Problem], verifier: MathVerifier) -> None:
        self._draw = draw
        self._verifier = verifier
        self._answers: dict[str, str] = {}

    def sample_prompts(self, count: int, stream: RandomStream) -> TextPrompts:
        """Draw ``count`` problems.

        Raises:
            LabError: a question was drawn before with another answer.
        """
        problems = [self._draw(stream.numpy) for _ in range(count)]
        for problem in problems:
            if self._answers.setdefault(problem.question, problem.answer) != problem.answer:
                raise LabError(f"the question {problem.question[:60]!r} has two different answers")
        return as_prompts(problems)

    def verify(self, prompts: TextPrompts, rollouts: RolloutBatch) -> Tensor:
        """1 for a right answer, 0 for any other: (P, G).

        Raises:
            ValueError: a question that this world has not drawn.
        """
        if unknown := [question for question in prompts.questions if question not in self._answers]:
            raise ValueError(f"the question {unknown[0][:60]!r} was not drawn by this world")
        group = rollouts.finished.shape[-1]
        texts = [text for texts in rollouts.responses for text in texts]
        answers = [self._answers[question] for question in prompts.questions for _ in range(group)]
        return torch.tensor(self._verifier.rewards(texts, answers)).reshape(-1, group)


def as_prompts(problems: Sequence[Problem]) -> TextPrompts:
    """Problems in the form in which agents are asked them: without their answers."""
    return TextPrompts([problem.question for problem in problems], [problem.topics for problem in problems])


def draw_from(problems: Sequence[Problem]) -> Callable[[np.random.Generator], Problem]:
    """A source that draws uniformly, with replacement, from a fixed set of problems."""
    return lambda rng: problems[int(rng.integers(len(problems)))]


def read_problems(path: Path) -> list[Problem]:
    """Read a JSON Lines file of objects with the keys ``question`` and ``answer``.

    Raises:
        LabError: no such file, no problem in it, a line that is not such an object, or one that asks the question of
            an earlier line and has another answer.
    """
    if not path.is_file():
        raise LabError(f"problem file {str(path)!r} does not exist")
    problems: list[Problem] = []
    known: dict[str, tuple[str, int]] = {}  # answer and line by question
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            problem = Problem(question=str(record["question"]), answer=str(record["answer"]))
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(
                f'{path}, line {number} is not a JSON object like {{"question": "...", "answer": "..."}}'
            ) from error
        answer, before = known.setdefault(problem.question, (problem.answer, number))
        if answer != problem.answer:
            raise LabError(
                f"{path}, line {number} has another answer to {problem.question[:60]!r} than line {before}: "
                f"{problem.answer[:60]!r} and not {answer[:60]!r}"
            )
        problems.append(problem)
    if not problems:
        raise LabError(f"problem file {str(path)!r} holds no problem")
    return problems
