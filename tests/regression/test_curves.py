"""Short runs give the numbers that they gave before.

``curves.json`` was written by the code before the update moved into the agents, and the code since then agrees with it
to 1e-9. A failure means that studies and notebooks would report other numbers. It may be recorded anew, with

    python tools/record_regressions.py

only by a change that is *meant* to change these numbers (another order of random draws, another rule of the
algorithm), in a commit of its own whose message says which numbers change and why. A faster or tidier way to compute
the same thing is no such change: find out what it does differently.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
from curves import RECORDED, RUNS, SEEDS, STEPS, curve

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", RUNS)
def test_a_run_gives_the_recorded_numbers(name: str) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[name]
    now = curve(name)
    assert now.keys() == recorded.keys()
    for key, values in now.items():
        assert torch.tensor(values).shape == (STEPS, len(SEEDS))
        ours, theirs = (torch.tensor(one, dtype=torch.float64) for one in (values, recorded[key]))
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}")


def test_every_run_is_recorded_and_no_other() -> None:
    assert json.loads(RECORDED.read_text(encoding="utf-8")).keys() == RUNS.keys()


def test_recording_writes_what_is_recorded(tmp_path: Path) -> None:
    """But for the last bits, which another processor rounds otherwise."""
    copy = tmp_path / "curves.json"
    runpy.run_path(str(ROOT / "tools" / "record_regressions.py"))["write"](copy, ["bandit gspo"])
    (name, values), *_ = json.loads(copy.read_text(encoding="utf-8")).items()
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[name]
    assert values.keys() == recorded.keys()
    assert torch.allclose(*(torch.tensor(one["objective/agent0"]) for one in (values, recorded)), rtol=0, atol=1e-9)
