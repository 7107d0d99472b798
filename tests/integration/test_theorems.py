"""The theorem experiment from the command line, small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "theorems.py"
SMALL = ("--problems", "3", "--seeds", "2", "--sweep-seeds", "2", "--steps", "1")
NUMBER = r"\d(?:\.\d+)?(?:e[+-]\d+)?"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_page_is_written_whole(tmp_path: Path) -> None:
    done = run(*SMALL, "--output-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "theory.md").read_text(encoding="utf-8")
    assert "$" not in page
    pictures = re.findall(r"\]\((theory/\w+\.png)\)", page)
    assert len(pictures) == 6
    assert all((tmp_path / picture).read_bytes()[:4] == b"\x89PNG" for picture in pictures)
    # every result holds to rounding where it is given what it needs
    rows = re.findall(rf"^\| \*\*[^|]*\|[^|]*\| ({NUMBER}) \(\d+\) \|", page, flags=re.MULTILINE)
    assert len(rows) == 12
    assert all(float(error) < 1e-11 for error in rows)
    # the counterexample, in three lines, on the screen and on the page
    lines = done.stdout.splitlines()[:3]
    assert "inner product -0.003104" in lines[2]  # 2·(12/343)·(−213/4802)
    assert all(line in page for line in lines)


def test_impossible_settings_are_refused() -> None:
    done = run("--problems", "1")
    assert done.returncode == 2
    assert "problems must be at least 2, got 1" in done.stderr
