"""Errors that a person can act on; programs built on the library catch :class:`LabError` and print its one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar


class LabError(Exception):
    """Something a user can put right: the message is one sentence that says what and how."""


class SettingError(LabError, ValueError):
    """A setting that is impossible, or that another one excludes; the message names it as Python does."""

    spell: ClassVar[Callable[[str], str]] = str
    """Applied to every message; a command line sets it, so that settings are named as on the command line."""

    def __init__(self, message: str) -> None:
        super().__init__(SettingError.spell(message))


class ModelLoadError(LabError):
    """A model folder or hub id that cannot be loaded."""


class CheckpointError(LabError):
    """A checkpoint that cannot be read or does not belong to this run."""


class DivergedError(LabError):
    """An agent's updates have made its policy useless; see :mod:`hacrl_lab.divergence`."""

    def __init__(self, message: str, metrics: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.metrics = metrics
        """Of the step, which all other agents made to its end; None if no agent has begun its updates."""


class NonFiniteError(DivergedError):
    """A loss, a gradient or logits that are inf or nan; nothing was changed."""


class EngineError(LabError):
    """An engine that generates does not have the weights of its agent, or a worker of a run is lost."""


def first_line(error: BaseException) -> str:
    r"""The first line of an error's message, or the name of its type if it has none.

    >>> first_line(ValueError("no such file\nhint: look elsewhere")), first_line(KeyError())
    ('no such file', 'KeyError')
    """
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # a message of somebody's own that cannot be made
        lines = []
    return lines[0] if lines else type(error).__name__
