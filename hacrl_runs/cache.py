"""Results that are computed once: every cell of a study is a file, and a study continues where it was interrupted."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hacrl_lab.files import atomic_write, locked

RESULTS_VERSION = 3
"""Part of every cell's settings; to be raised with every change of the code that changes results."""
LOCKS = ".locks"
"""Folder beside the cells with a file for each one that was computed here; it may be deleted when nothing runs."""


@dataclass(frozen=True)
class Cell:
    """One computation of a study."""

    name: str
    """The beginning of its file's name."""
    compute: Callable[[], Mapping[str, Any]]
    """Gives its arrays by name."""
    settings: Mapping[str, Any] | None = None
    """Everything that the arrays depend on, as JSON; None for a cell that is not kept and may hold any objects."""

    def path(self, folder: Path) -> Path:
        """The file in a folder."""
        return cell_path(folder, self.name, self.settings or {})

    @property
    def record(self) -> str:
        """The settings and the version of the results, as they are stored with them."""
        return record_of(self.settings or {})


def record_of(settings: Mapping[str, Any]) -> str:
    """A cell's settings and the version of the results, as JSON.

    Args:
        settings: everything that the cell's arrays depend on.
    """
    return json.dumps({**settings, "results_version": RESULTS_VERSION}, sort_keys=True)


def cell_path(folder: Path, name: str, settings: Mapping[str, Any]) -> Path:
    """The file of a cell; cells of other settings have other names.

    Args:
        folder: of all cells.
        name: the beginning of the file's name.
        settings: everything that the cell's arrays depend on.

    >>> cell_path(Path("cells"), "a b", {"seeds": 2}) == cell_path(Path("cells"), "a b", {"seeds": 3})
    False
    """
    key = hashlib.sha256(record_of(settings).encode()).hexdigest()[:12]
    return folder / f"{name.replace(' ', '_')}-{key}.npz"


def computed(cell: Cell, folder: Path) -> Mapping[str, Any]:
    """The arrays of a cell: read if they were computed under the same settings, else computed and written whole.

    A file that cannot be read is computed anew. Of processes that want the same cell, one computes it.

    Args:
        cell: what to compute.
        folder: of all cells.
    """
    if cell.settings is None:
        return cell.compute()
    path = cell.path(folder)
    if (stored := _read(path)) is not None:
        return stored
    locks = path.parent / LOCKS
    locks.mkdir(parents=True, exist_ok=True)
    with locked(locks, name=path.stem):
        if (stored := _read(path)) is not None:  # another process has computed it in between
            return stored
        arrays = dict(cell.compute())
        content: dict[str, Any] = {"settings": np.array(cell.record), **arrays}
        with atomic_write(path) as file:
            np.savez(file, **content)
    return arrays


def _read(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path) as stored:
            return {key: stored[key] for key in stored.files if key != "settings"}
    except (FileNotFoundError, EOFError, ValueError, zipfile.BadZipFile):
        return None
