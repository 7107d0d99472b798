"""kill -9 at every moment of a run: what continues afterwards ends with the bytes of an undisturbed run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("killing.py")


def killed_runs(folder: Path, *arguments: str) -> dict[str, object]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_killed_at_every_moment_of_saving_a_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    found = killed_runs(tmp_path, "moments")
    assert found["different"] == []
    assert int(str(found["kills"])) > 100  # before and after every change of the disk, three checkpoints
    assert found["steps"] == 3


@pytest.mark.slow
def test_killed_at_thirty_random_moments_a_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    found = killed_runs(tmp_path, "random", "30")
    assert found["different"] == []
    assert found["kills"] == 30
