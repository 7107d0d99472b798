"""Pages that are made from code are up to date, and links between pages lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def test_the_page_of_methods_is_what_the_table_of_methods_gives() -> None:
    tool = ROOT / "tools" / "write_methods_page.py"
    expected = runpy.run_path(str(tool))["page"]()
    assert (ROOT / "docs" / "methods.md").read_text(encoding="utf-8") == expected, f"run python {tool}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_of_the_repository(page: Path) -> None:
    links = LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    assert [link for link in links if not (page.parent / link).exists()] == []
