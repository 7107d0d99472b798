"""What the front page promises: its example prints what it says, and its badges are true."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_smallest_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    (printed,) = re.findall(r"It prints .*: `tensor\(([\d.]+), dtype=torch\.float64\)`", PAGE)
    assert float(re.findall(r"[\d.]+", capsys.readouterr().out)[0]) == pytest.approx(float(printed), abs=1e-3)


def test_badges_are_true() -> None:
    licence, python, version = (
        re.findall(rf"\[!\[{name}: ([^\]]+)\]", PAGE)[0] for name in ("licence", "Python", "version")
    )
    assert licence == PROJECT["license"]
    assert python == PROJECT["requires-python"].replace(">=", "") + " or later"
    assert version == PROJECT["version"]


def test_every_link_leads_to_a_file_of_the_repository() -> None:
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGE) if not link.startswith("http")]
    assert len(links) > 30
    assert [link for link in links if not (ROOT / link).exists()] == []
