"""The command line of the pair: groups, presets, and options beside ``--resume``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hacrl_lab.config import TrainingConfig, flat, save_config
from hacrl_lab.errors import LabError
from hacrl_runs.command_line import load_options, read_options
from hacrl_runs.presets import PAIRS, preset_settings
from hacrl_runs.settings import Options


def read(*words: str) -> Options:
    return read_options(words, None)


@pytest.fixture
def earlier(tmp_path: Path) -> tuple[str, Options]:
    """The folder of a run, and its options."""
    options = Options(
        steps=30, learning_rate=3e-4, training=TrainingConfig(prompts_per_step=8), output_dir=str(tmp_path)
    )
    save_config(options, tmp_path / "config.json")
    return str(tmp_path), options


def test_no_words_give_the_defaults() -> None:
    assert read() == Options()


def test_an_option_of_every_group_arrives() -> None:
    words = ["--steps", "3", "--size", "small", "--eval-samples", "2", "--answer-rule", "whole", "--delta", "0.1"]
    words += ["--max-grad-norm", "2", "--rows-at-once", "5", "--dtype", "bfloat16", "--group-size", "4"]
    mine = flat(read(*words))
    usual = flat(Options())
    assert {name: value for name, value in mine.items() if value != usual[name]} == {
        "steps": 3,
        "size": "small",
        "eval_samples": 2,
        "answer_rule": "whole",
        "delta": 0.1,
        "max_grad_norm": 2.0,
        "rows_at_once": 5,
        "dtype": "bfloat16",
        "group_size": 4,
    }


def test_resume_takes_the_settings_of_the_run(earlier: tuple[str, Options]) -> None:
    folder, options = earlier
    assert read("--resume", folder) == options
    assert read("--resume", folder, "--steps", "40") == replace(options, steps=40)


def test_steps_equal_to_the_default_are_heeded_beside_resume(earlier: tuple[str, Options]) -> None:
    folder, _ = earlier
    assert read("--resume", folder, "--steps", str(Options.steps)).steps == Options.steps


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learning-rate", "1e-5"], r"its --learning-rate is 0\.0003, not 1e-05"),
        (["--prompts-per-step", "32"], "its --prompts-per-step is 8, not 32"),  # the command's default
        (["--output-dir", "elsewhere"], "leave --output-dir out"),
    ],
)
def test_another_setting_beside_resume_is_refused(earlier: tuple[str, Options], words: list[str], message: str) -> None:
    with pytest.raises(LabError, match=message):
        read("--resume", earlier[0], *words)


def test_the_same_setting_beside_resume_is_not(earlier: tuple[str, Options]) -> None:
    folder, options = earlier
    assert read("--resume", folder, "--learning-rate", "3e-4") == options


def test_where_processes_are_may_change_beside_resume(earlier: tuple[str, Options]) -> None:
    folder, options = earlier
    assert read("--resume", folder, "--engine", "ray", "--patience", "0") == replace(options, engine="ray", patience=0)


def test_what_a_preset_sets_is_said_and_an_option_beside_it_wins(capsys: pytest.CaptureFixture) -> None:
    options = read("--preset", "qwen3-4b-8b-base", "--alpha", "2", "--steps", "5")
    assert options.agents == ("Qwen/Qwen3-4B-Base", "Qwen/Qwen3-8B-Base")
    assert (options.training.objective.alpha, options.steps) == (2.0, 5)
    assert options.training.objective.epsilon_low == 3e-4
    said = capsys.readouterr().out
    assert "--alpha 3.0" in said
    assert "--schedule self_first" in said
    assert "--steps 59" in said


def test_presets_have_the_numbers_of_table_5() -> None:
    # pair: alpha, the lower bound as the table prints it, the step
    table_5 = {
        "qwen3-4b-instruct": (3, 0.8, 0.01),
        "qwen3-1.7b-4b-base": (1, 0.8, 0.025),
        "qwen3-4b-8b-base": (3, 0.8, 0.025),
        "llama3.2-1b-3b-instruct": (1, 0.9, 0.01),
        "qwen3-1.7b-base-llama3.2-1b": (1, 0.8, 0.025),
        "qwen3-4b-base-llama3.2-3b": (1, 0.8, 0.025),
    }
    assert set(table_5) == set(PAIRS)
    for name, (alpha, bound, step) in table_5.items():
        for preset in (name, f"{name}-lora"):
            training = preset_settings(preset)["training"]  # type: ignore[arg-type]
            objective = training.objective
            assert (objective.alpha, 1 - objective.delta, objective.delta_step) == (alpha, pytest.approx(bound), step)
            assert training.updates("hacpo", agents=2) == 4  # two own, two of the other's
            assert training.prompts_per_step * training.group_size == 1024


def test_every_preset_makes_options() -> None:
    for name in ("paper", *PAIRS, *(f"{name}-lora" for name in PAIRS)):
        options = replace(Options(), **preset_settings(name))  # type: ignore[arg-type]
        assert (options.lora_rank > 0) == name.endswith("-lora")
        options.training.check("hacpo", agents=2)


def test_a_config_that_is_no_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(LabError, match="unknown keys: model_type"):
        load_options(tmp_path)
