"""The evaluation from its command line, on models and problems that the tests make themselves."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

import hacrl_runs.evaluation.evaluate
from hacrl_envs.held_out import is_held_out
from hacrl_lab.errors import SettingError
from hacrl_lab.language_models.loading import load_agent
from hacrl_lab.verification.answer_rules import boxed_answer
from hacrl_lab.worlds import TextPrompts
from hacrl_runs.cli.main import evaluate, train
from hacrl_runs.evaluation.models import asked_differently, models_of, settings_for
from hacrl_runs.evaluation.settings import EvaluatedSettings, EvaluateSettings
from hacrl_runs.settings import PromptSettings, changed

ARGUMENTS = ["--prompt-template", "{question}\n", "--max-new-tokens", "12", "--samples", "4", "--batch", "4"]


def call(*arguments: str) -> int:
    return evaluate([*arguments, *ARGUMENTS])


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def problems(sums: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten sums, and one whose prompt is too long for any answer."""
    path = tmp_path_factory.mktemp("problems") / "ten.jsonl"
    long = json.dumps({"question": "1+" * 60 + "1", "answer": "61"})
    path.write_text("".join(Path(sums).read_text().splitlines(keepends=True)[:10]) + long + "\n")
    return path


@pytest.fixture(scope="module")
def folder(adders: list[str], problems: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an evaluation of two models leaves."""
    folder = tmp_path_factory.mktemp("evaluation")
    places = ["--output-dir", str(folder / "out"), "--cache-dir", str(folder / "cells")]
    assert call("--models", *adders[:2], "--problems", str(problems), *places) == 0
    return folder


def test_records_hold_every_response_with_its_verdict(folder: Path, adders: list[str], problems: Path) -> None:
    paths = sorted((folder / "out" / "records").iterdir())
    assert [path.name.partition("--")[0] for path in paths] == ["llama", "qwen3"]
    settings = EvaluateSettings(EvaluatedSettings(models=("m",), problems=("p",)))
    settings = changed(settings, {"prompt_template": ("{question}\n",), "max_new_tokens": 12, "device": "cpu"})
    for path, source in zip(paths, (adders[1], adders[0]), strict=True):
        records = read(path)
        assert [(one["question"], one["answer"]) for one in records] == [
            (one["question"], one["answer"]) for one in read(problems)
        ]
        agent = load_agent(source, "a", settings_for(settings))
        first = [one["question"] for one in records[:4]]
        greedy = agent.generate_greedily(TextPrompts(first, [()] * 4))
        assert [one["greedy"][0]["text"] for one in records[:4]] == [text for (text,) in greedy.responses]
        assert [one["greedy"][0]["tokens"] for one in records[:4]] == greedy.lengths[:, 0].tolist()
        for record in records[:10]:
            assert (len(record["greedy"]), len(record["samples"])) == (1, 4)
            for response in record["greedy"] + record["samples"]:
                assert response["extracted"] == boxed_answer(response["text"])
                assert response["reward"] == float(response["extracted"] == record["answer"])
                assert response["finished"] or response["tokens"] == 12
        assert any(len({response["text"] for response in record["samples"]}) > 1 for record in records)
        nothing = {"text": "", "reward": 0.0, "tokens": 0, "finished": False, "extracted": None}
        assert records[10]["greedy"] + records[10]["samples"] == [nothing] * 5


def test_the_table_says_what_the_records_say(folder: Path, problems: Path) -> None:
    page = (folder / "out" / "README.md").read_text()
    with (folder / "out" / "scores.csv").open(newline="") as file:
        scores = {(line["model"], line["measure"]): float(line["mean"]) for line in csv.DictReader(file)}
    for path in (folder / "out" / "records").iterdir():
        model, records = path.name.partition("--")[0], read(path)
        rewards = [[one["reward"] for one in record["samples"]] for record in records]
        counts = [int(sum(row)) for row in rewards]
        expected = {
            "greedy": sum(record["greedy"][0]["reward"] for record in records) / 11,
            "avg@4": sum(counts) / 44,
            "best@4": sum(count > 0 for count in counts) / 11,
            "pass@2": sum(1 - (4 - count) * (3 - count) / 12 for count in counts) / 11,
            "pass@4": sum(count > 0 for count in counts) / 11,
        }
        assert {measure for name, measure in scores if name == model} == set(expected)
        for measure, value in expected.items():
            assert scores[model, measure] == pytest.approx(value, abs=1e-6)
            assert re.search(rf" {value:.3f} (± |\[)", page)
        assert f"- {model} on {problems}: 1 of 11 problems count as not solved" in page
    latex = (folder / "out" / "table.tex").read_text()
    assert latex.count(r" \\") == 3
    assert "$\\pm$ 0.000" not in latex
    assert f"--problems {problems}" in page


def test_a_folder_that_is_deleted_meanwhile_is_not_made_anew(
    folder: Path,
    adders: list[str],
    problems: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    out = tmp_path / "out"
    records_of = hacrl_runs.evaluation.evaluate.records_of

    def deleted_before(*arguments: Any) -> Any:
        shutil.rmtree(out, ignore_errors=True)
        return records_of(*arguments)

    monkeypatch.setattr(hacrl_runs.evaluation.evaluate, "records_of", deleted_before)
    places = ["--output-dir", str(out), "--cache-dir", str(folder / "cells")]
    assert call("--models", *adders[:2], "--problems", str(problems), *places) == 1
    [sentence] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert sentence.startswith(f"error: '{out}' was renamed or deleted while this process was working in it")
    assert not out.exists()


def test_what_was_interrupted_goes_on_to_the_same_records(
    folder: Path, adders: list[str], problems: Path, tmp_path: Path
) -> None:
    cells = sorted((folder / "cells").glob("*.npz"))
    assert len(cells) == 2 * 3
    shutil.copytree(folder / "cells", tmp_path / "cells")
    for cell in cells[::2]:
        (tmp_path / "cells" / cell.name).unlink()
    places = ["--output-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cells")]
    kept = {cell.name: (tmp_path / "cells" / cell.name).stat().st_mtime_ns for cell in cells[1::2]}
    assert call("--models", *adders[:2], "--problems", str(problems), *places) == 0
    for path in (folder / "out" / "records").iterdir():
        assert (tmp_path / "out" / "records" / path.name).read_text() == path.read_text()
    assert kept == {name: (tmp_path / "cells" / name).stat().st_mtime_ns for name in kept}


def test_a_reward_function_that_has_changed_rewards_anew(adders: list[str], problems: Path, tmp_path: Path) -> None:
    places = ["--output-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cells")]
    for value in (0.25, -2.0):
        (tmp_path / "own.py").write_text(
            f"def reward(completions, **columns):\n    return [{value}] * len(completions)\n"
        )
        reward = ["--reward", f"{tmp_path / 'own.py'}:reward"]
        assert call("--models", adders[0], "--problems", str(problems), *places, *reward) == 0
        (path,) = (tmp_path / "out" / "records").iterdir()
        rewards = {response["reward"] for record in read(path)[:10] for response in record["samples"]}
        assert rewards == {value}


@pytest.mark.parametrize(
    ("models", "arguments", "message"),
    [
        (["./none"], [], "model folder './none' does not exist"),
        ([], ["--problems", "none.jsonl"], "problem file 'none.jsonl' does not exist"),
        ([], ["--reward", "none.py:reward"], "file 'none.py' does not exist"),
        ([], ["--most-problems", "1"], "has 1 problems, too few for an interval"),
    ],
)
def test_what_cannot_be_evaluated_is_one_sentence(
    adders: list[str],
    problems: Path,
    tmp_path: Path,
    models: list[str],
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture,
) -> None:
    places = ["--output-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cells")]
    status = call("--models", *(models or adders[:1]), "--problems", str(problems), *places, *arguments)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert status == 1
    assert error.startswith("error: ")
    assert message in error


def test_a_folder_of_others_is_refused_and_stays_as_it_is(
    adders: list[str], problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    model = tmp_path / "model"
    shutil.copytree(adders[0], model)
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    assert call("--models", str(model), "--problems", str(problems), "--output-dir", str(model)) == 1
    assert "holds files that `hacrl-lab evaluate` did not make, 'config.json' for instance" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_only_the_share_that_training_does_not_ask_is_asked_where_that_is_wanted(
    adders: list[str], sums: str, tmp_path: Path
) -> None:
    places = ["--output-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cells")]
    assert call("--models", adders[0], "--problems", sums, "--held-out", *places) == 0
    (path,) = (tmp_path / "out" / "records").iterdir()
    asked = [record["question"] for record in read(path)]
    assert asked == [one["question"] for one in read(Path(sums)) if is_held_out(one["question"])]


def test_entries_that_are_no_problems_are_left_out_and_that_is_said(
    adders: list[str], problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text(problems.read_text() + json.dumps({"question": "8+?", "answer": "no idea"}) + "\n")
    places = ["--output-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cells")]
    assert call("--models", adders[0], "--problems", str(own), *places) == 1
    assert f"{own}, line 12: 'answer' is not mathematics" in capsys.readouterr().err
    assert call("--models", adders[0], "--problems", str(own), "--skip-unusable", *places) == 0
    note = f"1 of 12 entries of '{own}' were left out: 1 × 'answer' is not mathematics that the verifier can read."
    assert f"note: {note}\n" in capsys.readouterr().err
    assert f"- {note}\n" in (tmp_path / "out" / "README.md").read_text()


def test_models_of_the_same_name_are_refused(adders: list[str]) -> None:
    with pytest.raises(SettingError, match="models must have different names, got 'qwen3' twice"):
        models_of((adders[0], adders[0]))


def train_pair(adders: list[str], sums: str, folder: Path, *more: str) -> None:
    """One step of HACPO on two models."""
    sizes = ["--steps", "1", "--prompts-per-step", "4", "--group-size", "4", "--max-new-tokens", "12"]
    evaluation = ["--eval-prompts", "2", "--eval-samples", "1", "--compare", "none"]
    places = ["--device", "cpu", "--output-dir", str(folder), "--prompt-template", "{question}\n"]
    words = ["--agents", *adders[:2], "--problems", sums, *sizes, *evaluation, *places, *more]
    assert train(words) == 0


def test_agents_that_are_asked_differently_than_in_their_run_are_named(
    adders: list[str],
    sums: str,
    problems: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    run = tmp_path / "run"
    train_pair(adders, sums, run)
    models = models_of((str(run), adders[0]))
    names = "llama, HACPO (run); qwen3, HACPO (run)"
    remark = f"In training these were asked with other settings (`%s`), which can make answers worse here: {names}."
    assert asked_differently(PromptSettings(), models) == [remark % r"--prompt-template $'{question}\n'"]
    assert asked_differently(PromptSettings(prompt_template=("{question}\n",)), models) == []

    places = ["--output-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cells")]
    capsys.readouterr()
    arguments = ["--models", str(run), "--problems", str(problems), *places, "--answer-rule", "last_number"]
    assert call(*arguments) == 0
    assert f"note: {remark % '--answer-rule boxed'}\n" in capsys.readouterr().err
    assert f"\n- {remark % '--answer-rule boxed'}\n" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.extras
def test_a_run_folder_stands_for_its_trained_agents(
    adders: list[str], sums: str, problems: Path, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    run = tmp_path / "run"
    train_pair(adders, sums, run, "--lora-rank", "2", "--learning-rate", "0.005")
    assert (run / "hacpo" / "agents" / "qwen3" / "adapter_config.json").exists()
    places = ["--output-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cells")]
    assert call("--models", str(run), adders[0], "--problems", str(problems), *places) == 0
    page = (tmp_path / "out" / "README.md").read_text()
    for name in ("llama, HACPO (run)", "qwen3, HACPO (run)", "qwen3"):
        assert f"| {name} |" in page
    before, after = (
        [record["samples"] for path in (tmp_path / "out" / "records").glob(name) for record in read(path)]
        for name in ("qwen3--*", "qwen3-HACPO*")
    )
    assert len(before) == len(after) == 11
    assert before != after


@pytest.mark.extras
def test_tasks_are_sets_of_their_own(adders: list[str], tmp_path: Path) -> None:
    pytest.importorskip("reasoning_gym")
    model = tmp_path / "qwen3"  # with room for long questions, which its rotary positions allow
    shutil.copytree(adders[0], model)
    config = AutoConfig.from_pretrained(model)
    config.max_position_embeddings = 512
    config.save_pretrained(model)
    tasks = ["chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1", "gcd"]
    places = ["--output-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cells")]
    assert call("--models", str(model), "--tasks", *tasks, "--most-problems", "6", *places) == 0
    for path, task in zip(sorted((tmp_path / "out" / "records").iterdir()), tasks, strict=True):
        records = read(path)
        assert 2 <= len(records) == len({record["question"] for record in records}) <= 6
        assert all(is_held_out(record["question"]) for record in records), task
        assert all(int(record["answer"]) < 1000 for record in records), task
        assert all(response["tokens"] > 0 for record in records for response in record["samples"]), task
