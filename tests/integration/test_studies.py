"""The studies from the command line, small: whole pages, the same numbers twice, and continuing where they were."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hacrl_studies
from hacrl_studies.command import main
from hacrl_studies.common.study import study_names

RUN = Path(__file__).parents[2] / "experiments" / "run.py"
SMALL = {
    "bandit": ("--seeds", "4", "--steps", "1"),
    "long_answers": ("--parts", "lengths", "widths", "--seeds", "2", "--steps", "1", "--workers", "2"),
    "heterogeneity": ("--methods", "gspo", "hacpo", "--seeds", "2", "--steps", "1"),
    "heterogeneity_bandit": ("--world", "bandit", "--methods", "gspo", "hacpo", "--seeds", "2", "--steps", "1"),
    "heterogeneity_frozen_lake": (
        *("--world", "frozen_lake", "--methods", "gspo", "hacpo", "--seeds", "2", "--steps", "1"),
        *("--prompts-per-step", "4", "--group-size", "2"),
    ),
    "sample_efficiency": ("--methods", "gspo", "gspo_x2", "hacpo", "--seeds", "2", "--steps", "1"),
    "ablations": ("--seeds", "2", "--steps", "1", "--prompts-per-step", "4", "--exchange-pairs", "0"),
    "paper_comparison": ("--worlds", "bandit"),
    "importance_ratios": ("--seeds", "2", "--steps", "1", "--no-language-pair"),
    "sharing_map": ("--methods", "hacpo", "--seeds", "2", "--steps", "1"),
    "paradigms": ("--pairs", "0", "--seeds", "2", "--steps", "1"),
    "environments": ("--environments", "FrozenLake", "--methods", "gspo", "hacpo", "--seeds", "2", "--group-size", "2"),
}
"""Name of the output -> options."""
TESTED_ELSEWHERE = {"theorems", "long_language_pair", "real_pair", "vllm_curves"}
COMPUTED_ONCE = {name for name in SMALL if name.startswith("heterogeneity")} | {"ablations", "sample_efficiency"}
"""Large, and trained by the functions of `paradigms`, which is computed twice."""
every_study = pytest.mark.parametrize("study", SMALL)


def name_of(study: str) -> str:
    return "heterogeneity" if study.startswith("heterogeneity") else study


def run(study: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUN), name_of(study), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_study_is_run() -> None:
    tested = set(map(name_of, SMALL))
    assert tested | TESTED_ELSEWHERE == set(study_names(hacrl_studies.__path__))


@pytest.mark.slow
@every_study
def test_a_study_is_written_whole_and_the_same_twice(study: str, tmp_path: Path) -> None:
    folder = tmp_path / "output"
    written = []
    second = "first" if study in COMPUTED_ONCE else "second"
    for i, cells in enumerate(("first", second, second)):  # the last time everything has been computed
        places = "--output-dir", str(folder), "--cache-dir", str(tmp_path / cells)
        if i == 0:
            done = run(study, *SMALL[study], *places)
            assert done.returncode == 0, done.stderr
        else:  # what is computed does not depend on the process either
            assert main([name_of(study), *SMALL[study], *places]) == 0
        page = (folder / "README.md").read_text(encoding="utf-8")
        assert "$" not in page
        for picture in (line.split("](")[1].rstrip(")") for line in page.splitlines() if line.startswith("![")):
            assert (folder / picture).read_bytes()[:4] == b"\x89PNG"
        tables = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
        lines = [line for line in page.splitlines() if line.startswith("|")]
        written.append((tables, lines, json.loads((folder / "score.json").read_text(encoding="utf-8"))))
    assert written[0] == written[1] == written[2]
    tables, lines, score = written[0]
    assert f"{study}.csv" in tables
    assert all(len(table.splitlines()) > 4 for table in tables.values())
    assert len(lines) > 2
    assert score


@every_study
def test_impossible_settings_are_refused(study: str, capsys: pytest.CaptureFixture) -> None:
    assert "workers must be ≥ 1" in refusal(capsys, name_of(study), "--workers", "0")


def test_a_folder_with_files_of_others_is_refused_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    thesis = tmp_path / "README.md"
    thesis.write_text("five years of work")
    arguments = ["bandit", *SMALL["bandit"], "--output-dir", str(tmp_path), "--cache-dir", str(tmp_path / "cells")]
    assert main(arguments) == 1
    assert "holds files that `experiments/run.py bandit` did not make, 'README.md' for" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [thesis]
    assert thesis.read_text() == "five years of work"


def refusal(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    """What a command line says that is refused with exit status 2, in one line."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("study", "arguments", "message"),
    [
        ("bandit", ("--seeds", "1"), "seeds must be ≥ 2"),
        ("heterogeneity", ("--methods", "gspo"), "at least 2 different ones"),
        ("heterogeneity", ("--minibatches", "16"), "each of the 32 updates in a step of GSPO×2"),
        ("ablations", ("--prompts-per-step", "3"), "each of the 4 updates in a step of"),
        ("ablations", ("--pair", "6"), "pair must be different ones of 0 ... 5, got (6,)"),
        ("paper_comparison", ("--worlds",), "worlds must be at least one and different, got none"),
        ("environments", ("--methods", "gspo", "nonsense"), "unknown method 'nonsense'"),
        ("bandit", ("--steps", "-2"), "steps must be ≥ 1"),
        ("long_answers", ("--parts", "law"), "parts must be lengths and any of law,"),
        ("long_answers", ("--parts", "lengths", "paper"), "parts must hold ablations, schedules beside paper"),
        ("heterogeneity", ("--publish",), "output_dir must be left out"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(
    study: str, arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    places = "--output-dir", str(tmp_path / "output"), "--cache-dir", str(tmp_path / "cells")
    assert message in refusal(capsys, study, *arguments, *places)
    assert not list(tmp_path.iterdir())
