"""The methods as ``hacrl-lab methods`` prints them: all in a list, or one with its parts."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hacrl_lab.methods import MECHANISMS, Method, get_method, method_rows

WIDTH = 80


def methods_page(words: Sequence[str], prog: str) -> str:
    """The list of methods, or the parts of those that are named.

    Args:
        words: of the command line: names of methods.
        prog: how the command is written, for ``--help``.

    Raises:
        SettingError: an unknown name.
        SystemExit: ``--help``, or words that are no options.
    """
    parser = argparse.ArgumentParser(prog=prog, description="Lists the methods, or the parts of those that are named.")
    parser.add_argument("method", nargs="*", help="names of methods, for instance: hacpo gspo")
    names = parser.parse_args(words).method
    if names:
        return "\n\n".join(_parts(get_method(name)) for name in names)
    return "\n".join([*(_entry(*row) for row in method_rows()), "", textwrap.fill(MECHANISMS, WIDTH)])


def _entry(name: str, label: str, summary: str) -> str:
    return textwrap.fill(f"{name} ({label}): {summary}", WIDTH, subsequent_indent="    ")


def _parts(method: Method) -> str:
    shared = "everyone's rollouts" if method.shares else "its own rollouts"
    planned = ", in updates planned for everyone's" if method.planned_as_sharing else ""
    lines = {
        "learns from": shared + planned,
        "rollouts and updates": f"× {method.rollout_factor}",
        "baseline": _function(method.baseline),
        "objective": _function(method.objective),
        "schedule": _function(method.schedule),
        "empty updates": method.empty_updates,
        "fixed settings": ", ".join(f"{name} = {value:g}" for name, value in method.overrides.items()) or "none",
    }
    parts = "\n".join(f"    {name:22}{value}" for name, value in lines.items())
    return f"{_entry(method.name, method.label, method.summary)}\n{parts}"


def _function(function: Callable[..., Any]) -> str:
    """Where a function is, with the arguments that the method fixes."""
    if not isinstance(function, partial):
        return f"{function.__module__}.{function.__qualname__}"
    fixed = ", ".join(f"{name} = {getattr(value, '__name__', value)}" for name, value in function.keywords.items())
    return f"{_function(function.func)}({fixed})"
