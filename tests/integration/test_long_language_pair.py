"""The study of long answers from its command line, small: whole pages, the same numbers twice, and continuing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_studies import refusal

from hacrl_studies.common.tuning import multiple
from hacrl_studies.long_language_pair.study import Options, run_of

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, str(ROOT / "experiments" / "run.py"), "long_language_pair"]
SMALL = [
    *("--seeds", "2", "--steps", "2", "--prompts-per-step", "4", "--group-size", "4", "--max-new-tokens", "12"),
    *("--arms", "gspo", "hacpo/mixed_2u", "--tuning-share", "0.5"),
    *("--eval-prompts", "6", "--eval-samples", "2", "--prompt-template", "{question}\n"),
    *("--gradient-steps", "2"),
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, check=False)


def tables(folder: Path) -> dict[str, str]:
    """CSV files, and the page without its times."""
    page = (folder / "README.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if "minutes" not in line]
    return {path.name: path.read_text() for path in folder.glob("*.csv")} | {"page": "\n".join(lines)}


@pytest.mark.slow
def test_the_study_is_written_whole_and_the_same_after_an_interruption(
    adders: list[str], sums: str, tmp_path: Path
) -> None:
    options = [*SMALL, "--agents", *adders[:2], "--problems", sums, "--output-dir", str(tmp_path / "output")]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = run(*options, "--cache-dir", str(whole))
    assert done.returncode == 0, done.stderr
    expected = tables(tmp_path / "output")
    assert not re.search(r"\$\w", expected["page"])  # all filled in; $' quotes the prompt template
    assert r"--prompt-template $'{question}\n'" in expected["page"]
    assert (tmp_path / "output" / "gains.png").read_bytes()[:4] == b"\x89PNG"
    assert len(expected["long_language_pair.csv"].splitlines()) == 1 + 2 + 2 * 2 * 2  # before; arms × seeds × agents
    cells = sorted(whole.glob("*.npz"))
    assert len(cells) >= 2 + 2 * 3 + 2 * 2  # before; gradients; arms × rates, one seed; arms × seeds
    broken.mkdir()
    for cell in cells[::2]:
        cell.rename(broken / cell.name)
    assert run(*options, "--cache-dir", str(broken)).returncode == 0
    assert tables(tmp_path / "output") == expected


def test_the_recorded_runs_are_those_of_the_published_options() -> None:
    folder = ROOT / "results" / "long_language_pair" / "cells"
    options = Options(cache_dir=str(folder))
    seeds = (*range(options.seeds), *options.sweep.seeds(options.seeds))
    rates = [multiple(power) for power in range(-3, 4)]
    runs = [(options.pair(arm, seed, rate), options.steps) for arm in options.arms for seed in seeds for rate in rates]
    known = {run_of(options, *run).path(folder) for run in [*runs, (options.pair("gspo", 0, 1.0), 0)]}
    recorded = set(folder.glob("long_pair-*-*-*.npz"))
    assert recorded
    assert recorded <= known


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "1"), "seeds must be ≥ 2"),
        (("--arms", "hacpo", "naive"), "gspo among them"),
        (("--arms", "gspo", "hacpo/backwards"), "schedule must be one of"),
        (("--arms", "gspo", "nonsense"), "unknown method 'nonsense'"),
        (("--tuning-share", "0"), "tuning_share must be > 0"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    places = "--output-dir", str(tmp_path / "output"), "--cache-dir", str(tmp_path / "cells")
    assert message in refusal(capsys, "long_language_pair", *arguments, *places)
    assert not list(tmp_path.iterdir())
