"""Options as one types them: words of a command line from settings, and the other way round."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hacrl_lab.errors import LabError

_ESCAPES = {"\\": r"\\", "'": r"\'", "\n": r"\n"}
"""Within ``$'...'`` of bash."""


def option_words(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    """The words of a command line that give some settings.

    Args:
        settings: by the name of their option.
        usual: the defaults, which are left out.

    >>> option_words({"steps": 3, "agents": ("a", "b"), "seed": 0}, {"steps": 8, "agents": (), "seed": 0})
    ['--steps', '3', '--agents', 'a', 'b']
    >>> option_words({"output_dir": "-x"}, {"output_dir": None})
    ['--output-dir=-x']
    """
    words = []
    for name, value in settings.items():
        if value == usual[name]:
            continue
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
            continue
        values = [str(one) for one in (value if isinstance(value, tuple) else (value,))]
        if len(values) == 1 and values[0].startswith("-"):  # which would be read as an option
            words.append(f"--{option}={values[0]}")
        else:
            words += [f"--{option}", *values]
    return words


def resume_command(folder: Path) -> str:
    """The command that continues a run, to be pasted into bash.

    Args:
        folder: of the run.

    >>> print(resume_command(Path("runs/my pair")))
    hacrl-lab train --resume 'runs/my pair'
    """
    return shell_line(["hacrl-lab", "train", *option_words({"resume": folder}, {"resume": None})])


def shell_line(words: Sequence[str]) -> str:
    r"""Words as one types them into bash, on one line.

    >>> print(shell_line(["--prompt-template", "{question}\n", "--steps", "3"]))
    --prompt-template $'{question}\n' --steps 3
    """
    return " ".join(_quoted(word) for word in words)


def refuse_unreadable(words: Sequence[str]) -> None:
    """Refuse words that no file of settings can hold.

    Args:
        words: of a command line.

    Raises:
        LabError: a word with a null character, or with bytes that are not UTF-8.
    """
    for word in words:
        if "\0" in word or word != word.encode(errors="replace").decode():
            raise LabError(
                f"{word!r} has a null character or bytes that are not UTF-8, so it cannot be an option's value"
            )


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else "".join(f"\\x{byte:02x}" for byte in character.encode())
