"""The table of notebooks/README.md: every equation has one home, which speaks of it, and a code name that exists."""

import importlib
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PAGE = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([^|]+) \| [^|]+ \| \[\d+\]\(([^)]+)\) \| `([\w.]+)` \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE)
SECTION_3 = [f"Eq. {number}" for number in range(6, 15)]
SECTION_4 = ["Theorem 4.1 (D.3)", "Corollary 4.2", "Theorem 4.3 (D.11)"]


def walkthroughs() -> list[Path]:
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def text_of(path: Path) -> str:
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)


def mentioned(name: str) -> re.Pattern[str]:
    """What a text says that speaks of a row: `Eq. 6, 7` speaks of Eq. 7, and `Theorem 4.1 / D.3` of Theorem 4.1."""
    if name.startswith("Eq. "):
        first = re.findall(r"\d+", name)[0]
        return re.compile(rf"Eq\. (?:\d+[,–] ?)*{first}\b")
    if name.startswith("v2, "):
        return re.compile(name.removeprefix("v2, ").split()[0])
    return re.compile(rf"\b{re.escape(name.split()[1])}\b")


def test_a_row_is_not_found_where_nothing_speaks_of_it() -> None:
    other = "Eq. 60 and Eq. 16, Theorem 4.10, 7 prompts"
    assert not any(
        mentioned(name).search(other) for name in ("Eq. 6", "Eq. 7", "Theorem 4.1 (D.3)", "v2, oracle baseline")
    )
    assert mentioned("Eq. 7").search("(Eq. 6, 7)")
    assert mentioned("Eq. 47–53").search("Eq. 47–53")


def test_every_equation_of_section_3_and_every_result_of_section_4_has_one_home() -> None:
    names = [name for name, _, _ in ROWS]
    assert len(set(names)) == len(names)
    assert {*SECTION_3, *SECTION_4} <= set(names)


@pytest.mark.parametrize(("name", "notebook", "code"), ROWS)
def test_the_home_speaks_of_it_and_the_code_exists(name: str, notebook: str, code: str) -> None:
    text = text_of(NOTEBOOKS / notebook)
    assert mentioned(name).search(text)
    module, _, function = code.rpartition(".")
    assert hasattr(importlib.import_module(module), function)
    assert function in text


@pytest.mark.parametrize("path", walkthroughs(), ids=lambda path: path.stem)
def test_a_walkthrough_says_first_what_it_asks_needs_and_takes(path: Path) -> None:
    first = nbformat.read(path, as_version=4).cells[0].source
    assert all(word in first for word in ("Question", "Before this", "After this you can", "Time"))
    assert f"]({path.name})" in PAGE
    assert (NOTEBOOKS / "solutions" / path.name).is_file()


@pytest.mark.parametrize("path", walkthroughs(), ids=lambda path: path.stem)
def test_cells_are_short_and_their_outputs_are_kept(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert max(len(cell.source.splitlines()) for cell in cells) <= 20
    assert all(cell.execution_count for cell in cells)
    assert any(cell.outputs for cell in cells)
    assert not any(folder in str(cells) for folder in (str(NOTEBOOKS.parent), str(Path.home()), "/tmp/"))
