"""Reward functions of the user's own, by import path, with the signature of TRL's.

A reward function is called with keywords, one entry of each list for each response, and returns a number for each::

    def reward(prompts, completions, answer, **columns):
        return [float(right in text) for right, text in zip(answer, completions)]

``prompts`` are the questions, ``completions`` the responses, ``answer`` the exact answers; every other column of the
data comes under its own name, with None where an entry does not have it.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from hacrl_envs.text import Problem
from hacrl_lab.errors import LabError


class OwnReward:
    """A user's reward function as a :data:`hacrl_envs.text.Grade`.

    Args:
        path: PACKAGE.MODULE:FUNCTION or FILE.py:FUNCTION. The module is imported, which runs it.

    Raises:
        LabError: there is no such function, or its module cannot be imported.
    """

    def __init__(self, path: str) -> None:
        where, _, name = path.rpartition(":")
        if not where or not name:
            raise LabError(f"reward function {path!r} is not PACKAGE.MODULE:FUNCTION or FILE.py:FUNCTION")
        function = getattr(_module(where, path), name, None)
        if not callable(function):
            raise LabError(f"reward function {path!r}: {where!r} has no function {name!r}")
        self._path = path
        self._function: Callable[..., Any] = function

    def __call__(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[float]:
        """The reward of each response to the problem at the same place.

        Raises:
            LabError: the function raised an error, or returned anything but a finite number for each response.
        """
        names = dict.fromkeys(name for problem in problems for name in problem.columns)
        columns = {name: [problem.columns.get(name) for problem in problems] for name in names}
        columns["answer"] = [problem.answer for problem in problems]
        prompts = [problem.question for problem in problems]
        try:
            rewards = list(self._function(prompts=prompts, completions=list(responses), **columns))
        except Exception as error:
            raise LabError(f"reward function {self._path!r} raised {_described(error)}") from error
        if len(rewards) != len(responses):
            raise LabError(
                f"reward function {self._path!r} must return one number for each of {len(responses)} completions, "
                f"got {len(rewards)}"
            )
        return [self._number(reward) for reward in rewards]

    def _number(self, reward: Any) -> float:
        try:
            number = math.nan if isinstance(reward, str) else float(reward)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if abs(number) <= torch.finfo(torch.float32).max:  # worlds' rewards are in float32
            return number
        raise LabError(f"reward function {self._path!r} must return finite numbers, got {reward!r:.60}")


def _module(where: str, path: str) -> ModuleType:
    """The module of a reward function, imported by its name or from its file."""
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        if not os.path.isfile(where):
            raise LabError(f"reward function {path!r}: file {where!r} does not exist")
        spec = importlib.util.spec_from_file_location(Path(where).stem, where)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except LabError:
        raise
    except Exception as error:  # importing a module runs it
        raise LabError(f"reward function {path!r}: importing {where!r} raised {_described(error)}") from error


def _described(error: Exception) -> str:
    """An error's kind, message and the line that raised it, in one sentence."""
    message = str(error).strip().splitlines() or ["no message"]
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {last.filename}, line {last.lineno}: {message[0]}"
