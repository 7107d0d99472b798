"""Every page of the built site, in headless Chromium: no errors, no dead links, no sideways scrolling on a telephone.

``sphinx-build -c docs -b html -W . build/site``, then ``HACRL_LAB_SITE=build/site pytest -m site``.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

pytestmark = pytest.mark.site
LINKS = "[...document.querySelectorAll('a[href], link[href], img[src], script[src]')].map(e => e.href || e.src)"
ANCHORS = "[...document.querySelectorAll('[id], a[name]')].map(e => e.id || e.name)"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def visits(browser: Any, site: Path) -> dict[Path, dict]:
    """What the browser sees on every page, one visit each."""
    page = browser.new_page(viewport={"width": 390, "height": 844})  # a telephone
    troubles: list[str] = []
    page.on("console", lambda message: troubles.extend([message.text] if message.type == "error" else []))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("requestfailed", lambda request: troubles.append(request.url))
    seen = {}
    for path in sorted({*site.rglob("*.html")} - {site / "index.html"}):  # which leads on at once
        troubles.clear()
        page.goto(path.as_uri())
        seen[path] = {name: page.evaluate(script) for name, script in SCRIPTS.items()} | {"troubles": [*troubles]}
    return seen


SCRIPTS = {"links": LINKS, "anchors": ANCHORS, "overflow": OVERFLOW}


def test_the_site_has_its_pages(visits: dict[Path, dict], site: Path) -> None:
    names = {path.relative_to(site).as_posix() for path in visits}
    assert {"docs/index.html", "docs/learn.html", "docs/api/core.html", "README.html"} <= names
    assert 'url=docs/index.html"' in (site / "index.html").read_text(encoding="utf-8")


def test_no_page_has_an_error_or_a_request_that_fails(visits: dict[Path, dict]) -> None:
    assert {str(path): seen["troubles"] for path, seen in visits.items() if seen["troubles"]} == {}


def test_no_page_is_wider_than_a_telephone(visits: dict[Path, dict]) -> None:
    assert {str(path): seen["overflow"] for path, seen in visits.items() if seen["overflow"] > 0} == {}


def test_links_within_the_site_lead_somewhere(visits: dict[Path, dict]) -> None:
    dead = {(str(path), link) for path, seen in visits.items() for link in seen["links"] if is_dead(link, visits)}
    assert dead == set()


def is_dead(link: str, visits: dict[Path, dict]) -> bool:
    """Whether a link is to a file that is not there or to an anchor that its page does not have."""
    address, anchor = urldefrag(link)
    if urlsplit(address).scheme != "file":
        return False
    target = Path(unquote(urlsplit(address).path))
    if not target.is_file():
        return True
    return bool(anchor) and target in visits and unquote(anchor) not in visits[target]["anchors"]


def test_the_citation_names_the_version() -> None:
    root = Path(__file__).parents[2]
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (root / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version = {{{version}}}" in (root / "docs" / "cite.md").read_text(encoding="utf-8")


def test_the_list_of_walkthroughs_has_their_minutes() -> None:
    root = Path(__file__).parents[2]
    rows = re.findall(
        r"notebooks/(\d\d_\w+)\.ipynb\).*\| (\d+) \|", (root / "docs/learn.md").read_text(encoding="utf-8")
    )
    first_cells = {name: json.loads((root / f"notebooks/{name}.ipynb").read_bytes())["cells"][0] for name, _ in rows}
    said = {name: re.search(r"(\d+) minutes to read", "".join(cell["source"])) for name, cell in first_cells.items()}
    assert len(rows) == 12
    assert {name: match and match[1] for name, match in said.items()} == dict(rows)
