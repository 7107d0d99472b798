"""Results that are computed once: every cell of a study is a file, and a study goes on where it was interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hacrl_lab.files import replacing


def cell(
    folder: Path, name: str, settings: Mapping[str, Any], compute: Callable[[], Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The arrays of one cell: read if they were computed under the same settings, else computed and written whole.

    Args:
        folder: of the study; cells are in ``folder/cells``.
        name: of the cell, a file name.
        settings: everything that the arrays depend on, as JSON.
        compute: what to do otherwise.
    """
    path = folder / "cells" / f"{name}.npz"
    wanted = json.dumps(settings, sort_keys=True)
    if path.exists():
        with np.load(path) as stored:
            if str(stored["settings"]) == wanted:
                return {key: stored[key] for key in stored.files if key != "settings"}
    arrays = dict(compute())
    record: dict[str, Any] = {"settings": np.array(wanted), **arrays}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        np.savez(file, **record)
    return arrays
