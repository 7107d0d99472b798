"""Results that are computed once: every cell of a study is a file, and a study goes on where it was interrupted."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hacrl_lab.files import replacing

RESULTS_VERSION = 2
"""Part of every cell's settings; to be raised with every change of the code that changes results."""


def cell(
    folder: Path, name: str, settings: Mapping[str, Any], compute: Callable[[], Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The arrays of one cell: read if they were computed under the same settings, else computed and written whole.

    Cells of other settings stay beside it. A file that cannot be read is computed anew.

    Args:
        folder: of the study; cells are in ``folder/cells``.
        name: of the cell, the beginning of a file name.
        settings: everything that the arrays depend on, as JSON.
        compute: what to do otherwise.
    """
    record = json.dumps({**settings, "results_version": RESULTS_VERSION}, sort_keys=True)
    digest = hashlib.sha256(record.encode()).hexdigest()[:12]
    path = folder / "cells" / f"{name}-{digest}.npz"
    if (stored := _read(path)) is not None:
        return stored
    arrays = dict(compute())
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"settings": np.array(record), **arrays}
    with replacing(path) as file:
        np.savez(file, **content)
    return arrays


def _read(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path) as stored:
            return {key: stored[key] for key in stored.files if key != "settings"}
    except (FileNotFoundError, EOFError, ValueError, zipfile.BadZipFile):
        return None
