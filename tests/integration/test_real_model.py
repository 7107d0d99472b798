"""A real pre-trained model in the loop: fine-tuned in two ways, then trained together on a real task.

Opt-in: needs the extra ``tasks`` and the folder of a model, for instance from ``python tools/smollm2.py FOLDER``, in
the environment variable HACRL_LAB_REAL_MODEL.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from test_llm_pair import call

from hacrl_lab.metrics import read_metrics
from hacrl_studies.real_pair.build import TEMPLATE, FineTuning, Pair, build

MODEL = os.environ.get("HACRL_LAB_REAL_MODEL")

pytestmark = [pytest.mark.real_model, pytest.mark.skipif(MODEL is None, reason="HACRL_LAB_REAL_MODEL is not set")]

SUMS = "chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1"


def test_two_states_of_a_real_model_train_together_on_a_real_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert MODEL is not None
    monkeypatch.setenv("HACRL_LAB_CACHE", str(tmp_path / "cache"))
    teaching = FineTuning((SUMS,), updates=6, examples=8, learning_rate=1e-4)
    pair = build(Pair(MODEL, {"first": teaching, "second": FineTuning((SUMS,), 6, 8, 1e-4, seed=1)}))
    run = tmp_path / "run"
    arguments = [
        *("--agents", *map(str, pair.values()), "--tasks", SUMS, "--answer-rule", "last_number"),
        *("--prompt-template", TEMPLATE, "--compare", "none", "--steps", "2", "--learning-rate", "1e-5"),
        *("--prompts-per-step", "8", "--group-size", "4", "--max-new-tokens", "8", "--device", "cpu"),
        *("--eval-prompts", "8", "--eval-samples", "2", "--output-dir", str(run)),
    ]
    assert call(monkeypatch, capsys, *arguments) == (0, "")
    curves = read_metrics(run / "hacpo")
    names = [folder.name for folder in pair.values()]
    assert all(max(curves[f"gradient_norm/{name}"]) > 0 for name in names)
    assert 0 < max(max(curves[f"accuracy/{name}"]) for name in names) <= 1
    ratios = [curves[f"importance_ratio/{one}/{other}"] for one in names for other in names if one != other]
    assert all(0.1 < value < 10 for curve in ratios for value in curve)
    evaluation = json.loads((run / "hacpo" / "evaluation.json").read_text())
    assert set(evaluation["accuracy"]) == set(names)
    assert evaluation["topics"] == [["chain_sum"]] * 8
