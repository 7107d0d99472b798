"""What a run can be told beside models, problems and method: validation, observers, rewards, prompts of each agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_llm_pair import command

from hacrl_lab.metrics import read_evaluations, read_metrics
from hacrl_runs.cli.main import train
from hacrl_runs.folder import read_evaluation, settings_of_run
from hacrl_runs.validation import VALIDATIONS

ONE_METHOD = ("--compare", "none")


def test_early_stopping_ends_the_training_and_what_is_evaluated_are_the_agents_then(
    adders: list[str], sums: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = [*command(adders[:2], sums, tmp_path / "run"), *ONE_METHOD, "--learning-rate", "1e-12"]
    words += ["--validation-every", "1", "--validation-share", "0.3", "--early-stopping", "2", "--seed", "1"]
    assert train(words) == 0
    arm = tmp_path / "run" / "hacpo"
    lines = read_evaluations(arm, VALIDATIONS)
    assert [line["step"] for line in lines] == [1, 2, 3]  # nothing is learned: the second and third are not better
    assert set(lines[0]) == {"step", "validation_accuracy/qwen3", "validation_accuracy/llama"}
    assert read_metrics(arm)["step"] == [1, 2, 3]
    evaluation = read_evaluation(arm)
    assert (evaluation.steps, evaluation.stopped_early) == (3, True)
    summary = (tmp_path / "run" / "summary.md").read_text()
    assert "- **HACPO** stopped early, after step 3." in summary
    assert f"| HACPO | 3 | {lines[2]['validation_accuracy/qwen3']:.3f} |" in summary
    output = capsys.readouterr()
    assert "problems for validation, a share of 0.3" in output.out
    assert train(["--resume", str(tmp_path / "run")]) == 0
    assert read_metrics(arm)["step"] == [1, 2, 3]


def test_an_observer_of_ones_own_is_told_of_every_step(adders: list[str], sums: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import pathlib\n"
        "class Notes:\n"
        "    def begin(self, trainer, folder):\n        self.path = folder / 'notes.txt'\n"
        "    def step(self, trainer, metrics):\n"
        "        with self.path.open('a') as file:\n"
        "            file.write(f\"{trainer.steps_done} {metrics['accuracy/qwen3']:.4f}\\n\")\n"
        "    def end(self):\n        with self.path.open('a') as file:\n            file.write('end\\n')\n"
    )
    words = [*command(adders[:2], sums, tmp_path / "run"), *ONE_METHOD, "--steps", "2"]
    assert train([*words, "--observers", f"{tmp_path / 'own.py'}:Notes"]) == 0
    arm = tmp_path / "run" / "hacpo"
    accuracy = read_metrics(arm)["accuracy/qwen3"]
    expected = [f"{step} {value:.4f}" for step, value in enumerate(accuracy, start=1)]
    assert (arm / "notes.txt").read_text().splitlines() == [*expected, "end"]


def test_several_sets_of_problems_and_rewards_are_mixed(
    adders: list[str], sums: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text("".join(f'{{"question": "{a}+{a}", "answer": "{2 * a}"}}\n' for a in range(20, 40)))
    (tmp_path / "own.py").write_text("def short(completions, **columns):\n    return [1.0 for _ in completions]\n")
    words = command(adders[:2], sums, tmp_path / "run")
    words[words.index(sums)] = f"{sums}*3"
    words.insert(words.index(f"{sums}*3") + 1, str(more))
    words += [*ONE_METHOD, "--steps", "1", "--reward", "answer", f"{tmp_path / 'own.py'}:short*0.5"]
    assert train(words) == 0
    output = capsys.readouterr().out
    assert "sums.jsonl" in output
    assert "more.jsonl" in output
    record = json.loads((tmp_path / "run" / "hacpo" / "samples.jsonl").read_text())
    assert {response["reward"] for response in record["responses"].values()} <= {0.5, 1.5}  # the weighted sum
    accuracy = read_evaluation(tmp_path / "run" / "hacpo").accuracy["llama"]
    assert set(accuracy) <= {0.0, 0.5, 1.0}  # the first reward alone, two responses to each problem


def test_a_run_writes_down_the_device_that_it_used(adders: list[str], sums: str, tmp_path: Path) -> None:
    words = [*command(adders[:2], sums, tmp_path / "run"), *ONE_METHOD, "--steps", "1", "--device", "auto"]
    assert train(words) == 0
    assert settings_of_run(tmp_path / "run").devices.device != "auto"


def test_evaluations_sample_as_they_are_told_and_training_does_not(
    adders: list[str], sums: str, tmp_path: Path
) -> None:
    accuracy, metrics = {}, {}
    for top_k in ("0", "1"):
        folder = tmp_path / top_k
        assert train([*command(adders[:2], sums, folder), *ONE_METHOD, "--steps", "1", "--top-k", top_k]) == 0
        accuracy[top_k] = read_evaluation(folder / "hacpo").accuracy["llama"]
        metrics[top_k] = read_metrics(folder / "hacpo")
    assert set(accuracy["1"]) <= {0.0, 1.0}  # greedy: both responses to a problem are the same
    assert metrics["0"] == metrics["1"]
    assert "top-k 1" in (tmp_path / "1" / "summary.md").read_text()
