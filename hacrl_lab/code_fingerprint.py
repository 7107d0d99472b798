"""The content of a user's own code: of a file, and of everything of the user's that it imports."""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

INSTALLED = ("site-packages", "dist-packages")
"""Folders of installed packages, which have versions."""
LAB = ("hacrl_lab", "hacrl_envs", "hacrl_runs")


def code_fingerprint(file: str | None) -> str:
    """Changes with a file and with all of the user's files that it imports, directly or through others.

    Import statements are followed, also those in functions; neither the standard library nor installed packages.

    Nothing is imported, so that nothing of it is executed.

    Args:
        file: of a module; None for one without a file.
    """
    contents = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in code_files(file))
    return hashlib.sha256("".join(contents).encode()).hexdigest()


def code_files(file: str | None) -> set[Path]:
    """The files of which :func:`code_fingerprint` is.

    Args:
        file: see there.
    """
    found: set[Path] = set()
    left = [] if file is None else [Path(file).resolve()]
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left += [imported.resolve() for imported in _imported(path) if _is_the_users(imported)]
    return found


def _imported(path: Path) -> Iterator[Path]:
    """Files of the modules that a file's import statements name."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # an extension, or what could not be imported either
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [module, *(f"{module}.{alias.name}".lstrip(".") for alias in node.names)]
            if node.level:
                folder = path.parents[node.level - 1]
                yield from (place for name in names for place in _beside(folder, name))
                continue
        else:
            continue
        for name in names:
            yield from _file_of(name, path.parent)


def _file_of(name: str, folder: Path) -> Iterator[Path]:
    """The file of a module, and those of the packages that it is in: of what was imported, else of what would be."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        module = ".".join(parts[:count])
        loaded = sys.modules.get(module)
        origin = getattr(loaded, "__file__", None) if loaded is not None else file_of_module(module)[1]
        yield from [Path(origin)] if origin else _beside(folder, module)


def file_of_module(module: str) -> tuple[bool, str | None]:
    """Whether there is a module, and its file if it has one; neither it nor a package that it is in is imported.

    Args:
        module: its whole name.
    """
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        locations = None if spec is None else spec.submodule_search_locations
        if count > 1 and locations is None:
            return False, None
        spec = _spec(".".join(parts[:count]), locations)
        if spec is None:
            return False, None
    return True, spec.origin if spec is not None and spec.has_location else None


def _spec(module: str, locations: list[str] | None) -> ModuleSpec | None:
    try:
        found = (finder.find_spec(module, locations) for finder in sys.meta_path)
        return next((spec for spec in found if spec is not None), None)
    except (ImportError, ValueError, AttributeError):
        return None


def _beside(folder: Path, name: str) -> list[Path]:
    stem = folder.joinpath(*name.split(".")) if name else folder
    return [path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()]


def _is_the_users(path: Path) -> bool:
    in_library = any(path.resolve().is_relative_to(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib"))
    return path.suffix == ".py" and not in_library and not {*INSTALLED, *LAB} & set(path.resolve().parts)
