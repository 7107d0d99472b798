"""Command lines: options from a dataclass, a printed result, clear errors."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

import tyro

from hacrl_lab.errors import LabError, first_line

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
        options: a dataclass whose fields are the options; a :class:`hacrl_lab.errors.SettingError` of its own is shown
            beside the usage, with exit status 2.
        run: what to do.
        description: for ``--help``; by default the dataclass's docstring.
        arguments: the words of the command line, by default ``sys.argv[1:]``.
        prog: how the command is written, for ``--help``.

    Returns:
        The exit status: 0; 1 after an error that the user or the machine's owner can put right, which is said in one
        sentence; 130 after Ctrl-C.

    Raises:
        Exception: any other, which is a fault of the program: its traceback names the place.
    """
    given = tyro.cli(options, description=description, args=arguments, prog=prog)
    try:
        print(run(given))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {system_error_sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. What has been computed is kept: the same command goes on.", file=sys.stderr)
        return 130
    return 0


def system_error_sentence(error: OSError) -> str:
    """What the operating system refused, and for which file: a full disk, a folder that may not be written.

    >>> system_error_sentence(PermissionError(13, "Permission denied", "runs"))
    "Permission denied: 'runs'"
    """
    reason = error.strerror or first_line(error)
    return f"{reason}: {error.filename!r}" if error.filename else reason


def exit_with(main: Callable[[], int]) -> NoReturn:
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
