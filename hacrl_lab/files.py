"""Files that are whole or not there, whenever the process is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".unfinished"
"""Ending of a file that is being written; one that a killed process left behind may be deleted."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file aside and move it into place, on disk, when the block ends without an error.

    Args:
        path: what to write or replace.

    Yields:
        The file to write to.
    """
    unfinished = path.with_suffix(UNFINISHED)
    with unfinished.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
