"""A run in which one of two models diverges: the run ends with an error, and the other's work is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_llm_pair import call, command

from hacrl_lab.checkpoint import Checkpoints
from hacrl_runs.cli.main import train
from hacrl_runs.folder import read_evaluation


def test_one_of_two_models_diverges(
    adders: list[str],
    sums: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    folder = tmp_path / "run"
    arguments = [*command(adders[:2], sums, folder), "--rate-factors", "1", "1e7", "--compare", "gspo"]
    status, errors = call(monkeypatch, capsys, *arguments)
    assert status == 1
    assert errors.startswith("error: training diverged, see")
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    for method, label in (("gspo", "GSPO"), ("hacpo", "HACPO")):
        evaluation = read_evaluation(folder / method)
        steps = evaluation.steps
        assert f"agent 'llama' diverged in step {steps}: its updates made" in evaluation.diverged
        assert "'qwen3'" not in evaluation.diverged
        assert not evaluation.stopped_early
        assert f"- **{label}** ended in divergence: {evaluation.diverged}. Accuracies are" in summary
        assert len(evaluation.accuracy["qwen3"]) == len(evaluation.topics)
        assert (folder / method / "agents" / "qwen3" / "model.safetensors").exists()
        card = (folder / method / "agents" / "llama" / "README.md").read_text(encoding="utf-8")
        assert f"Training ended because {evaluation.diverged}." in card
        lines = (folder / method / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["step"] for line in lines] == list(range(1, steps + 1))
        assert Checkpoints(folder / method / "checkpoints").last_step() == steps - 1
    before = {path: path.read_bytes() for path in folder.rglob("*.json*")}
    assert train(["--resume", str(folder)]) == 1  # nothing is left to do, and it is said again
    assert {path: path.read_bytes() for path in folder.rglob("*.json*")} == before
