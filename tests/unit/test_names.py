"""Names say what a thing is and can be searched for: some words say nothing, and stand in every second sentence."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("envs", "experiments", "hacrl_lab", "hacrl_runs", "notebooks", "tools")
"""Whose names are checked."""
WORDS = frozenset({"one", "found", "place", "places", "chosen", "whole", "leave", "troubles", "piece", "pieces"})
"""No name is one of these words alone."""
PHRASES = ("on_the_way",)
"""No name holds one of these."""


def definitions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every function, class, method, parameter and field."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        if isinstance(node, ast.ClassDef):
            yield from (
                (line.lineno, line.target.id)
                for line in node.body
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
            )
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg


def says_nothing(name: str) -> bool:
    bare = name.strip("_").lower()
    return bare in WORDS or any(phrase in bare for phrase in PHRASES)


def violations(path: Path, source: str) -> list[str]:
    """``file:line: name`` for everything that is called by one of the words."""
    module = [f"{path}: {path.stem}"] * says_nothing(path.stem)
    return module + [f"{path}:{line}: {name}" for line, name in definitions(ast.parse(source)) if says_nothing(name)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_can_be_searched_for(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert [line for path in files for line in violations(path.relative_to(ROOT), path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def one(): ...", "one"),
        ("def f(*, found=1): ...", "found"),
        ("class Place: ...", "Place"),
        ("class A:\n    chosen: int = 0", "chosen"),
        ("class A:\n    def _whole(self): ...", "_whole"),
        ("f = lambda piece: piece", "piece"),
        ("async def share_on_the_way(): ...", "share_on_the_way"),
    ],
)
def test_a_word_that_says_nothing_is_noticed(source: str, name: str) -> None:
    (violation,) = violations(Path("some.py"), source)
    assert violation.endswith(f": {name}")


def test_a_file_is_not_called_so_and_longer_names_are_free() -> None:
    assert violations(Path("envs/place.py"), "") == ["envs/place.py: place"]
    assert violations(Path("some.py"), "def one_hot(foundation): ...\nplacement: int = 0\nfor one in []: ...") == []
