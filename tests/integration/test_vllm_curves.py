"""The study that sets vLLM beside transformers, on small models with the real vLLM."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("vllm")

pytestmark = pytest.mark.extras

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, str(ROOT / "experiments" / "run.py"), "vllm_curves"]


def test_either_sampler_trains_from_the_same_start_and_problems(adders: list[str], sums: str, tmp_path: Path) -> None:
    small = ("--seeds", "2", "--steps", "2", "--prompts-per-step", "4", "--group-size", "4", "--eval-prompts", "8")
    models = ("--agents", *adders[:2], "--problems", sums, "--prompt-template", "{question}\n")
    places = ("--output-dir", str(tmp_path / "output"), "--cache-dir", str(tmp_path / "cells"))
    command = [*RUN, *small, *models, "--max-new-tokens", "12", *places]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    score = json.loads((tmp_path / "output" / "score.json").read_text())
    assert 0 < score["mismatch/vllm"] < 1e-3
    assert 0 < score["mismatch/transformers"] < 1e-3
    page = (tmp_path / "output" / "README.md").read_text(encoding="utf-8")
    assert "| vllm − transformers | " in page
    assert not re.search(r"\$\w", page)  # all filled in; $' quotes the prompt template
    lines = (tmp_path / "output" / "vllm_curves.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2 * 2 * 2  # samplers, seeds, steps, agents
