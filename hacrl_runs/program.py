"""What every program of the project does at its ends: options from a dataclass, clear errors, exit statuses.

The only error handler: a :class:`~hacrl_lab.errors.LabError`, a full disk or too little memory become one sentence;
everything else is a fault of the program and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NoReturn, TypeVar

import tyro

from hacrl_lab.errors import LabError, SettingError, first_line
from hacrl_lab.interrupt import SIGNALS, Interrupted, Terminated, stop_at_once
from hacrl_runs.output import keep_printing

Options = TypeVar("Options")
KEPT = "What has been computed is kept: the same command continues."


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
        sentence; 130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        Exception: any other, which is a fault of the program: its traceback names the place.
    """
    given = tyro.cli(options, description=description, args=arguments, prog=prog)
    return with_clear_errors(lambda: print(run(given)))


def with_clear_errors(run: Callable[[], None], names: Iterable[str] = (), kept: str = KEPT) -> int:
    """Run, and say in one sentence what a person can put right; returns the exit status.

    SIGTERM, which schedulers send, is treated as Ctrl-C.

    Args:
        run: what to do.
        names: of settings, which messages show as on the command line.
        kept: what to say after Ctrl-C.
    """
    names = tuple(names)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop_at_once)
    threading.excepthook = _thread_error
    try:
        with _spelled(names):
            run()
    except SettingError as error:
        return _failed(str(error))
    except LabError as error:
        return _failed(as_typed(str(error), names))
    except OSError as error:
        return _failed(system_error_sentence(error))
    except Interrupted as stop:
        print(f"{stop}.", file=sys.stderr)
        return stop.status
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        return _failed(f"not enough memory: {first_line(error)}; hacrl-lab plan tells the memory that a run needs")
    except KeyboardInterrupt as stop:
        print(f"\nStopped. {kept}", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
    return 0


def system_error_sentence(error: OSError) -> str:
    """What the operating system refused, and for which file: a full disk, a folder that may not be written.

    >>> system_error_sentence(PermissionError(13, "Permission denied", "runs"))
    "Permission denied: 'runs'"
    """
    reason = error.strerror or first_line(error)
    return f"{reason}: {str(error.filename)!r}" if error.filename else reason


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Run a program and end the process with its exit status; what it prints cannot end it.

    Ctrl-C once more, while the program says why it stops, gives status 130; while Python clears up, it ends the process
    at once. Neither prints a traceback.

    Args:
        main: the program.
    """
    keep_printing()
    status = 130
    try:
        status = main()
    except KeyboardInterrupt as stop:
        status = 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    sys.exit(status)


def as_typed(message: str, names: Iterable[str], everywhere: bool = False) -> str:
    """A message with settings named as on the command line.

    Names in quotes, in a command at the end, or behind a group are left as they are.

    Args:
        message: names settings as Python does.
        names: of all settings. One without an underscore is also an ordinary word, and is taken for a setting only
            before "must", "and", "needs", "above" or "=".
        everywhere: take all of them for settings, as in messages about nothing else.

    >>> as_typed("max_grad_norm must be > 0, got 'max_grad_norm'", ["max_grad_norm"])
    "--max-grad-norm must be > 0, got 'max_grad_norm'"
    >>> as_typed("generation.max_new_tokens cannot be 0", ["max_new_tokens"])
    'generation.max_new_tokens cannot be 0'
    >>> as_typed("continue it: hacrl-lab train --resume runs/max_new_tokens", ["max_new_tokens"])
    'continue it: hacrl-lab train --resume runs/max_new_tokens'
    >>> as_typed("steps must be more steps", ["steps"])
    '--steps must be more steps'
    """
    plain = "" if everywhere else r"(?= (?:must|and|needs|above|=)(?: |$))"
    words = sorted(names, key=len, reverse=True)
    pattern = "|".join(f"{re.escape(name)}{'' if '_' in name else plain}" for name in words)
    if not pattern:
        return message
    named = re.compile(rf"('[^']*'|: hacrl-lab .*)|(?<![\w.-])({pattern})(?![\w-])")
    return named.sub(lambda match: match[1] or "--" + match[2].replace("_", "-"), message)


@contextlib.contextmanager
def _spelled(names: Sequence[str]) -> Iterator[None]:
    """Within it, impossible settings are named as on the command line, also by the parser of options."""
    try:
        SettingError.spell = partial(as_typed, names=names, everywhere=True)  # type: ignore[assignment]
        yield
    finally:
        SettingError.spell = str


def _is_out_of_memory(error: Exception) -> bool:
    """By its type; torch's allocator on the CPU has none of its own, and a name instead."""
    from torch import OutOfMemoryError  # here, so that programs without torch stay small

    is_allocator = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError | OutOfMemoryError) or is_allocator


def _thread_error(failed: threading.ExceptHookArgs) -> None:
    """What the system refused a thread, TensorBoard's for instance, is one sentence; the rest keeps its traceback."""
    if isinstance(failed.exc_value, OSError):
        print(f"warning: {system_error_sentence(failed.exc_value)}", file=sys.stderr)
    else:
        threading.__excepthook__(failed)


def _failed(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 1
