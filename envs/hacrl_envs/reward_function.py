"""A reward function of the user's own, in the process that calls it; nothing heavy is imported here."""

from __future__ import annotations

import math
import os
import reprlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hacrl_lab.code_fingerprint import code_fingerprint
from hacrl_lab.errors import LabError
from hacrl_lab.own_code import described, load_own

LARGEST = (2 - 2**-23) * 2.0**127
"""Of float32, in which worlds keep rewards."""


@dataclass(frozen=True)
class _Loaded:
    function: Callable[..., Any]
    file: str | None
    fingerprint: str


_loaded: dict[tuple[str, str], _Loaded] = {}
"""What this process has loaded, by path and working folder."""


@dataclass(frozen=True)
class RewardFunction:
    """A function by its path, the working folder and the folders of modules.

    Args:
        path: PACKAGE.MODULE:FUNCTION or FILE.py:FUNCTION.
        folder: working folder.
        search_path: folders of modules, as in ``sys.path``.
    """

    path: str
    folder: str
    search_path: tuple[str, ...]

    def __str__(self) -> str:
        return f"reward function {self.path!r}"

    def load(self) -> str:
        """Import its module, unless this process has done so and the file is the same; returns its fingerprint.

        Raises:
            SettingError: the path is not written so.
            LabError: there is no such function, or its module cannot be imported.
        """
        known = _loaded.get((self.path, self.folder))
        if known is None or code_fingerprint(known.file) != known.fingerprint:
            os.chdir(self.folder)
            sys.path[:] = [*self.search_path, *(one for one in sys.path if one not in self.search_path)]
            function, file = load_own(self.path, "reward function")
            known = _loaded[self.path, self.folder] = _Loaded(function, file, code_fingerprint(file))
        return known.fingerprint

    def rewards(
        self, prompts: Sequence[str], completions: Sequence[str], columns: Mapping[str, Sequence[Any]]
    ) -> list[float]:
        """The reward of each completion.

        Args:
            prompts: of each completion.
            completions: the responses.
            columns: every other column of the data, one entry for each completion.

        Raises:
            LabError: the function raised an error, or returned anything but a finite number for each response.
        """
        if (self.path, self.folder) not in _loaded:  # in a process that took the place of another
            self.load()
        known = _loaded[self.path, self.folder]
        try:
            rewards = list(known.function(prompts=list(prompts), completions=list(completions), **columns))
        except (Exception, SystemExit) as error:
            raise LabError(f"{self} raised {described(error, known.file)}") from error
        if len(rewards) != len(completions):
            raise LabError(
                f"{self} must return one number for each of {len(completions)} completions, got {len(rewards)}"
            )
        return [self._number(reward) for reward in rewards]

    def _number(self, reward: Any) -> float:
        try:
            number = math.nan if isinstance(reward, str) else float(reward)
        except Exception:  # tensors of two numbers, or whatever else has a float() of its own
            number = math.nan
        if is_reward(number):
            return number
        raise LabError(f"{self} must return finite numbers, got {reprlib.repr(reward)}")


def is_reward(number: float) -> bool:
    """Whether it is finite in float32."""
    return abs(number) <= LARGEST
