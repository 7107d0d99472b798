"""What programs print: neither a character that a terminal does not have nor a reader that has gone ends them."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

GONE = (errno.EPIPE, errno.EIO)
"""Errors of the system where nobody reads any more: a pipe to ``head``, a terminal that was closed."""


class _Descriptor(io.FileIO):
    """A file of the system that leads to nowhere from the moment when nobody reads it any more."""

    def write(self, data: Any, /) -> int:
        """Write, and drop everything if the reader has gone."""
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno not in GONE:
                raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        return super().write(data) or 0


def keep_printing() -> None:
    """Make the streams of this process print whatever comes, for as long as it lives.

    A character that a stream's encoding does not have is written as its number.
    """
    for name in ("stdout", "stderr"):
        setattr(sys, name, lasting(getattr(sys, name)))


def lasting(stream: io.TextIOWrapper | None) -> io.TextIOWrapper:
    """A stream that prints to the same place whatever comes.

    Args:
        stream: of Python's own kind; None for one that was closed before the process began.
    """
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering or stream.write_through,
    )
