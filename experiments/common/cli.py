"""Command lines: options from a dataclass, a printed result, clear errors."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import tyro

from common.options import OutputOptions
from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import LabError

Options = TypeVar("Options")


def main(
    options: type[Options],
    run: Callable[[Options], str],
    description: str | None = None,
    arguments: Sequence[str] | None = None,
    prog: str | None = None,
) -> int:
    """Read the options, run, print what the run returns.

    Args:
        options: a dataclass whose fields are the options; a ``ValueError`` of its own is shown beside the usage, with
            exit status 2.
        run: what to do.
        description: for ``--help``; by default the dataclass's docstring.
        arguments: the words of the command line, by default ``sys.argv[1:]``.
        prog: how the command is written, for ``--help``.

    Returns:
        The exit status: 0, 1 after an error, 130 after Ctrl-C.
    """
    chosen = tyro.cli(options, description=description, args=arguments, prog=prog)
    try:
        print(run(chosen))
    except (LabError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. What has been computed is kept: the same command goes on.", file=sys.stderr)
        return 130
    return 0


def leave(main: Callable[[], int]) -> NoReturn:
    """Run a program and end the process with its exit status.

    Ctrl-C once more, while the program says why it stops, gives status 130; while Python clears up, it ends the process
    at once. Neither prints a traceback.

    Args:
        main: the program.
    """
    status = 130
    with contextlib.suppress(KeyboardInterrupt):
        status = main()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)


def command(study: str, options: OutputOptions) -> str:
    """The command line that gives these options; what is at its default is left out, and where results go.

    Args:
        study: its name.
        options: of the study.

    >>> command("bandit", OutputOptions(cache_dir="elsewhere"))
    'python experiments/run.py bandit'
    """
    words = option_words(options.settings(), type(options)().settings())
    return shell_line(["python", "experiments/run.py", study, *words])


def option_words(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    """The words of a command line that give some settings.

    Args:
        settings: by the name of their option.
        usual: the defaults, which are left out.

    >>> option_words({"steps": 3, "agents": ("a", "b"), "seed": 0}, {"steps": 8, "agents": (), "seed": 0})
    ['--steps', '3', '--agents', 'a', 'b']
    """
    words = []
    for name, value in settings.items():
        if value == usual[name]:
            continue
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", *(str(one) for one in (value if isinstance(value, tuple) else (value,)))]
    return words


def shell_line(words: Sequence[str]) -> str:
    r"""Words as one types them into bash, on one line.

    >>> print(shell_line(["--prompt-template", "{question}\n", "--steps", "3"]))
    --prompt-template $'{question}\n' --steps 3
    """
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    if "\n" not in word:
        return shlex.quote(word)
    escaped = word.replace("\\", r"\\").replace("'", r"\'").replace("\n", r"\n")
    return f"$'{escaped}'"


def check_methods(methods: Sequence[str], training: TrainingConfig, least: int = 1) -> None:
    """Refuse a choice of methods before anything is trained.

    Args:
        methods: names.
        training: the settings of the runs.
        least: how many there must be.

    Raises:
        ValueError: too few, one of them twice, an unknown one, or one that the settings do not allow.
    """
    if len(methods) < least or len(set(methods)) < len(methods):
        raise ValueError(f"methods must be at least {least} different ones, got {', '.join(methods) or 'none'}")
    for method in methods:
        training.check(method)
