"""The ends of programs: one sentence for what a person can put right, a traceback for everything else."""

from __future__ import annotations

import errno
import signal
import sys
import threading

import pytest
import torch

from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.interrupt import Interrupted, Terminated
from hacrl_runs.program import as_typed, with_clear_errors

NAMES = ("steps", "max_new_tokens", "problems", "tasks")


def raising(error: BaseException):
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (LabError("the file is damaged"), "the file is damaged"),
        (LabError("lower max_new_tokens"), "lower --max-new-tokens"),
        (LabError("after 3 steps of problems"), "after 3 steps of problems"),
        (LabError("steps must be ≥ 3"), "--steps must be ≥ 3"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), "No space left on device: 'runs/a'"),
        (PermissionError(errno.EACCES, "Permission denied", "runs"), "Permission denied: 'runs'"),
        (MemoryError(), "not enough memory: MemoryError; hacrl-lab plan tells the memory that a run needs"),
        (
            torch.OutOfMemoryError("CUDA out of memory"),
            "not enough memory: CUDA out of memory; hacrl-lab",
        ),
    ],
)
def test_what_a_person_can_put_right_is_one_sentence(
    error: Exception, sentence: str, capsys: pytest.CaptureFixture
) -> None:
    assert with_clear_errors(raising(error), NAMES) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {sentence}")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        ValueError("zip() argument 2 is shorter than argument 1"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("could not write the answer down"),
        TypeError("unexpected"),
        KeyError("name"),
    ],
)
def test_a_fault_of_the_program_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        with_clear_errors(raising(error), NAMES)
    assert raised.value is error
    assert raised.traceback[-1].name == "run"


def test_the_allocator_of_the_cpu_tells_that_memory_is_short(capsys: pytest.CaptureFixture) -> None:
    def run() -> None:
        torch.empty(2**60)

    assert with_clear_errors(run) == 1
    assert "not enough memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Interrupted("HACPO training stopped after step 3 of 20"), 130),
        (KeyboardInterrupt(), 130),
        (Interrupted("HACPO training stopped after step 3 of 20", signal.SIGTERM), 143),
        (Terminated(), 143),
    ],
)
def test_ctrl_c_ends_with_130_and_sigterm_with_143(
    error: BaseException, status: int, capsys: pytest.CaptureFixture
) -> None:
    assert with_clear_errors(raising(error), kept="It is kept.") == status
    assert "topped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "run/events"), ["warning: No such file", "1"]),
        (KeyError("name"), ["Exception in thread", "Traceback", "KeyError"]),
    ],
)
def test_what_the_system_refuses_a_thread_is_one_sentence(
    error: Exception, said: list[str], capsys: pytest.CaptureFixture
) -> None:
    def run() -> None:
        thread = threading.Thread(target=raising(error))
        thread.start()
        thread.join()
        print(1, file=sys.stderr)

    assert with_clear_errors(run) == 0
    told = capsys.readouterr().err
    assert all(words in told for words in said)
    assert ("Traceback" in told) == ("Traceback" in said)


def test_names_are_spelled_only_while_a_program_runs(capsys: pytest.CaptureFixture) -> None:
    def run() -> None:
        raise SettingError("tasks and problems exclude each other")

    assert with_clear_errors(run, NAMES) == 1
    assert capsys.readouterr().err == "error: --tasks and --problems exclude each other\n"
    assert str(SettingError("steps must be ≥ 1")) == "steps must be ≥ 1"


def test_what_stands_in_quotes_is_left_as_it_is() -> None:
    assert as_typed("problems must not be 'problems'", NAMES, everywhere=True) == "--problems must not be 'problems'"
    assert as_typed("already --max-new-tokens", NAMES) == "already --max-new-tokens"
    assert as_typed("generation.max_new_tokens", NAMES) == "generation.max_new_tokens"  # as a file of settings has it
