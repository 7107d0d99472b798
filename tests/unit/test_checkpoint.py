import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from hacrl_lab.checkpoint import Checkpoints
from hacrl_lab.errors import CheckpointError

# 16 MiB a checkpoint, so that most of the time is spent in writing
SAVE_FOREVER = """
import itertools, pathlib, sys, torch
from hacrl_lab.checkpoint import Checkpoints
checkpoints = Checkpoints(pathlib.Path(sys.argv[1]))
for step in itertools.count(1):
    checkpoints.save(step, {"step": step, "weights": torch.full((4 * 2**20,), float(step))})
"""


def steps(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_state_is_read_back(tmp_path: Path) -> None:
    state = {"step": 3, "names": ["a", "b"], "weights": torch.arange(6.0).reshape(2, 3), "nested": {"lr": 0.1}}
    Checkpoints(tmp_path / "deep" / "folder").save(3, state)
    loaded = Checkpoints(tmp_path / "deep" / "folder").load_latest()
    assert loaded is not None
    assert torch.equal(loaded.pop("weights"), state.pop("weights"))
    assert loaded == state


def test_there_is_nothing_to_load_at_first(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "missing").load_latest() is None
    assert Checkpoints(tmp_path).load_latest() is None


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_only_the_latest_are_kept(tmp_path: Path, keep: int) -> None:
    checkpoints = Checkpoints(tmp_path, keep=keep)
    for step in range(1, 6):
        checkpoints.save(step, {"step": step})
    assert steps(tmp_path) == [f"step-{step:06d}.pt" for step in range(6 - keep, 6)]


def test_two_are_kept_unless_told_otherwise(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        Checkpoints(tmp_path).save(step, {})
    assert steps(tmp_path) == ["step-000010.pt", "step-000015.pt"]


def test_latest_is_the_one_with_the_largest_number(tmp_path: Path) -> None:
    # as text, "step-1000000" comes before "step-999999"
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1_000_000, 999_998, 999_999):
        checkpoints.save(step, {"step": step})
    assert steps(tmp_path) == ["step-1000000.pt", "step-999999.pt"]
    assert checkpoints.load_latest() == {"step": 1_000_000}


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"try": 1})
    checkpoints.save(1, {"try": 2})
    assert checkpoints.load_latest() == {"try": 2}


def test_what_a_killed_write_left_is_not_loaded(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"step": 1})
    (tmp_path / "step-000002.unfinished").write_bytes(b"half a checkp")
    assert checkpoints.load_latest() == {"step": 1}
    checkpoints.save(2, {"step": 2})  # a later try gets through
    assert checkpoints.load_latest() == {"step": 2}
    assert steps(tmp_path) == ["step-000001.pt", "step-000002.pt"]


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    for name in ("step-best.pt", "step-000009.pt.bak", "notes.txt"):
        (tmp_path / name).write_text("mine")
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in (1, 2):
        checkpoints.save(step, {"step": step})
    assert checkpoints.load_latest() == {"step": 2}
    assert steps(tmp_path) == ["notes.txt", "step-000002.pt", "step-000009.pt.bak", "step-best.pt"]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_checkpoint_is_named_and_the_one_before_can_take_its_place(tmp_path: Path, share: float) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"step": step, "weights": torch.zeros(1000)})
    broken = tmp_path / "step-000002.pt"
    broken.write_bytes(broken.read_bytes()[: int(share * broken.stat().st_size)])
    with pytest.raises(CheckpointError, match=r"checkpoint '.*step-000002\.pt' cannot be read; delete it to go on"):
        checkpoints.load_latest()
    broken.unlink()
    loaded = checkpoints.load_latest()
    assert loaded is not None
    assert loaded["step"] == 1


def test_latest_complete_checkpoint_survives_a_kill_during_a_write(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(tmp_path)])
    try:
        wait_for_an_unfinished_write(tmp_path, process)
    finally:
        process.kill()  # SIGKILL: it cannot tidy up
        process.wait()
    assert list(tmp_path.glob("*.unfinished")), "the write was over before the kill"
    complete = max(int(path.stem.removeprefix("step-")) for path in tmp_path.glob("*.pt"))
    state = Checkpoints(tmp_path).load_latest()
    assert state is not None
    assert state["step"] == complete
    assert (state["weights"] == complete).all()


def wait_for_an_unfinished_write(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Stop the process in the middle of writing a checkpoint, when two or more are complete."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if len(list(folder.glob("*.pt"))) >= 2 and list(folder.glob("*.unfinished")):
            process.send_signal(signal.SIGSTOP)
            while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
                time.sleep(0.001)
            if list(folder.glob("*.unfinished")):
                return
            process.send_signal(signal.SIGCONT)  # that write was over before the process stopped
    raise AssertionError("no write under way was seen")


def test_leftovers_of_killed_writes_are_cleared_away(tmp_path: Path) -> None:
    leftover = tmp_path / "step-000001.unfinished"
    leftover.write_bytes(b"half a checkpoint")
    Checkpoints(tmp_path).save(2, {"step": 2})
    assert not leftover.exists()


def test_keeping_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep must be at least 1 checkpoint, got 0"):
        Checkpoints(tmp_path, keep=0)
