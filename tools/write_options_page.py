"""Writes docs/options.md: every option of every command, from the dataclasses that declare them.

python tools/write_options_page.py
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import MISSING, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hacrl_runs.command_line import TrainCommand
from hacrl_runs.evaluation.settings import DEFAULTS
from hacrl_runs.tables import markdown_table

PAGE = Path(__file__).parents[1] / "docs" / "options.md"
HEAD = """\
# Options

Every option of the command `hacrl-lab`, as `hacrl-lab COMMAND --help` explains them. `train`, `plan` and `describe`
have the same options, and the `config.yaml` that every run leaves has them under the names of their groups
(`learning_rate` for `--learning-rate`): edited, it is the next run, `hacrl-lab train --config config.yaml`. Options
beside `--config`, `--preset` or `--resume` take precedence. A switch such as `--checkpointing` is turned off by
`--no-checkpointing`. Options of TRL, transformers and verl are answered with the ones to use here.
`hacrl-lab methods [METHOD ...]` has no options: it lists the methods, or the parts of those that are named.
"""


def page() -> str:
    """The page in Markdown."""
    commands = {"hacrl-lab train, plan, describe": TrainCommand(), "hacrl-lab evaluate": DEFAULTS}
    return "\n".join([HEAD, *(section(title, command) for title, command in commands.items())])


def section(title: str, command: Any) -> str:
    """A command's options, a table for each group."""
    parts = [f"## {title}\n"]
    for name, group in groups(command):
        docs = docstrings(type(group))
        rows = [
            [
                f"`--{option.name.replace('_', '-')}`",
                values(type(group), option.name),
                default(group, option),
                docs[option.name],
            ]
            for option in fields(group)
            if not is_dataclass(getattr(group, option.name))
        ]
        parts += [
            f"### {name}\n",
            f"{inspect.getdoc(type(group))}\n",
            markdown_table(["option", "values", "default", "meaning"], rows) + "\n",
        ]
    return "\n".join(parts)


def groups(settings: Any, name: str = "") -> list[tuple[str, Any]]:
    """Groups of options by name, those within groups after them."""
    found = [(name, settings)] if any(not is_dataclass(getattr(settings, one.name)) for one in fields(settings)) else []
    for one in fields(settings):
        value = getattr(settings, one.name)
        if is_dataclass(value):
            found += groups(value, one.name)
    return found


def docstrings(kind: type) -> dict[str, str]:
    """The text after each field of a dataclass, or the help that its type has, as one line."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        body = next(node.body for node in ast.parse(inspect.getsource(base)).body if isinstance(node, ast.ClassDef))
        for field, text in pairwise(body):
            is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
                texts[field.target.id] = ast.literal_eval(text.value)  # type: ignore[union-attr]
    for name, hint in get_type_hints(kind, include_extras=True).items():
        helps = [part.help for part in getattr(hint, "__metadata__", ()) if hasattr(part, "help")]
        if helps:
            texts[name] = helps[0]
    return {name: " ".join(text.split()).replace("|", "\\|") for name, text in texts.items()}


def values(kind: type, name: str) -> str:
    """What an option takes."""
    return _described(get_type_hints(kind)[name])


def _described(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(hint))
    if get_origin(hint) is tuple:
        return f"any number of: {_described(get_args(hint)[0])}"
    if get_args(hint):
        return " or ".join(_described(one) for one in get_args(hint) if one is not type(None))
    return {str: "text", int: "whole number", float: "number", bool: "switch"}[hint]


def default(group: Any, option: Any) -> str:
    """The default as on the command line, nothing for an option that is left out."""
    value = getattr(group, option.name) if option.default is not MISSING else ""
    if isinstance(value, tuple):
        return " ".join(f"`{one}`" for one in value)
    if value is None or value == "":
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
