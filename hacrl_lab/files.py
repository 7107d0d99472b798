"""Files and folders that are whole or not there, whenever the process is killed."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from hacrl_lab.errors import LabError, first_line

LOCK = ".lock"
"""Name of the file by which a process has a folder to itself; it may stay, the system forgets who held it."""
UNFINISHED = ".unfinished"
"""Ending of what is being written; one that a killed process left behind may be deleted."""
_digests: dict[tuple[int, ...], str] = {}


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Write a file aside and move it into place, on disk, when the block ends without an error.

    Args:
        path: what to write or replace.

    Yields:
        The file to write to.
    """
    unfinished = path.with_suffix(UNFINISHED)
    unfinished.unlink(missing_ok=True)  # a killed process's, or a link
    with unfinished.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, in UTF-8."""
    with atomic_write(path) as file:
        file.write(text.encode())


@contextmanager
def locked(folder: Path, refusal: str | None = None, name: str = LOCK) -> Iterator[None]:
    """Have a folder, or what a name in it stands for, to oneself among all processes that ask.

    A process that is killed gives it back. A process that has waited for a second reports this.

    Args:
        folder: exists.
        refusal: what to say if another process has it; None waits for it.
        name: of the file that the processes lock.

    Raises:
        LabError: another process has it, and there is a refusal.
    """
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=1 if refusal is None else 0)
    except Timeout as error:
        if refusal is not None:
            raise LabError(refusal) from error
        print(f"waiting for another process, which has {str(folder / name)!r}", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def told_by_the_system(folder: Path) -> Iterator[None]:
    """Within it, what libraries in Rust raise when a file cannot be written is an error of the system, as Python's own.

    safetensors has one type for it, tokenizers raises bare exceptions.

    Args:
        folder: that is written to.

    Raises:
        OSError: the disk is full, or something cannot be written.
    """
    try:
        yield
    except Exception as error:
        if type(error) not in (SafetensorError, Exception):
            raise
        number = re.search(r"os error (\d+)", str(error))  # as Rust writes errno
        raise OSError(int(number[1]) if number else errno.EIO, first_line(error), str(folder)) from error


def content_digest(path: Path) -> str:
    """SHA-256 of a file's content. A file is read once in a process, and again if it has changed.

    It is kept under everything that the system changes with the content, the time of the last change included, which no
    program can set back.
    """
    stat = path.stat()
    key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if key not in _digests:
        with path.open("rb") as file:
            _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[key]


def flush_to_disk(path: Path) -> None:
    """Make sure that a file's content, or a folder's list of names, is on disk and survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
