"""The content of a user's own code: of a file, and of everything of the user's that it imports."""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

INSTALLED = ("site-packages", "dist-packages")
"""Folders of installed packages, which have versions."""
LAB = ("hacrl_lab", "hacrl_envs", "hacrl_runs")


def code_fingerprint(file: str | None) -> str:
    """Changes with a file and with all of the user's files that it imports, directly or through others.

    Import statements are followed, also those in functions; neither the standard library nor installed packages.

    Args:
        file: of a module; None for one without a file.
    """
    contents = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in _files(file))
    return hashlib.sha256("".join(contents).encode()).hexdigest()


def _files(file: str | None) -> set[Path]:
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
        origin = getattr(loaded, "__file__", None) if loaded is not None else _origin(module)
        yield from [Path(origin)] if origin else _beside(folder, module)


def _origin(module: str) -> str | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return spec.origin if spec is not None and spec.has_location else None


def _beside(folder: Path, name: str) -> list[Path]:
    stem = folder.joinpath(*name.split(".")) if name else folder
    return [path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()]


def _is_the_users(path: Path) -> bool:
    in_library = any(path.resolve().is_relative_to(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib"))
    return path.suffix == ".py" and not in_library and not {*INSTALLED, *LAB} & set(path.resolve().parts)
