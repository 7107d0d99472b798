"""The list of mutations fits the code: ``tools/mutations.py`` tries them out."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("mutations")


def test_every_mutation_has_a_name_of_its_own_and_a_place_in_the_code(tool: Any) -> None:
    mutations = tool.read_mutations(tool.TABLE.read_text(encoding="utf-8"))
    assert len({mutation.name for mutation in mutations}) == len(mutations) > 100
    tool.check(mutations)
    assert all(mutation.old != mutation.new for mutation in mutations)


def test_the_tests_that_notice_them_are_there(tool: Any) -> None:
    for mutation in tool.read_mutations(tool.TABLE.read_text(encoding="utf-8")):
        file, _, test = str(tool.place_of(mutation.noticed_by)).partition("::")
        start = f"\ndef {test.partition('[')[0]}(" if test else "{"  # a walkthrough is one test
        assert start in Path(file).read_text(encoding="utf-8"), mutation.name


def test_a_mutation_without_a_place_is_named(tool: Any, tmp_path: Path) -> None:
    changes = ["    - x = 1", "    -     y", "    + x = 2", "    +     y"]
    text = "\n".join(["file some.py", "", "one too large", "    unit/test_some.py::test_it", *changes, ""])
    (mutation,) = tool.read_mutations(text)
    expected = ("one too large", "some.py", "unit/test_some.py::test_it", "x = 1\n    y", "x = 2\n    y")
    assert (mutation.name, mutation.file, mutation.noticed_by, mutation.old, mutation.new) == expected
    (tmp_path / "some.py").write_text("    x = 1\n    y\n")
    tool.mutate(tmp_path, mutation)
    assert (tmp_path / "some.py").read_text() == "    x = 2\n    y\n"
    with pytest.raises(RuntimeError, match=r"one too large: 'x = 1\\n    y' stands 0 times in some\.py"):
        tool.mutate(tmp_path, mutation)
