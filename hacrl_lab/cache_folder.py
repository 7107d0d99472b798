"""The folder that all runs of a user share."""

from __future__ import annotations

import os
from pathlib import Path

from hacrl_lab.errors import LabError

VARIABLE = "HACRL_LAB_CACHE"


def cache_folder() -> Path:
    """The folder, made if it is not there yet: ``$HACRL_LAB_CACHE``, else ``~/.cache/hacrl-lab``.

    Raises:
        LabError: it cannot be made or written to; says which variable of the environment to set.
    """
    named = os.environ.get(VARIABLE)
    try:
        folder = Path(named) if named else Path.home() / ".cache" / "hacrl-lab"
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{str(folder)!r} may not be written to")
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody's home
        origin = f"{VARIABLE} is {named!r}" if named else f"HOME is {os.environ.get('HOME')!r}"
        raise LabError(f"{origin}, where no folder can be kept ({error}); set {VARIABLE} to one that can be") from error
    return folder
