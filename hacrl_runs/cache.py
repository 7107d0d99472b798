"""Results that are computed once: every cell of a study is a file, and a study goes on where it was interrupted."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hacrl_lab.files import atomic_write

RESULTS_VERSION = 2
"""Part of every cell's settings; to be raised with every change of the code that changes results."""


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
        """The file in a folder; cells of other settings have other names."""
        return folder / f"{self.name.replace(' ', '_')}-{hashlib.sha256(self.record.encode()).hexdigest()[:12]}.npz"

    @property
    def record(self) -> str:
        """The settings and the version of the results, as they are stored with them."""
        return json.dumps({**(self.settings or {}), "results_version": RESULTS_VERSION}, sort_keys=True)


def computed(cell: Cell, folder: Path) -> Mapping[str, Any]:
    """The arrays of a cell: read if they were computed under the same settings, else computed and written whole.

    A file that cannot be read is computed anew.

    Args:
        cell: what to compute.
        folder: of all cells.
    """
    if cell.settings is None:
        return cell.compute()
    path = cell.path(folder)
    if (stored := _read(path)) is not None:
        return stored
    arrays = dict(cell.compute())
    path.parent.mkdir(parents=True, exist_ok=True)
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
