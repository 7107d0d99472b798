"""Libraries that only some runs need, imported when one does."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from hacrl_lab.errors import LabError


def extra(module: str, name: str) -> Any:
    """A module of an optional library.

    Args:
        module: to import.
        name: of the extra that installs it.

    Raises:
        LabError: it is not installed; says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # something that the library itself needs
        raise LabError(f"{module} is not installed: pip install 'hacrl-lab[{name}]'") from error


def installed_version(package: str) -> str | None:
    """The version of a package, by its name in package registries; None if it is not installed.

    >>> installed_version("no-such-package") is None
    True
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return None
