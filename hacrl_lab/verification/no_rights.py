"""What workers may not do: write or remove files, start processes, open connections, send signals, load C libraries.

Some libraries evaluate the text that they verify as code. So every worker gives up its rights before its first call:

- Python asks a hook (PEP 578) before it does anything that reaches outside the process. The hook refuses whatever is
  not on the short list :data:`HARMLESS`, and to open files for anything but reading.
- The kernel lets no file grow, and no user but root start a process or a thread.

Python's documentation warns that such a hook does not stop code that was written to get around it. So a world must not
show a verifier that evaluates text anything but the text that it is meant for.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from typing import Any

HARMLESS = frozenset(
    {
        *("import", "marshal.loads", "os.listdir", "os.scandir", "pickle.find_class"),  # of imports and received calls
        *("compile", "exec", "builtins.id", "time.sleep", "sys._getframe", "sys._getframemodulename"),
        *("object.__getattr__", "object.__setattr__", "object.__delattr__", "sys.excepthook", "sys.unraisablehook"),
    }
)
"""Audited events that change nothing outside a process."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
"""Flags with which a file is opened for more than reading."""


def give_up_rights() -> None:
    """Refuse from now on, in this process, what its module says. There is no way back."""
    sys.dont_write_bytecode = True
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
        with contextlib.suppress(ValueError, OSError):  # a system that does not know the limit
            resource.setrlimit(limit, (0, 0))
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and not arguments[2] & WRITING:
        return
    if event not in HARMLESS:
        raise PermissionError(f"a worker has no right to {event}")
