"""What the studies share on the command line."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import hacrl_studies
from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import LabError
from hacrl_runs.program import main
from hacrl_studies.ablations.study import Options as AblationsOptions
from hacrl_studies.command import main as run_study
from hacrl_studies.common.cli import check_methods, command
from hacrl_studies.heterogeneity.study import Options as HeterogeneityOptions

STUDIES = Path(str(hacrl_studies.__file__)).parent


@dataclass(frozen=True)
class Options:
    """Options."""

    seeds: int = 1


def test_the_printed_command_has_what_differs_from_the_defaults() -> None:
    assert command("heterogeneity", HeterogeneityOptions()) == "python experiments/run.py heterogeneity"
    training = TrainingConfig(prompts_per_step=8)
    frozen = HeterogeneityOptions(world="frozen_lake", training=training, output_dir="elsewhere", cache_dir="there")
    expected = "python experiments/run.py heterogeneity --prompts-per-step 8 --world frozen_lake"
    assert command("heterogeneity", frozen) == expected
    objective = replace(TrainingConfig().objective, alpha=0.5)
    some = AblationsOptions(training=TrainingConfig(objective=objective), exchange_pairs=(0, 2))
    assert command("ablations", some) == "python experiments/run.py ablations --alpha 0.5 --exchange-pairs 0 2"


def test_a_switch_is_printed_with_its_negation() -> None:
    @dataclass(frozen=True)
    class Switched(HeterogeneityOptions):
        language: bool = True
        fast: bool = False

    assert command("x", Switched(language=False, fast=True)) == "python experiments/run.py x --no-language --fast"


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ((), "at least 1 different ones, got none"),
        (("gspo", "gspo"), "different ones"),
        (("gspo", "nonsense"), "unknown method 'nonsense'"),
        (("gspo_x2",), "each of the 18 updates in a step of GSPO×2"),
    ],
)
def test_methods_are_checked_before_training(methods: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_methods(methods, TrainingConfig(minibatches=9))


def test_a_study_of_comparisons_needs_two_methods() -> None:
    with pytest.raises(ValueError, match="at least 2 different ones, got gspo"):
        HeterogeneityOptions(methods=("gspo",))


def test_what_a_run_returns_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Options, lambda options: f"{options.seeds} seeds", arguments=["--seeds", "3"]) == 0
    assert capsys.readouterr().out == "3 seeds\n"


@pytest.mark.parametrize("error", [LabError("no model"), ValueError("no number"), OSError("no folder")])
def test_errors_are_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(options: Options) -> str:
        raise error

    assert main(Options, fail, arguments=[]) == 1
    assert capsys.readouterr().err == f"error: {error}\n"


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(options: Options) -> str:
        raise KeyboardInterrupt

    assert main(Options, interrupted, arguments=[]) == 130
    assert "the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("main_does", "python_clears_up", "status"),
    [
        ("return 3", "pass", 3),
        ("signal.raise_signal(signal.SIGINT)", "pass", 130),
        ("return 0", "signal.raise_signal(signal.SIGINT)", -signal.SIGINT),
    ],
)
def test_ctrl_c_at_the_end_of_a_program_prints_no_traceback(main_does: str, python_clears_up: str, status: int) -> None:
    program = f"""
import atexit, signal
from hacrl_runs.program import leave

signal.signal(signal.SIGINT, signal.default_int_handler)  # some test runners ignore the signal

def main():
    {main_does}

@atexit.register
def clear_up():
    {python_clears_up}

leave(main)
"""
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (status, b"")


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_studies_are_listed_with_their_questions(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = {line.split()[0]: line for line in lines if line.endswith(" min)")}
    folders = {path.parent.name for path in STUDIES.glob("*/study.py")} - {"common"}  # which runs them
    assert set(listed) == folders
    assert "Which of HACPO's parts matter?" in listed["ablations"]


def test_an_unknown_study_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(["nonsense"]) == 2
    assert capsys.readouterr().err.startswith("error: unknown study 'nonsense'; choose one of ablations, ")


def test_a_folder_that_cannot_be_made_is_noticed_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    cells = tmp_path / "cells"
    arguments = ["--output-dir", str(tmp_path / "file" / "folder"), "--cache-dir", str(cells)]
    assert run_study(["ablations", *arguments]) == 1
    assert "file" in capsys.readouterr().err
    assert not cells.exists()
