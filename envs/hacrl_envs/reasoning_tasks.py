"""Reasoning Gym's generators and verifiers as worker processes run them: this module is imported there only to be used.

Some of its verifiers evaluate a response as code, some can run for ever, some generators depend on the order of sets or
on the global random module. So all of them run in :class:`~hacrl_lab.verification.limited_workers.LimitedWorkers`. A
worker has the data set of every task from the start; a question is then an item of it, by its number.
"""

from __future__ import annotations

import ast
import inspect
import json
import pickle
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from hacrl_lab.extras import extra
from hacrl_lab.verification.notation import rewritten
from hacrl_lab.verification.plain_numbers import plain_numbers
from hacrl_lab.verification.units import PERCENT, quantity

SIZE = 10_000
"""Questions of the few tasks that make, with their data set, a list as long as it; other tasks have no end."""
ENDLESS = 2**31
"""Numbers of questions."""
LONGEST_NUMBER, LARGEST = 300, 10**300
"""Characters and size of what is read as a number."""
MIXTURE = "composite"
"""A task of Reasoning Gym that is a mixture of others, as several tasks of a world are."""
FUNCTIONS = frozenset(
    {
        *("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
        *("asinh", "acosh", "atanh", "exp", "log", "ln", "sqrt", "Abs"),
    }
)
"""What a formula may call."""
_FORMULA = re.compile(r"[A-Za-z0-9_\s.,+\-*/^()]*", re.ASCII)
_NO_FORMULA = re.compile(r"__|\.\s*[A-Za-z_]|\)\s*\(", re.ASCII)  # attributes, and calls of what is called
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_EVALUATES = re.compile(r"\b(?:eval|exec|parse_expr|sympify)\(")
_CANONICAL = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_SIGNED = re.compile(r"([-−]?)(\d+(?:,\d{3})*(?:\.\d+)?)", re.ASCII)


@dataclass(frozen=True)
class Question:
    """One item of a task's data set."""

    text: str
    answer: str | None
    """A right one; None of a task that has only a verifier."""
    entry: bytes
    """What its verifier needs, pickled: it is opened in workers only."""


@dataclass(frozen=True)
class _Task:
    dataset: Any
    evaluates: bool
    """Whether its verifier evaluates responses as code."""


_TASKS: list[_Task | str] = []
"""In the order of the world's tasks; in place of one that cannot be made, the reason."""


def prepare_workers(tasks: str) -> None:
    """Make the data sets, before workers are forked.

    Args:
        tasks: names and settings, as :func:`written` writes them.
    """
    _TASKS[:] = [_made(name, settings) for name, settings in json.loads(tasks)]


def written(tasks: list[tuple[str, Mapping[str, Any]]]) -> str:
    """Names and settings of tasks as one text, the same for equal tasks."""
    return json.dumps([(name, dict(settings)) for name, settings in tasks], sort_keys=True)


def reason_against(task_index: int) -> str | None:
    """Why a task cannot be made, or None if it has been made.

    Args:
        task_index: of the task among all of them.
    """
    task = _TASKS[task_index]
    return task if isinstance(task, str) else None


def question(task_index: int, number: int) -> Question | None:
    """A question of a task, the same in every process; None if its generator finds none for this number.

    Args:
        task_index: of the task.
        number: in [0, ENDLESS).
    """
    dataset = _task(task_index).dataset
    _seed_globals(number)
    dataset.size = ENDLESS  # one task shrinks it when it finds nothing
    try:
        try:
            entry = dataset[number]
        except IndexError:  # of its list
            entry = dataset[number % SIZE]
        answer = entry["answer"]
        return Question(entry["question"], None if answer is None else str(answer), pickle.dumps(entry))
    except Exception:  # whatever a generator raises when it finds no question
        return None


def score(task_index: int, entry: bytes, answer: str) -> float | None:
    """What a task's verifier gives for an answer, in [0, 1]; None for an answer that is kept from the verifier.

    Where the known answer is a plain number, an answer that is the same number is right in any notation, and one with
    the opposite sign is wrong, whatever the verifier says.

    Args:
        task_index: of the task.
        entry: of the question.
        answer: without the rest of the response.
    """
    task, its = _task(task_index), pickle.loads(entry)
    known = its["answer"]
    if isinstance(known, str) and _CANONICAL.fullmatch(known):
        value, given = Fraction(known), plain_number(answer)
        if given == value:
            return 1.0
        said = numbers_in(answer) if given is None else [given]
        if value != 0 and -value in said and value not in said:
            return 0.0
        if given is not None:
            answer = str(given) if given.denominator == 1 else repr(float(given))
    if task.evaluates and answer != known and not is_harmless(answer):
        return None
    try:
        return min(max(0.0, float(task.dataset.score_answer(answer, its))), 1.0)
    except Exception:  # verifiers expect answers in their form, and raise whatever another one leads to
        return 0.0


def is_harmless(answer: str) -> bool:
    """Whether evaluating an answer as code can do no more than compute: a literal, or a formula of known functions.

    >>> is_harmless("[[0, 1], [1, 0]]"), is_harmless("2*x**3/3 + sin(x)"), is_harmless("print(1)"), is_harmless("x.y")
    (True, True, False, False)
    """
    try:
        ast.literal_eval(answer.strip())
        return True
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    if not _FORMULA.fullmatch(answer) or _NO_FORMULA.search(answer):
        return False
    return "(" not in answer or all(len(word) == 1 or word in FUNCTIONS for word in _WORD.findall(answer))


def plain_number(answer: str) -> Fraction | None:
    r"""The number that an answer is, with thousands and a unit if it likes, or None.

    >>> plain_number("3,560"), plain_number(r"-\$3{,}560"), plain_number("2 or 3")
    (Fraction(3560, 1), Fraction(-3560, 1), None)
    """
    try:
        given = quantity(rewritten(answer))
        found = None if given.unit == PERCENT else plain_numbers(given.value)
    except Exception:  # whatever a reader of notation makes of text that is none
        return None
    if not found or found.brackets or len(found.numbers) != 1 or abs(found.numbers[0]) > LARGEST:
        return None
    return found.numbers[0]


def numbers_in(text: str) -> list[Fraction]:
    """All numbers in a text, with their signs.

    >>> numbers_in("-3,560 and 2.5")
    [Fraction(-3560, 1), Fraction(5, 2)]
    """
    return [
        Fraction(("-" if sign else "") + digits.replace(",", ""))
        for sign, digits in _SIGNED.findall(text)
        if len(digits) <= LONGEST_NUMBER
    ]


def _task(task_index: int) -> _Task:
    task = _TASKS[task_index]
    assert isinstance(task, _Task), task
    return task


def _made(name: str, settings: Mapping[str, Any]) -> _Task | str:
    """A task, or why it cannot be made."""
    if name == MIXTURE:
        return "several tasks are already a mixture; name them one after the other, each with its *WEIGHT"
    if fixed := sorted({"seed", "size"} & settings.keys()):
        return f"{fixed[0]} is not a setting of a task: the run's own seed decides which questions are asked"
    _seed_globals(0)
    try:
        dataset = extra("reasoning_gym", "tasks").create_dataset(name, seed=0, size=SIZE, **settings)
        return _Task(dataset, bool(_EVALUATES.search(inspect.getsource(type(dataset).score_answer))))
    except Exception as error:  # whatever checks its settings, or fails to
        return str(error) or type(error).__name__


def _seed_globals(number: int) -> None:
    """Some generators draw from generators that are not their own."""
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
