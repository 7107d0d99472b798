"""Settings as a file: what is written is read, and what is wrong with a file is said in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hacrl_lab.config import flat
from hacrl_lab.errors import LabError
from hacrl_runs.command_line import read_command
from hacrl_runs.config_file import read_config, write_config
from hacrl_runs.settings import TrainSettings, train_settings
from hacrl_runs.shell import option_words

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    lambda text: not text.startswith("-")
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "steps": st.integers(1, 99),
    "seed": st.integers(0, 2**40),
    "agents": st.lists(TEXTS, min_size=2, max_size=3).map(tuple),
    "prompt_template": TEXTS.map(lambda text: (text + "{question}\n",)),
    "system_prompt": TEXTS.map(lambda text: (text,)),
    "learning_rate": st.floats(1e-9, 1.0),
    "alpha": st.floats(0, 4),
    "schedule": st.sampled_from(["mixed", "self_first", None]),
    "checkpointing": st.booleans(),
    "logger": st.sampled_from(["none", "wandb"]),
    "answer_rule": st.sampled_from(["boxed", "whole"]),
    "weight_decay": st.floats(0, 1),
}


@settings(deadline=None, max_examples=40)
@given(values=st.fixed_dictionaries({}, optional=VALUES))
def test_options_to_file_to_options_are_equal(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    given_settings = train_settings(**values)
    words = option_words(flat(given_settings), flat(TrainSettings()))
    assert read_command(words, "hacrl-lab train").settings == given_settings
    write_config(given_settings, path)
    assert read_config(path) == given_settings
    assert read_command(["--config", str(path)], "hacrl-lab train").settings == given_settings


def test_an_option_beside_a_file_wins(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("run: {steps: 7, seed: 3}\ntraining: {objective: {delta: 0.1}}\n")
    settings = read_command(["--config", str(path), "--steps", "9"], "hacrl-lab train").settings
    assert settings == train_settings(steps=9, seed=3, delta=0.1)


def test_a_file_does_not_name_the_folder_of_its_run(tmp_path: Path) -> None:
    write_config(train_settings(output_dir="runs/first"), tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == TrainSettings()
    with pytest.raises(LabError, match=r"has no setting 'run\.output_dir'"):
        read(tmp_path, "run: {output_dir: runs/first}")


def read(folder: Path, text: str) -> TrainSettings:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return read_config(path)


def test_numbers_and_lists_may_be_written_as_people_write_them(tmp_path: Path) -> None:
    settings = read(tmp_path, "optimisation: {learning_rate: 1e-6}\nproblems: {problems: my.jsonl}\n")
    assert settings == train_settings(learning_rate=1e-6, problems=("my.jsonl",))  # YAML itself reads 1e-6 as a text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: {stepps: 3}", r"has no setting 'run\.stepps'; did you mean 'run\.steps'\?"),
        ("steps: 3", r"has no setting 'steps'; did you mean 'run\.steps'\?"),
        ("run: 3", "run must be a group of settings, got 3"),
        ("run: {steps: many}", r"run\.steps cannot be 'many': input should be a valid integer"),
        ("run: {steps: true}", r"run\.steps cannot be true"),
        ("run: {logger: tensorboard}", r"run\.logger cannot be 'tensorboard'"),
        ("devices: {dtype: null}", r"devices\.dtype cannot be None"),
        ("run: {steps: 0}", r"steps must be ≥ 1, got 0 \(in '.*run.yaml'\)"),
        ("training: {objective: {delta: 2}}", r"delta"),
        ("run: [1, 2", "is not YAML"),
        ("run: {steps: 2024-13-45}", "is not YAML: month must be in"),
        ("just a text", "holds no settings"),
        ("", "holds no settings"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabError, match=message) as raised:
        read(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"cannot read the settings '.*none.yaml': No such file"):
        read_config(tmp_path / "none.yaml")


def test_a_file_has_every_setting_in_its_group(tmp_path: Path) -> None:
    write_config(TrainSettings(), tmp_path / "config.yaml")
    groups = yaml.safe_load((tmp_path / "config.yaml").read_text())
    names = {name for group in groups.values() for name in group if name != "objective"}
    assert names | set(groups["training"]["objective"]) | {"output_dir"} == set(flat(TrainSettings()))
