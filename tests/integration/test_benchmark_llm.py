"""The benchmark beside TRL: a round of it on models that the tests make themselves.

Needs the extra ``benchmark``; skipped where it is not installed.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from language_benchmark.clock import PARTS
from language_benchmark.options import TRL
from language_benchmark.report import COLUMNS

pytest.importorskip("trl")

pytestmark = pytest.mark.extras

SIDES = ("gspo", "hacpo", TRL)


@pytest.fixture(scope="module")
def folder(adders: list[str], sums: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    script = Path(__file__).parents[2] / "tools" / "benchmark_llm.py"
    words = ["--agents", *adders[:2], "--problems", sums, "--prompt-template", "{question}\n", "--rounds", "1"]
    words += ["--prompts", "4", "--group-size", "4", "--max-new-tokens", "12", "--output-dir", str(folder)]
    # in a process of its own: TRL's trainers share their state with whatever else has used accelerate
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def rows(folder: Path) -> dict[str, dict[str, str]]:
    """The one round, by side."""
    with (folder / "rounds.csv").open(encoding="utf-8") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames or ()) == COLUMNS
        rows = list(reader)
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert [(row["round"], row["side"]) for row in rows] == [("1", side) for side in SIDES]
    return {row["side"]: row for row in rows}


def test_every_part_takes_time_and_the_parts_make_up_the_step(rows: dict[str, dict[str, str]]) -> None:
    for row in rows.values():
        seconds = {part: float(row[part]) for part in PARTS}
        assert min(seconds.values()) > 0
        assert sum(seconds[part] / float(row["total"]) for part in PARTS) == pytest.approx(1, abs=1e-3)


def test_both_sides_do_the_same_work(rows: dict[str, dict[str, str]]) -> None:
    assert {row["optimiser_updates"] for row in rows.values()} == {"2"}
    lengths = [float(row["response_tokens"]) for row in rows.values()]
    assert min(lengths) > 1
    assert max(lengths) < 1.2 * min(lengths)


def test_both_sides_need_as_many_operations(rows: dict[str, dict[str, str]]) -> None:
    for part in ("generation_gflop", "scoring_gflop"):
        needed = [float(row[part]) for row in rows.values()]
        assert 0 < max(needed) < 1.2 * min(needed)
    assert float(rows["hacpo"]["updates_gflop"]) > float(rows["gspo"]["updates_gflop"])


def test_the_page_has_a_ratio_for_every_method(folder: Path) -> None:
    page = (folder / "README.md").read_text(encoding="utf-8")
    finding = page.split("\n")[2]
    assert "GSPO step" in finding
    assert "HACPO step" in finding
    assert page.count("\n| ") >= len(SIDES) + 2 * len(PARTS)
    assert page.count("its matrix products alone would take") == 2
