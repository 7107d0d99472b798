"""The studies from the command line, small: whole pages, the same numbers twice, and going on where they were."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
SMALL = {
    "heterogeneity_bandit": ("--world", "bandit", "--methods", "gspo", "hacpo", "--seeds", "2", "--steps", "1"),
    "heterogeneity": ("--methods", "gspo", "hacpo", "--seeds", "2", "--steps", "1"),
    "sample_efficiency": ("--methods", "gspo", "gspo_x2", "hacpo", "--seeds", "2", "--steps", "1"),
    "ablations": ("--seeds", "2", "--steps", "1", "--prompts-per-step", "4", "--exchange-pairs", "0"),
    "importance_ratios": ("--seeds", "2", "--steps", "1", "--no-language-pair"),
    "sharing_map": ("--methods", "hacpo", "--seeds", "2", "--steps", "1"),
    "paradigms": ("--pairs", "0", "--seeds", "2", "--steps", "1"),
    "environments": ("--environments", "FrozenLake", "--methods", "gspo", "hacpo", "--seeds", "2", "--group-size", "2"),
}
every_study = pytest.mark.parametrize("study", SMALL)


def run(study: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = "heterogeneity" if study.startswith("heterogeneity") else study
    command = [sys.executable, str(EXPERIMENTS / f"{script}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def folders(path: Path, work: str) -> tuple[str, ...]:
    return "--output-dir", str(path / "docs"), "--work-dir", str(path / work)


@pytest.mark.slow
@every_study
def test_a_study_is_written_whole_and_the_same_twice(study: str, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    pages = []
    for work in ("first", "second", "second"):  # twice from nothing, and once with everything computed
        done = run(study, *SMALL[study], *folders(tmp_path, work))
        assert done.returncode == 0, done.stderr
        table = (docs / study / f"{study}.csv").read_bytes()
        page = (docs / f"{study}.md").read_text(encoding="utf-8")
        pages.append((table, [line for line in page.splitlines() if line.startswith("|")]))
        assert "$" not in page
        for picture in (line.split("](")[1].rstrip(")") for line in page.splitlines() if line.startswith("![")):
            assert (docs / picture).read_bytes()[:4] == b"\x89PNG"
    assert pages[0] == pages[1] == pages[2]
    assert len(pages[0][0].splitlines()) > 4


@every_study
def test_impossible_settings_are_refused(study: str) -> None:
    done = run(study, "--seeds", "1")
    assert done.returncode == 2
    assert "seeds must be ≥ 2" in done.stderr


@pytest.mark.parametrize(
    ("study", "arguments", "message"),
    [
        ("heterogeneity", ("--methods", "gspo"), "at least 2 different ones"),
        ("heterogeneity", ("--minibatches", "16"), "got 32 > 16 in a step of GSPO×2"),
        ("ablations", ("--prompts-per-step", "3"), "got 4 > 3"),
        ("environments", ("--methods", "gspo", "nonsense"), "unknown method 'nonsense'"),
        ("bandit", ("--steps", "-2"), "steps must be ≥ 1"),
        ("bandit", ("--seeds", "0"), "seeds must be ≥ 2"),
        ("llm_pair", ("--seed", "-1"), "seed must be ≥ 0"),
        ("llm_pair", ("--steps", "0"), "steps must be ≥ 1"),
        ("benchmark_core", ("--agents", "0"), "agents must be ≥ 1"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(
    study: str, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    folder = () if study in ("llm_pair", "benchmark_core") else ("--output-dir", str(tmp_path))
    done = run(study, *arguments, *folder)
    assert done.returncode in (1, 2)
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*/cells"))
