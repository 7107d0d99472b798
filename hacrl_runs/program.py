"""Command lines: options from a dataclass, a printed result, clear errors."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

import tyro

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
