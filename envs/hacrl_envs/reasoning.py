"""Reasoning Gym as a world: problems that a generator writes as they are needed, verified by rules of its own.

Reasoning Gym (https://github.com/open-thought/reasoning-gym, extra ``tasks``) has about a hundred generators, each with
settings for difficulty and a verifier that gives a response's answer a reward in [0, 1]. Both run in worker processes
with limits and without rights (:mod:`hacrl_envs.reasoning_tasks`); ``docs/tasks.md`` lists all tasks.

An answer is right if its task's verifier gives it the full reward. Everything below that is partial credit: some tasks
pay it for a wrong answer, for any text or for none. So a response has two rewards,

    right(q, o) = 1 if the verifier gives 1, else 0,        credit(q, o) = what the verifier gives.

:meth:`ReasoningWorld.verify` returns the first one, so that accuracy, capability and advantages say how many answers
are right, and ``last_credit`` shows the second one. With ``partial_credit`` it returns the second one (decision 13).
"""

from __future__ import annotations

import atexit
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hacrl_envs.held_out import Part, check_validation_share, part_of, share_of
from hacrl_envs.reasoning_tasks import ENDLESS, Question, question, reason_against, score, written
from hacrl_envs.weights import shares, split_weight
from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.extras import extra, installed_version
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.answer_rules import AnswerRule
from hacrl_lab.verification.limited_workers import LimitedWorkers, Lost
from hacrl_lab.verification.plain_numbers import parts_of_list
from hacrl_lab.verification.verifier import WORKERS
from hacrl_lab.worlds import TextPrompts

ATTEMPTS = 1000
"""Draws for one question before a task counts as one that has none in a part."""
SECONDS = 10.0
"""For one question, and for one answer."""
MOST_SLOW = 8
"""Questions that may take longer while one is drawn, before a task counts as one that takes too long."""
KEPT = 1000
"""Questions that are kept for their verification, at least; those of the last draw always are."""
LONGEST_ANSWER = 10_000
"""Characters; a longer answer is wrong without being read."""
FULL = 1 - 1e-9
"""What a verifier gives for a right answer, up to rounding."""
_KEPT_OUT = "kept from a verifier that would evaluate them as code"
_LOGGER = logging.getLogger("hacrl_lab")


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

    A value is a number, true, false, null, a word, or a list or a mapping as JSON writes it.

    Raises:
        SettingError: it is not written so, or its weight is not a number > 0.

    >>> parse_task("chain_sum:min_terms=2,max_terms=3*2")
    Task(name='chain_sum', settings={'min_terms': 2, 'max_terms': 3}, weight=2.0)
    """
    body, weight = split_weight(text)
    name, _, rest = body.partition(":")
    pairs = [pair.partition("=") for pair in parts_of_list(rest)] if rest else []
    if "*" in name or not all(equals for _, equals, _ in pairs):
        raise _not_so(text)
    settings = {key.strip(): _value(value.strip(), text) for key, _, value in pairs}
    if len(settings) < len(pairs):
        raise SettingError(f"task {text!r} gives a setting twice")
    return Task(name.strip(), settings, 1.0 if weight is None else weight)


def tasks_version() -> str:
    """What questions and verdicts depend on, beside a task's settings and the seed: the versions of two programs."""
    return (
        f"reasoning-gym {installed_version('reasoning-gym')}, Python {sys.version_info.major}.{sys.version_info.minor}"
    )


class ReasoningWorld:
    """Questions of one task or of several; a response's answer is verified by its task's own rule.

    Args:
        tasks: one or more, drawn in proportion to their weights.
        answer_rule: what of a response is its answer.
        part: which questions: those for training, for validation or for the test, which are divided by their text.
        validation: share of the questions outside the test that is for validation, in [0, 1]; the same number for all
            worlds of a run.
        partial_credit: whether :meth:`verify` returns what verifiers give, not only whether an answer is right.
        workers: where generators and verifiers run. Left out: those of all worlds with the same tasks.

    Raises:
        SettingError: no task, a weight that is not > 0, an impossible share, or a task or a setting that Reasoning Gym
            does not know.
        LabError: Reasoning Gym is not installed.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        answer_rule: AnswerRule,
        part: Part = "training",
        validation: float = 0.0,
        partial_credit: bool = False,
        workers: LimitedWorkers | None = None,
    ) -> None:
        check_validation_share(validation)
        if part == "validation" and validation == 0:
            raise SettingError("validation must be > 0 for a world that asks the questions for validation")
        self._shares = shares([task.weight for task in tasks])
        self._tasks = list(tasks)
        self._rule = answer_rule
        self._part: Part = part
        self._validation = validation
        self._partial_credit = partial_credit
        self._at_once = min(WORKERS, round(1 / share_of(part, validation)))
        self._workers = (
            _shared_workers(written([(one.name, one.settings) for one in tasks])) if workers is None else workers
        )
        self._drawn: dict[str, tuple[int, Question]] = {}
        self.last_credit: dict[str, Tensor] = {}
        """What verifiers gave in the last call of :meth:`verify` for each sampler, by its name: (P, G)."""
        self.timeouts = 0
        """Distinct answers whose verifier took longer than the limit, so far."""
        self._check_tasks()

    def sample_prompts(self, count: int, stream: RandomStream) -> TextPrompts:
        """Draw ``count`` questions of this world's part.

        Of the questions drawn before, the newest ones up to ``KEPT`` in all can still be verified.

        Raises:
            LabError: a task has no question in this part.
        """
        rng = stream.numpy
        drawn = [self._draw(int(rng.choice(len(self._tasks), p=self._shares)), rng) for _ in range(count)]
        for task_index, one in drawn:
            self._drawn.pop(one.text, None)  # it is the newest one now
            self._drawn[one.text] = task_index, one
        for text in list(self._drawn)[: -max(KEPT, count)]:
            del self._drawn[text]
        return TextPrompts(
            [question.text for _, question in drawn], [(self._tasks[task_index].name,) for task_index, _ in drawn]
        )

    def verify(self, prompts: TextPrompts, rollouts: RolloutBatch) -> Tensor:
        """The reward of every response, 0 for one without an answer: (P, G).

        Raises:
            ValueError: a question that this world has not drawn, or has drawn long ago.
        """
        if unknown := [question for question in prompts.questions if question not in self._drawn]:
            raise ValueError(f"the question {unknown[0][:60]!r} was not drawn by this world")
        answers = [[self._rule.answer(response) for response in group] for group in rollouts.whole_texts]
        pairs = [
            [(question, answer) for answer in group] for question, group in zip(prompts.questions, answers, strict=True)
        ]
        given = self._scores({pair for row in pairs for pair in row})
        credit = [[given.get(pair, 0.0) for pair in row] for row in pairs]
        given_credit = torch.tensor(credit, dtype=torch.float64).reshape(rollouts.finished.shape)
        self.last_credit[rollouts.sampler] = given_credit
        return given_credit if self._partial_credit else (given_credit >= FULL).double()

    def known_answers(self, prompts: TextPrompts) -> list[str | None]:
        """A right answer to each question that this world has drawn; None of a task that has only a verifier."""
        return [self._drawn[question][1].answer for question in prompts.questions]

    def answers(self, prompts: TextPrompts) -> list[str]:
        """A right answer to each question that this world has drawn, for demonstrations.

        Raises:
            LabError: a task that has no answers to tell, only a verifier.
        """
        known = [answer for answer in self.known_answers(prompts) if answer is not None]
        if len(known) < len(prompts.questions):
            raise LabError(f"of the tasks {[task.name for task in self._tasks]} not all have answers to demonstrate")
        return known

    def _check_tasks(self) -> None:
        task_indices = range(len(self._tasks))
        for task_index, reason in zip(
            task_indices, self._workers.map(reason_against, [(task_index,) for task_index in task_indices]), strict=True
        ):
            if reason is not None:
                task = self._tasks[task_index]
                raise SettingError(
                    f"Reasoning Gym cannot make task {task.name!r} with {dict(task.settings)}: {_said(reason)}"
                )

    def _draw(self, task_index: int, rng: np.random.Generator) -> tuple[int, Question]:
        """A question of this part. Several are made side by side; the generator advances to the one that is taken."""
        slow = 0
        for _ in range(0, ATTEMPTS, self._at_once):
            before = rng.bit_generator.state
            numbers = [int(rng.integers(ENDLESS)) for _ in range(self._at_once)]
            made = self._workers.map(question, [(task_index, number) for number in numbers])
            if lost := [number for number, one in zip(numbers, made, strict=True) if isinstance(one, Lost)]:
                slow += len(lost)
                _LOGGER.warning(
                    "question %d of task %s took too long and is left out", lost[0], self._tasks[task_index].name
                )
            for tried, one in enumerate(made, start=1):
                if isinstance(one, Question) and part_of(one.text, self._validation) == self._part:
                    rng.bit_generator.state = before
                    for _ in range(tried):
                        rng.integers(ENDLESS)
                    return task_index, one
            if slow >= MOST_SLOW:
                raise LabError(
                    f"task {self._tasks[task_index].name!r} takes too long to make questions: choose easier settings"
                )
        raise LabError(
            f"task {self._tasks[task_index].name!r} has no question for {self._part}: its settings allow too few"
        )

    def _scores(self, pairs: set[tuple[str, str | None]]) -> dict[tuple[str, str | None], float]:
        """What verifiers give for distinct answers, by question and answer; 0 where they give no verdict."""
        asked = sorted((text, answer) for text, answer in pairs if answer is not None and len(answer) <= LONGEST_ANSWER)
        calls = [
            (task_index, question.entry, answer)
            for text, answer in asked
            for task_index, question in [self._drawn[text]]
        ]
        results = self._workers.map(score, calls)
        for reason, result in ((Lost.TIMED_OUT.value, Lost.TIMED_OUT), (Lost.DIED.value, Lost.DIED), (_KEPT_OUT, None)):
            lost = [answer for (_, answer), its in zip(asked, results, strict=True) if its is result]
            if lost:
                _LOGGER.warning("%d answers counted as wrong, %s: for example %r", len(lost), reason, lost[0][:60])
        self.timeouts += sum(its is Lost.TIMED_OUT for its in results)
        return {pair: its if isinstance(its, float) else 0.0 for pair, its in zip(asked, results, strict=True)}


@cache
def _shared_workers(tasks: str) -> LimitedWorkers:
    """One for all worlds of a process with the same tasks; they end with the process."""
    extra("reasoning_gym", "tasks")
    workers = LimitedWorkers(WORKERS, SECONDS, "hacrl_envs.reasoning_tasks", [tasks])
    atexit.register(workers.close)
    return workers


def _said(reason: str | Lost) -> str:
    return reason.value if isinstance(reason, Lost) else reason


def _value(value: str, text: str) -> Any:
    """What JSON makes of it or, failing that, a word."""
    try:
        return json.loads(value)
    except ValueError:
        if value.startswith(("[", "{", '"')):
            raise SettingError(f'in task {text!r} {value} is not JSON; a list of words is ["a", "b"]') from None
        if "*" in value:
            raise _not_so(text) from None
        return value


def _not_so(text: str) -> SettingError:
    return SettingError(f"task {text!r} is not NAME:SETTING=VALUE,SETTING=VALUE*WEIGHT, with a number as weight")
