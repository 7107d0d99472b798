"""The words of ``hacrl-lab train``: where settings start from, and options beside that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hacrl_lab.config import flat
from hacrl_lab.errors import LabError, SettingError
from hacrl_runs.command_line import NAMES, StartSettings, read_command
from hacrl_runs.config_file import write_config
from hacrl_runs.evaluation.settings import NAMES as EVALUATION_NAMES
from hacrl_runs.evaluation.settings import read_settings
from hacrl_runs.other_names import OTHER_NAMES, refuse_other_names
from hacrl_runs.settings import RunSettings, TrainSettings, changed, train_settings
from hacrl_runs.shell import refuse_unreadable


def read(*words: str) -> TrainSettings:
    return read_command(words, "hacrl-lab train").settings


@pytest.fixture
def earlier(tmp_path: Path) -> tuple[str, TrainSettings]:
    """The folder of a run, and its settings."""
    settings = train_settings(steps=30, learning_rate=3e-4, prompts_per_step=8)
    write_config(settings, tmp_path / "config.yaml")
    return str(tmp_path), changed(settings, {"output_dir": str(tmp_path)})


def test_no_words_give_the_defaults() -> None:
    assert read() == TrainSettings()


def test_an_option_of_every_group_arrives() -> None:
    words = ["--steps", "3", "--size", "small", "--eval-samples", "2", "--answer-rule", "whole", "--delta", "0.1"]
    words += ["--max-grad-norm", "2", "--rows-at-once", "5", "--dtype", "bfloat16", "--group-size", "4"]
    words += ["--validation-every", "5", "--top-k", "20", "--checkpointing", "--weight-decay", "0.1"]
    assert read(*words) == train_settings(
        steps=3,
        size="small",
        eval_samples=2,
        answer_rule="whole",
        delta=0.1,
        max_grad_norm=2.0,
        rows_at_once=5,
        dtype="bfloat16",
        group_size=4,
        validation_every=5,
        top_k=20,
        checkpointing=True,
        weight_decay=0.1,
    )


def test_resume_takes_the_settings_of_the_run(earlier: tuple[str, TrainSettings]) -> None:
    folder, settings = earlier
    assert read("--resume", folder) == settings
    assert read("--resume", folder, "--steps", "40") == changed(settings, {"steps": 40})


def test_steps_equal_to_the_default_are_heeded_beside_resume(earlier: tuple[str, TrainSettings]) -> None:
    folder, _ = earlier
    assert read("--resume", folder, "--steps", str(RunSettings.steps)).run.steps == RunSettings.steps


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learning-rate", "1e-5"], r"its --learning-rate is 0\.0003, not 1e-05"),
        (["--prompts-per-step", "32"], "its --prompts-per-step is 8, not 32"),  # the command's default
        (["--output-dir", "elsewhere"], "leave --output-dir out"),
        (["--preset", "paper"], "--config, --preset and --resume exclude each other"),
    ],
)
def test_another_setting_beside_resume_is_refused(
    earlier: tuple[str, TrainSettings], words: list[str], message: str
) -> None:
    with pytest.raises(LabError, match=message):
        read("--resume", earlier[0], *words)


def test_the_same_setting_beside_resume_is_not(earlier: tuple[str, TrainSettings]) -> None:
    folder, settings = earlier
    assert read("--resume", folder, "--learning-rate", "3e-4") == settings


def test_where_processes_are_may_change_beside_resume(earlier: tuple[str, TrainSettings]) -> None:
    folder, settings = earlier
    mine = read("--resume", folder, "--engine", "ray", "--patience", "0", "--keep-checkpoints", "1")
    assert mine == changed(settings, {"engine": "ray", "patience": 0, "keep_checkpoints": 1})


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(LabError, match=r"holds no run \(no config\.yaml in it\)"):
        read("--resume", str(tmp_path))


def test_what_a_preset_sets_is_said_and_an_option_beside_it_wins(capsys: pytest.CaptureFixture) -> None:
    settings = read("--preset", "qwen3-4b-8b-base", "--alpha", "2", "--steps", "5")
    assert settings.models.agents == ("Qwen/Qwen3-4B-Base", "Qwen/Qwen3-8B-Base")
    assert (settings.training.objective.alpha, settings.run.steps) == (2.0, 5)
    assert settings.training.objective.epsilon_low == 3e-4
    said = capsys.readouterr().out
    assert "--alpha 3.0" in said
    assert "--schedule self_first" in said
    assert "--steps 59" in said


def test_the_size_of_a_gpu_is_for_plans_only(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        read("--plan-gpu-gib", "80")
    assert "plan_gpu_gib needs plan" in capsys.readouterr().err


def test_a_file_and_a_preset_exclude_each_other(tmp_path: Path) -> None:
    write_config(TrainSettings(), tmp_path / "config.yaml")
    with pytest.raises(LabError, match="exclude each other"):
        read("--config", str(tmp_path / "config.yaml"), "--preset", "paper")


@pytest.mark.parametrize("gib", ["-1", "nan"])
def test_a_gpu_of_impossible_size_is_refused(gib: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        read("--plan", "--plan-gpu-gib", gib)
    assert "plan_gpu_gib must be a number ≥ 0" in capsys.readouterr().err


def test_options_of_other_libraries_are_answered_with_those_that_there_are() -> None:
    options = {f"--{name.replace('_', '-')}" for name in (*NAMES, *EVALUATION_NAMES)}
    for name, answer in OTHER_NAMES.items():
        assert f"--{name}" not in {f"--{own.replace('_', '-')}" for own in NAMES}, name
        assert {word.rstrip(",:;") for word in answer.split() if word.startswith("--")} <= options, name
        with pytest.raises(SettingError, match=f"no option '--{name}'; here it is"):
            refuse_other_names([f"--{name}", "1"], NAMES)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stepps", "3"], "no option '--stepps'; did you mean --steps?"),
        (["--learning-rte=1e-5"], "no option '--learning-rte'; did you mean --learning-rate?"),
        (["--num_generations=8"], "no option '--num-generations'; here it is --group-size"),
    ],
)
def test_a_slip_is_answered_with_the_nearest_option(words: list[str], message: str) -> None:
    with pytest.raises(SettingError, match=re.escape(message)):
        read(*words)


def test_words_that_are_options_or_values_are_let_through() -> None:
    refuse_other_names(["--learning_rate", "1e-5", "--no-checkpointing", "--steps=3", "-h", "lr"], NAMES)


def test_all_settings_are_options() -> None:
    assert set(flat(TrainSettings())) | set(flat(StartSettings())) == set(NAMES)


@pytest.mark.parametrize("word", ["a\0b", "caf\udce9"])
def test_words_that_no_file_can_hold_are_refused(word: str) -> None:
    for read_words in (read_command, read_settings):
        with pytest.raises(LabError, match=r"has a null character or bytes that are not UTF-8"):
            read_words(["--output-dir", word], "hacrl-lab")
    refuse_unreadable(["café", "数", "\n", ""])


def test_steps_and_epochs_exclude_each_other_and_give_way_to_what_is_typed(tmp_path: Path) -> None:
    epochs = read("--problems", "math", "--epochs", "2").run
    assert epochs.epochs == 2
    with pytest.raises(SettingError, match=r"^steps and epochs exclude each other$"):
        read("--problems", "math", "--epochs", "2", "--steps=3")
    assert read("--preset", "qwen3-4b-8b-base", "--epochs", "2").run.epochs == 2
    path = tmp_path / "run.yaml"
    path.write_text("run: {epochs: 2}\nproblems: {problems: [math]}\n")
    again = read("--config", str(path), "--steps", "5").run
    assert (again.steps, again.epochs) == (5, 0)


@pytest.mark.parametrize("words", [("--problems", "mine.jsonl"), ("--tasks", "gcd")])
def test_the_data_of_a_preset_give_way_as_a_whole(words: tuple[str, str]) -> None:
    preset, own = read("--preset", "qwen3-4b-8b-base"), read("--preset", "qwen3-4b-8b-base", *words)
    assert preset.problems.eval_problems == "math500"
    assert own.problems.eval_problems is None
    assert (own.evaluation, own.training) == (TrainSettings().evaluation, preset.training)
    assert (own.problems.problems or own.problems.tasks) == words[1:]
