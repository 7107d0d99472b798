"""The theorem study, small: its page, its tables and its figures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hacrl_studies import command
from hacrl_studies.theorems.analysis import counterexample
from hacrl_studies.theorems.study import FINDINGS, Options

SMALL = ("--problems", "3", "--seeds", "2", "--steps", "1")
NUMBER = r"\d(?:\.\d+)?(?:e[+-]\d+)?"


@pytest.mark.slow
def test_the_page_is_written_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ("--output-dir", str(tmp_path / "theorems"), "--cache-dir", str(tmp_path / "cells"))
    assert command.main(["theorems", *SMALL, *folders]) == 0
    page = (tmp_path / "theorems" / "README.md").read_text(encoding="utf-8")
    assert "$" not in page
    pictures = re.findall(r"^!\[.*\]\((\w+\.png)\)$", page, flags=re.MULTILINE)
    assert len(pictures) == 6
    assert all((tmp_path / "theorems" / picture).read_bytes()[:4] == b"\x89PNG" for picture in pictures)
    assert "Calibrated** gains" not in page  # was written for other settings
    # every result holds to rounding where it is given what it needs
    rows = re.findall(rf"^\| \*\*[^|]*\|[^|]*\| ({NUMBER}) \(\d+\) \|", page, flags=re.MULTILINE)
    assert len(rows) == len(FINDINGS) == 12
    assert all(float(error) < 1e-11 for error in rows)
    score = json.loads((tmp_path / "theorems" / "score.json").read_text(encoding="utf-8"))
    assert max(score[f"error/{name}"] for name in FINDINGS) < 1e-11
    # the counterexample, in three lines, on the screen and on the page
    lines = capsys.readouterr().out.splitlines()[:3]
    assert [line.strip() for line in lines] == counterexample().splitlines()
    assert all(line in page for line in lines)


def test_the_counterexample_is_the_one_that_was_worked_out() -> None:
    assert f"inner product {2 * 12 / 343 * -213 / 4802:.6f}" in counterexample()  # two log-odds, one each way


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="problems must be ≥ 2, got 1"):
        Options(problems=1)
