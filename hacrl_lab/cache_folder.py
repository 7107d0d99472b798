"""The folders that all runs of a user share: the lab's own, and that of models and data sets of the hub."""

from __future__ import annotations

import os
from pathlib import Path

from huggingface_hub import constants

from hacrl_lab.errors import LabError

VARIABLE = "HACRL_LAB_CACHE"
HUB_VARIABLES = ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME")
"""The first that is set says where the hub's client keeps what it has downloaded."""


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


def check_hub_cache() -> None:
    """Make sure that there is a folder for what comes from the hub; one that can only be read will do.

    Raises:
        LabError: there is none and it cannot be made; says which variable of the environment is wrong.
    """
    folder = Path(constants.HF_HUB_CACHE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        variable = next((name for name in HUB_VARIABLES if os.environ.get(name)), "HOME")
        raise LabError(
            f"{variable} is {os.environ.get(variable)!r}, where nothing of the hub can be kept ({error}); set it to a "
            "folder that can be made"
        ) from error
