"""What a run trains and evaluates on: problems, divided so that no evaluation asks what training has asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hacrl_envs.held_out import TEST_SHARE, is_held_out, normalised
from hacrl_envs.sources import Columns, is_remote, read_problems
from hacrl_envs.text import Problem
from hacrl_lab.errors import LabError
from hacrl_lab.verification.verifier import MathVerifier

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


def with_verifiable_answers(data: Data, problems: str, evaluation: str | None, verifier: MathVerifier) -> Data:
    """Make sure that all answers are mathematics, see :func:`verifiable`.

    Args:
        data: as read.
        problems, evaluation: the sources, as :func:`load_data` takes them.
        verifier: will compare answers.

    Raises:
        LabError: an answer of the user's own is not, or too few problems are left.
    """
    training = verifiable(data.training, problems, verifier)
    tests = verifiable(data.evaluation, evaluation or problems, verifier)
    left_out = len(data.training) + len(data.evaluation) - len(training) - len(tests)
    note = f"{left_out} problems were left out: math-verify cannot read their exact answers."
    notes = [*data.notes, *([note] if left_out else [])]
    return _checked(replace(data, training=training, evaluation=tests, notes=notes), "give problems with such answers")


def verifiable(problems: Sequence[Problem], source: str, verifier: MathVerifier) -> list[Problem]:
    """The problems whose answers can be compared: of a file or folder all, of a hub those that can be read.

    Args:
        problems: of the source.
        source: where they were read.
        verifier: will compare answers.

    Raises:
        LabError: an answer in a file or folder that the verifier cannot read; it can be put right there.
    """
    if not is_remote(source):
        verifier.check_answers([problem.answer for problem in problems])
        return list(problems)
    reads = {answer: _reads(verifier, answer) for answer in dict.fromkeys(problem.answer for problem in problems)}
    return [problem for problem in problems if reads[problem.answer]]


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


def _reads(verifier: MathVerifier, answer: str) -> bool:
    try:
        verifier.check_answers([answer])
    except LabError:
        return False
    return True


def _checked(data: Data, remedy: str) -> Data:
    if not data.training or len(data.evaluation) < LEAST_EVALUATION:
        raise LabError(
            f"{len(data.training)} problems are left for training and {len(data.evaluation)} for evaluation, at least "
            f"1 and {LEAST_EVALUATION} are needed: {remedy}"
        )
    return data
