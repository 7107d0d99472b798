"""Code of the user's own, by import path: reward functions, observers."""

from __future__ import annotations

import importlib
import importlib.util
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from hacrl_lab.errors import LabError, SettingError, first_line


def load_own(path: str, kind: str) -> tuple[Callable[..., Any], str | None]:
    """A function or class of the user's own, and the file of its module. The module is imported, which runs it.

    Args:
        path: PACKAGE.MODULE:NAME or FILE.py:NAME.
        kind: what it is, for messages.

    Raises:
        SettingError: the path is not written so.
        LabError: there is no such function, or its module cannot be imported.
    """
    location, _, name = path.rpartition(":")
    if not location or not name:
        raise SettingError(f"{kind} {path!r} is not PACKAGE.MODULE:NAME or FILE.py:NAME")
    module = _module(location, f"{kind} {path!r}")
    own = getattr(module, name, None)
    if not callable(own):
        raise LabError(f"{kind} {path!r}: {location!r} has no function {name!r}")
    return own, getattr(module, "__file__", None)


def described(error: BaseException, file: str | None) -> str:
    """An error of such code in one sentence: its kind and first line, and where it came from.

    Args:
        error: was raised in that code, or in a library that it called.
        file: of the code, whose line is named; None, or not passed by the error: the line that raised it.
    """
    lines = traceback.extract_tb(error.__traceback__)
    *_, last = [line for line in lines if line.filename == file] or lines
    return f"{type(error).__name__} in {last.filename}, line {last.lineno}: {first_line(error)}"


def _module(location: str, subject: str) -> ModuleType:
    """A module by its name or from its file."""
    file = os.path.abspath(location) if location.endswith(".py") else None
    try:
        if file is None:
            return importlib.import_module(location)
        if not os.path.isfile(file):
            raise LabError(f"{subject}: file {location!r} does not exist")
        spec = importlib.util.spec_from_file_location(Path(file).stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except LabError:
        raise
    except (Exception, SystemExit) as error:  # importing a module runs it
        raise LabError(f"{subject}: importing {location!r} raised {described(error, file)}") from error
