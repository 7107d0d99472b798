"""The record of the GPU check: what was measured is on disk and on the screen before the next thing begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpu_measuring.options import Options
from gpu_measuring.record import Record


def test_every_row_is_printed_and_kept_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = Record(tmp_path, minutes=1)
    record.section("Sampling", ["model", "tokens a second"])
    record.row("digits", 12345.6)
    [section] = json.loads((tmp_path / "results.json").read_text())
    assert section["rows"] == [["digits", 12345.6]]
    record.row("groups", None)
    record.note("One has none.")
    page = (tmp_path / "README.md").read_text()
    assert "| digits | 12,346 |\n| groups |  |\n\nOne has none.\n" in page
    printed = capsys.readouterr().out
    assert "| digits | 12,346 |\n| groups |  |\nOne has none.\n" in printed


def test_a_record_is_late_when_its_minutes_are_over(tmp_path: Path) -> None:
    assert Record(tmp_path, minutes=0).is_late
    assert not Record(tmp_path, minutes=1).is_late


@pytest.mark.parametrize("values", [{"prompts": 3}, {"long_prompts": 0}, {"rounds": 0}])
def test_impossible_sizes_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Options(**values)  # type: ignore[arg-type]
