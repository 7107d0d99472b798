"""Reasoning Gym as a world: problems that a generator writes as they are needed, verified by rules of its own.

Reasoning Gym (https://github.com/open-thought/reasoning-gym, extra ``tasks``) has about a hundred generators, each with
settings for difficulty and a verifier that gives a response's answer a reward in [0, 1].
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hacrl_envs.held_out import Part, check_validation_share, part_of
from hacrl_envs.weights import shares, split_weight
from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.extras import extra
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.answer_rules import AnswerRule
from hacrl_lab.worlds import TextPrompts

ATTEMPTS = 1000
"""Draws for one question before a task counts as one that has none in a part."""


@dataclass(frozen=True)
class Task:
    """One generator of a mixture."""

    name: str
    """As Reasoning Gym registers it, for instance ``chain_sum``."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those of its configuration that are not left as they are, for instance ``{"max_terms": 3}``."""
    weight: float = 1.0
    """How often it is drawn, beside the others."""


def parse_task(text: str) -> Task:
    """A task as it is written on a command line: NAME, NAME:SETTING=VALUE,... and *WEIGHT after either.

    Raises:
        SettingError: it is not written so, or its weight is not a number > 0.

    >>> parse_task("chain_sum:min_terms=2,max_terms=3*2")
    Task(name='chain_sum', settings={'min_terms': 2, 'max_terms': 3}, weight=2.0)
    """
    body, weight = split_weight(text)
    name, _, rest = body.partition(":")
    pairs = [pair.partition("=") for pair in rest.split(",")] if rest else []
    if "*" in body or not all(equals for _, equals, _ in pairs):
        raise SettingError(f"task {text!r} is not NAME:SETTING=VALUE,SETTING=VALUE*WEIGHT, with a number as weight")
    settings = {key.strip(): _value(value) for key, _, value in pairs}
    return Task(name.strip(), settings, 1.0 if weight is None else weight)


class ReasoningWorld:
    """Questions of one task or of several; a response's answer is rewarded by its task's own verifier.

    Args:
        tasks: one or more, drawn in proportion to their weights.
        answer_rule: what of a response is its answer.
        part: which questions: those for training, for validation or for the test, which are divided by their text.
        validation: share of the questions outside the test that is for validation, in [0, 1]; the same number for all
            worlds of a run.

    Raises:
        SettingError: no task, a weight that is not > 0, an impossible share, or a task or a setting that Reasoning Gym
            does not know.
        LabError: Reasoning Gym is not installed.
    """

    def __init__(
        self, tasks: Sequence[Task], answer_rule: AnswerRule, part: Part = "training", validation: float = 0.0
    ) -> None:
        check_validation_share(validation)
        if part == "validation" and validation == 0:
            raise SettingError("validation must be > 0 for a world that asks the questions for validation")
        self._shares = shares([task.weight for task in tasks])
        self._tasks = list(tasks)
        self._rule = answer_rule
        self._part = part
        self._validation = validation
        self._verifiers = [_dataset(task, seed=0) for task in tasks]
        self._drawn: dict[str, tuple[int, dict[str, Any]]] = {}

    def sample_prompts(self, count: int, stream: RandomStream) -> TextPrompts:
        """Draw ``count`` questions of this world's part.

        Raises:
            LabError: a task has no question in this part.
        """
        rng = stream.numpy
        drawn = [self._draw(int(rng.choice(len(self._tasks), p=self._shares)), rng) for _ in range(count)]
        self._drawn |= {entry["question"]: (number, entry) for number, entry in drawn}
        return TextPrompts(
            [entry["question"] for _, entry in drawn], [(self._tasks[number].name,) for number, _ in drawn]
        )

    def verify(self, prompts: TextPrompts, rollouts: RolloutBatch) -> Tensor:
        """Rewards in [0, 1], 0 for a response without an answer: (P, G).

        Raises:
            ValueError: a question that this world has not drawn.
        """
        if unknown := [question for question in prompts.questions if question not in self._drawn]:
            raise ValueError(f"the question {unknown[0][:60]!r} was not drawn by this world")
        return torch.tensor(
            [
                [self._reward(question, response) for response in group]
                for question, group in zip(prompts.questions, rollouts.whole_texts, strict=True)
            ],
            dtype=torch.float64,
        )

    def known_answers(self, prompts: TextPrompts) -> list[str | None]:
        """A right answer to each question that this world has drawn; None of a task that has only a verifier."""
        return [self._drawn[question][1]["answer"] for question in prompts.questions]

    def answers(self, prompts: TextPrompts) -> list[str]:
        """A right answer to each question that this world has drawn, for demonstrations.

        Raises:
            LabError: a task that has no answers to tell, only a verifier.
        """
        known = [answer for answer in self.known_answers(prompts) if answer is not None]
        if len(known) < len(prompts.questions):
            raise LabError(f"of the tasks {[task.name for task in self._tasks]} not all have answers to demonstrate")
        return known

    def _draw(self, number: int, rng: Any) -> tuple[int, dict[str, Any]]:
        for _ in range(ATTEMPTS):
            entry = _dataset(self._tasks[number], seed=int(rng.integers(2**31)))[0]
            if part_of(entry["question"], self._validation) == self._part:
                return number, entry
        raise LabError(
            f"task {self._tasks[number].name!r} has no question for {self._part}: its settings allow too few"
        )

    def _reward(self, question: str, response: str) -> float:
        number, entry = self._drawn[question]
        answer = self._rule.answer(response)
        if answer is None:
            return 0.0
        try:
            return float(self._verifiers[number].score_answer(answer, entry))
        except Exception:  # verifiers expect answers in their form, and raise whatever another one leads to
            return 0.0


def _dataset(task: Task, seed: int) -> Any:
    """A Reasoning Gym dataset of one question."""
    reasoning_gym = extra("reasoning_gym", "tasks")
    try:
        return reasoning_gym.create_dataset(task.name, seed=seed, size=1, **task.settings)
    except (ValueError, TypeError, AssertionError) as error:
        raise SettingError(
            f"Reasoning Gym cannot make task {task.name!r} with {dict(task.settings)}: {error}"
        ) from error


def _value(text: str) -> Any:
    """A number, true, false, a list or, failing these, a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()
