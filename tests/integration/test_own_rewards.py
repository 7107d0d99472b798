"""Reward functions of the user's own that end or change their process: what a run makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_llm_pair import OPTIONS, call

OWN = """
import os
from pathlib import Path

import torch

HERE = Path(__file__).parent


def reward(completions, answer, **columns):
    if (HERE / "disturb").exists():
        os.chdir("/")
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(0)
        if list(HERE.glob("run/hacpo/checkpoints/*")):
            os.kill(os.getpid(), 9)
    return [len(text) / 64 + (right in text) for text, right in zip(completions, answer)]
"""
KINDS = ("metrics.jsonl", "samples.jsonl", "evaluation.json")


def test_a_run_whose_reward_function_dies_goes_on_to_the_bytes_of_one_in_the_same_process(
    adders: list[str],
    sums: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "disturb").touch()
    words = ["--agents", *adders[:2], "--problems", sums, "--reward", f"{tmp_path / 'own.py'}:reward", *OPTIONS]
    words += ["--compare", "none", "--steps", "2"]
    status, error = call(monkeypatch, capsys, *words, "--output-dir", str(tmp_path / "run"))
    assert status == 1
    assert error.splitlines()[-1].endswith("own.py:reward': its process was killed by signal 9")
    (tmp_path / "disturb").unlink()
    assert call(monkeypatch, capsys, "--resume", str(tmp_path / "run"))[0] == 0
    here = ["--output-dir", str(tmp_path / "here"), "--trust-reward-in-process"]
    assert call(monkeypatch, capsys, *words, *here)[0] == 0
    for kind in KINDS:
        assert (tmp_path / "run" / "hacpo" / kind).read_bytes() == (tmp_path / "here" / "hacpo" / kind).read_bytes()
