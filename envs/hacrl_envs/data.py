"""What a run trains and evaluates on: problems, divided so that no evaluation asks what training has asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hacrl_envs.held_out import TEST_SHARE, is_held_out, normalised
from hacrl_envs.sources import Columns, read_problems
from hacrl_envs.text import Problem
from hacrl_lab.errors import LabError

LEAST_EVALUATION = 2
"""Problems of an evaluation: fewer have no interval."""


@dataclass(frozen=True)
class Data:
    """Problems for training and for evaluation; no question is in both."""

    training: Sequence[Problem]
    evaluation: Sequence[Problem]
    notes: Sequence[str]
    """Sentences about what was read and what was left out, for the user."""
    fingerprint: str
    """Of what was read, see :func:`fingerprint`."""


def load_data(
    problems: str, evaluation: str | None = None, columns: Columns | None = None, test_share: float = TEST_SHARE
) -> Data:
    """Read the problems of a run and divide them.

    Args:
        problems: source for training, see :func:`hacrl_envs.sources.read_problems`.
        evaluation: source for evaluations; None: a share of the problems, chosen by their text.
        columns: of questions and answers, in both sources.
        test_share: of the problems that is held out if there is no source for evaluations, in [0, 1].

    Raises:
        LabError: a source that cannot be read, nothing left to train on, or fewer than LEAST_EVALUATION problems to
            evaluate on.
    """
    read = read_problems(problems, columns)
    if evaluation is None:
        held_out = [is_held_out(normalised(problem.question), test_share) for problem in read]
        training = [problem for problem, held in zip(read, held_out, strict=True) if not held]
        asked = [problem for problem, held in zip(read, held_out, strict=True) if held]
        origin = f"a share of {test_share:g} of {problems}, chosen by the questions' text"
    else:
        training, asked = read, read_problems(evaluation, columns, "evaluation")
        origin = evaluation
    mark = fingerprint([*training, *asked])
    tests = _each_once(asked)
    learned = _without(training, tests)
    notes = [
        f"{len(learned)} problems for training, from {problems}.",
        f"{len(tests)} problems for evaluation, {origin}.",
        f"{len(training) - len(learned)} training problems are also asked in the evaluation and were left out.",
    ]
    if len(tests) < len(asked):
        notes.append(f"{len(asked) - len(tests)} evaluation problems repeat another and were left out.")
    return _checked(Data(learned, tests, notes, mark), "give other problems with --eval-problems, or more of them")


def within_context(data: Data, fits: Mapping[str, Callable[[Sequence[str]], Sequence[bool]]]) -> Data:
    """Leave out problems whose prompt leaves an agent no room for a response.

    Args:
        data: as read.
        fits: for each agent, by name, says of questions whether their prompts fit.

    Raises:
        LabError: nothing left to train on, or fewer than LEAST_EVALUATION problems to evaluate on.
    """
    questions = list(dict.fromkeys(problem.question for problem in [*data.training, *data.evaluation]))
    too_long: set[str] = set()
    notes = list(data.notes)
    for name, fit in fits.items():
        its = {question for question, fitting in zip(questions, fit(questions), strict=True) if not fitting}
        if its:
            notes.append(
                f"{len(its)} of {len(questions)} questions were left out: their prompts leave agent {name!r} no room "
                "for a response."
            )
        too_long |= its
    training, evaluation = (
        [problem for problem in problems if problem.question not in too_long]
        for problems in (data.training, data.evaluation)
    )
    remedy = "prompts are too long for the agents' contexts: lower --max-new-tokens, or give shorter problems"
    return _checked(replace(data, training=training, evaluation=evaluation, notes=notes), remedy)


def fingerprint(problems: Sequence[Problem]) -> str:
    """SHA-256 of the questions and answers in their order, by which a run notices that its files have changed."""
    digest = hashlib.sha256()
    for problem in problems:
        digest.update(json.dumps([problem.question, problem.answer]).encode())
    return digest.hexdigest()


def _each_once(problems: Sequence[Problem]) -> list[Problem]:
    """Without those that ask the question of an earlier one."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(normalised(problem.question), problem)
    return list(first.values())


def _without(problems: Sequence[Problem], others: Sequence[Problem]) -> list[Problem]:
    """Without those whose questions the others ask."""
    asked = {normalised(problem.question) for problem in others}
    return [problem for problem in problems if normalised(problem.question) not in asked]


def _checked(data: Data, remedy: str) -> Data:
    if not data.training or len(data.evaluation) < LEAST_EVALUATION:
        raise LabError(
            f"{len(data.training)} problems are left for training and {len(data.evaluation)} for evaluation, at least "
            f"1 and {LEAST_EVALUATION} are needed: {remedy}"
        )
    return data
