"""What the studies share on the command line."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hacrl_studies
from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import LabError, SettingError
from hacrl_runs.cache import Cell
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
    with pytest.raises(SettingError, match="at least 2 different ones, got gspo"):
        HeterogeneityOptions(methods=("gspo",))


def test_what_a_run_returns_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Options, lambda options: f"{options.seeds} seeds", arguments=["--seeds", "3"]) == 0
    assert capsys.readouterr().out == "3 seeds\n"


def failing(error: Exception) -> Callable[[Options], str]:
    def fail(options: Options) -> str:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (LabError("no model"), "no model"),
        (SettingError("seeds must be ≥ 2, got 1"), "seeds must be ≥ 2, got 1"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/a.npz"), "No space left on device: 'runs/a.npz'"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("the hub does not answer\nsee its page"), "the hub does not answer"),
    ],
)
def test_what_can_be_put_right_is_said_in_one_sentence(
    error: Exception, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(Options, failing(error), arguments=[]) == 1
    assert capsys.readouterr().err == f"error: {sentence}\n"


def zip_of_other_lengths() -> dict[str, np.ndarray]:
    return {"pairs": np.array(list(zip([1, 2], [3], strict=True)))}


def product_of_other_shapes() -> dict[str, np.ndarray]:
    return {"product": (torch.ones(2, 3) @ torch.ones(2, 3)).numpy()}


@pytest.mark.parametrize(
    ("compute", "kind"), [(zip_of_other_lengths, ValueError), (product_of_other_shapes, RuntimeError)]
)
def test_a_fault_of_a_study_keeps_its_traceback_which_names_the_place(
    compute: Callable[[], dict[str, np.ndarray]],
    kind: type[Exception],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cells = {"broken": Cell("broken", compute, {})}
    monkeypatch.setattr("hacrl_studies.bandit.study.cells", lambda options: cells)
    arguments = ["bandit", "--output-dir", str(tmp_path / "output"), "--cache-dir", str(tmp_path / "cells")]
    with pytest.raises(kind) as fault:
        run_study(arguments)
    assert compute.__name__ in [entry.name for entry in fault.traceback]
    assert "error:" not in capsys.readouterr().err


def test_an_error_of_the_user_in_a_cell_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_model() -> dict[str, np.ndarray]:
        raise LabError("no model in 'there'")

    cells = {"broken": Cell("broken", no_model, {})}
    monkeypatch.setattr("hacrl_studies.bandit.study.cells", lambda options: cells)
    arguments = ["bandit", "--output-dir", str(tmp_path / "output"), "--cache-dir", str(tmp_path / "cells")]
    assert run_study(arguments) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: no model in 'there'"


def test_ctrl_c_says_how_to_continue(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(options: Options) -> str:
        raise KeyboardInterrupt

    assert main(Options, interrupted, arguments=[]) == 130
    assert "the same command continues" in capsys.readouterr().err


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
from hacrl_runs.program import exit_with

signal.signal(signal.SIGINT, signal.default_int_handler)  # some test runners ignore the signal

def main():
    {main_does}

@atexit.register
def clear_up():
    {python_clears_up}

exit_with(main)
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
