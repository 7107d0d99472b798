"""Rewards of responses: comparing answers, functions of the user's own, or a weighted sum of several.

A reward is written ``answer`` (1 for the exact answer, 0 for any other), ``FILE.py:FUNCTION`` or
``PACKAGE.MODULE:FUNCTION``, each with ``*WEIGHT`` behind it or without, which is a weight of 1. A response o to a
question q has the reward

    R(q, o) = Σ_i w_i · R_i(q, o).

What that means for training:

- Advantages compare the responses to a prompt by R and are divided by the standard deviation of R. A common factor of
  all weights therefore changes nothing but the effect of the 1e-6 that is added to it; only their proportions count.
- An agent's capability is its mean R. So R must have a mean of at least 0 for each agent, as a single reward must.
- The first reward says how good a response is, the others shape it: evaluations and validation use the first one alone,
  without its weight (:meth:`Rewards.first`), so that their accuracies mean the same with other weights.

A function has the signature of TRL's. It is called with keywords, one entry of each list for each response, and returns
a number for each::

    def reward(prompts, completions, answer, **columns):
        return [float(right in text) for right, text in zip(answer, completions)]

``prompts`` are the questions, ``completions`` the responses, ``answer`` the exact answers; every other column of the
data comes under its own name. An entry that does not have an answer or another column has None there.

All functions are called in one process of their own (:mod:`hacrl_lab.own_process`), or in this one if that is wanted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

from hacrl_envs.reward_function import RewardFunction, is_reward
from hacrl_envs.text import Grade, Problem, by_answer
from hacrl_envs.weights import split_weight
from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.own_process import TIMEOUT, OwnProcess
from hacrl_lab.verification.verifier import MathVerifier

ANSWER = "answer"
"""The reward that compares a response's answer with the exact one."""
_PROCESS = OwnProcess()


class Rewards:
    """The rewards of a run.

    Args:
        rewards: as they are written, see above; none: ``answer``.
        timeout: seconds for one call of a function.
        in_process: call functions in this process, without a limit of time.

    Raises:
        SettingError: a reward that is not written so or is given twice, or a weight that is not a number > 0.
        LabError: a function that does not exist, or whose module cannot be imported.
    """

    def __init__(self, rewards: Sequence[str] = (), timeout: float = TIMEOUT, in_process: bool = False) -> None:
        written = [_parse_reward(text) for text in rewards or [ANSWER]]
        self.weights: Mapping[str, float] = dict(written)
        """By the reward, as it is written before its weight; the first one comes first."""
        for name, _ in written:
            if [other for other, _ in written].count(name) > 1:
                raise SettingError(f"rewards name {name!r} twice; write {name}*2 for a reward of twice the weight")
        self._own = {name: OwnReward(name, timeout, in_process) for name in self.weights if name != ANSWER}

    @property
    def compare_answers(self) -> bool:
        """Whether ``answer`` is one of them, so that exact answers must be mathematics."""
        return ANSWER in self.weights

    @property
    def fingerprint(self) -> str:
        """Of weights and files, by which results of other rewards are noticed; empty for ``answer`` alone.

        Of one reward with weight 1: that of its function, see :attr:`OwnReward.fingerprint`.
        """
        marks = {name: self._own[name].fingerprint if name in self._own else "" for name in self.weights}
        if list(self.weights.values()) == [1.0]:
            return "".join(marks.values())
        return " ".join(f"{_function(name)}*{weight} {marks[name]}".strip() for name, weight in self.weights.items())

    def total(self, verifier: MathVerifier) -> WeightedSum:
        """The weighted sum, for training.

        Args:
            verifier: decides equality for ``answer``.
        """
        return WeightedSum({name: (self._grade(name, verifier), weight) for name, weight in self.weights.items()})

    def first(self, verifier: MathVerifier) -> Grade:
        """The first reward without its weight, for evaluations and validation.

        Args:
            verifier: decides equality for ``answer``.
        """
        return self._grade(next(iter(self.weights)), verifier)

    def _grade(self, name: str, verifier: MathVerifier) -> Grade:
        return _by_known_answer(verifier) if name == ANSWER else self._own[name]


class WeightedSum:
    """A weighted sum of rewards as a :data:`hacrl_envs.text.Grade`.

    Args:
        grades: each reward and its weight, by name.
    """

    def __init__(self, grades: Mapping[str, tuple[Grade, float]]) -> None:
        self._grades = dict(grades)
        self.last_parts: Mapping[str, Sequence[float]] = {}
        """Each reward of every response of the last call, without its weight, by name."""

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[float]:
        """The reward of each response to the problem at the same place.

        Raises:
            LabError: a reward cannot be had, or a sum is not finite.
        """
        self.last_parts = {name: grade(problems, responses) for name, (grade, _) in self._grades.items()}
        terms = [[weight * reward for reward in self.last_parts[name]] for name, (_, weight) in self._grades.items()]
        totals = [reduce(add, parts) for parts in zip(*terms, strict=True)]
        for total in totals:
            if not is_reward(total):
                raise LabError(f"the weighted sum of {', '.join(self._grades)} must be a finite number, got {total}")
        return totals


class OwnReward:
    """A user's reward function as a :data:`hacrl_envs.text.Grade`.

    Args:
        path: PACKAGE.MODULE:FUNCTION or FILE.py:FUNCTION. The module is imported, which runs it.
        timeout: seconds for one call.
        in_process: call it in this process, without a limit of time.

    Raises:
        SettingError: it is not written so.
        LabError: there is no such function, or its module cannot be imported.
    """

    def __init__(self, path: str, timeout: float = TIMEOUT, in_process: bool = False) -> None:
        self._function = RewardFunction(path, os.getcwd(), tuple(sys.path))
        self._timeout = timeout
        self._in_process = in_process
        self._call(self._function.load)

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[float]:
        """The reward of each response to the problem at the same place.

        Raises:
            LabError: the function raised an error, returned anything but a finite number for each response, ended its
                process, or took too long.
        """
        names = dict.fromkeys(name for problem in problems for name in problem.columns)
        columns = {name: [problem.columns.get(name) for problem in problems] for name in names}
        columns["answer"] = [problem.answer or None for problem in problems]
        prompts = [problem.question for problem in problems]
        return self._call(self._function.rewards, prompts, list(responses), columns)

    @property
    def fingerprint(self) -> str:
        """Changes with the function's file and those that it imports, see :mod:`hacrl_lab.code_fingerprint`."""
        return self._call(self._function.load)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._in_process:
            return function(*arguments)
        return _PROCESS.call(str(self._function), self._timeout, function, *arguments)


def _parse_reward(text: str) -> tuple[str, float]:
    name, weight = split_weight(text)
    if "*" in _function(name):
        before, _, after = name.rpartition("*")
        raise SettingError(f"the weight of {before!r} must be a number > 0, got {after!r}")
    return name, 1.0 if weight is None else weight


def _function(name: str) -> str:
    """What a reward is called, without its file or module."""
    return name.rpartition(":")[2]


def _by_known_answer(verifier: MathVerifier) -> Grade:
    """Compares answers, and refuses problems that have none."""
    compare = by_answer(verifier)

    def grade(problems: Sequence[Problem], responses: Sequence[str]) -> Sequence[float]:
        for problem in problems:
            if not problem.answer.strip():
                raise SettingError(
                    f"the reward {ANSWER!r} compares with exact answers, and the problem {problem.question[:60]!r} has "
                    "none; leave it out, or give answers"
                )
        return compare(problems, responses)

    return grade
