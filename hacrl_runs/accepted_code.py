"""Code of the user's own that a run or a file of settings names: it is executed only if the user knows it.

A run's folder can come from anybody. So it is written down outside of all runs which code the user has named on a
command line or confirmed, by content.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from hacrl_lab.cache_folder import cache_folder
from hacrl_lab.code_fingerprint import code_files, code_fingerprint, file_of_module
from hacrl_lab.errors import LabError
from hacrl_lab.files import locked, write_text

RECORD = "accepted_code.json"
"""In the user's cache folder: the path of each piece of code by its fingerprint."""
SHOWN = 12
"""Lines of a file that are shown before the user is asked."""


def accept(paths: Sequence[str]) -> None:
    """Write down that the user knows some code; without a folder for this, the user will be asked again.

    Args:
        paths: as :func:`hacrl_lab.own_code.load_own` takes them.
    """
    found = {_fingerprint(path, file): path for path, file in _existing(paths)}
    if not found:
        return
    try:
        folder = cache_folder()
        with locked(folder, name=f".{RECORD}"):
            write_text(folder / RECORD, json.dumps(_read(folder) | found, indent=1) + "\n")
    except (LabError, OSError) as error:
        print(f"note: a later --resume will ask whether to run this code: {error}", file=sys.stderr)


def confirm(paths: Sequence[str]) -> None:
    """Ask the user, on a terminal, whether to execute code that is new here. Nothing of it is executed yet.

    Args:
        paths: as :func:`hacrl_lab.own_code.load_own` takes them.

    Raises:
        LabError: the user says no, or there is no terminal.
    """
    existing = list(_existing(paths))
    known = _known() if existing else {}
    for path, file in existing:
        if _fingerprint(path, file) in known:
            continue
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise LabError(f"{_described(path, file)} was not run here before; read it, and confirm it: --accept-code")
        print(f"{_described(path, file)} was not run here before:\n\n{_beginning(file)}", file=sys.stderr)
        print("Run this code? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise LabError(f"{_described(path, file)} is not run")
        accept([path])


def _existing(paths: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Those paths behind which there is code, and its file; None for code of Python's own."""
    for path in paths:
        location = path.rpartition(":")[0]
        if location.endswith(".py"):
            if Path(location).is_file():
                yield path, location
        elif location:
            is_there, file = file_of_module(location)
            if is_there:
                yield path, file


def _fingerprint(path: str, file: str | None) -> str:
    """Of a function or class: its name and the content of its code."""
    location, _, name = path.rpartition(":")
    parts = [name, code_fingerprint(file) if file is not None else location]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _known() -> dict[str, str]:
    try:
        return _read(cache_folder())
    except LabError:
        return {}


def _read(folder: Path) -> dict[str, str]:
    """The record; empty if it is not there or damaged, so that the user is asked again."""
    try:
        return dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _described(path: str, file: str | None) -> str:
    """The code, and the files that executing it would execute, with their sizes."""
    sizes = ", ".join(f"{str(one)!r}, {one.stat().st_size:,} bytes" for one in sorted(code_files(file)))
    return f"{path!r} ({sizes or 'of Python itself'})"


def _beginning(file: str | None) -> str:
    """The first lines of a file, in characters that a terminal does not obey."""
    if file is None:
        return ""
    lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    shown = ["".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in lines[:SHOWN]]
    more = [f"... {len(lines) - SHOWN} lines more"] if len(lines) > SHOWN else []
    return "".join(f"    {line}\n" for line in [*shown, *more])
