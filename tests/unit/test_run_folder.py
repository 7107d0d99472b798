"""The folder of a run: nobody else's, one process's at a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hacrl_lab.errors import LabError
from hacrl_runs.folder import Evaluation, check_data, is_evaluated, read_evaluation, run_folder, write_evaluation
from hacrl_runs.settings import TrainSettings, train_settings

EVALUATED = Evaluation(20, topics=[[], []], accuracy={"a": [0.0, 1.0], "b": [1.0, 1.0]})


def settings_in(folder: Path, **values: Any) -> TrainSettings:
    return train_settings(output_dir=str(folder), **values)


def test_a_new_folder_an_empty_one_and_that_of_the_same_run_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new" / "deep", tmp_path / "empty", tmp_path / "empty"):
        with run_folder(settings_in(folder), "cpu") as taken:
            assert taken == folder
            assert {path.name for path in folder.iterdir()} >= {"config.yaml", "versions.json"}


def test_runs_that_start_in_the_same_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20261101-120000")
    with run_folder(TrainSettings(), "cpu") as first, run_folder(TrainSettings(), "cpu") as second:
        assert (first.name, second.name) == ("20261101-120000", "20261101-120000-2")


def test_the_folder_of_a_model_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with (
        pytest.raises(LabError, match=r"holds files that are not a run's, 'config\.json'"),
        run_folder(settings_in(tmp_path), "cpu"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert (tmp_path / "config.json").read_text() == '{"model_type": "llama"}'


def test_a_file_is_refused_as_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(LabError, match="is a file"), run_folder(settings_in(tmp_path / "file"), "cpu"):
        pass


def test_another_run_is_refused(tmp_path: Path) -> None:
    with run_folder(settings_in(tmp_path), "cpu"):
        pass
    with pytest.raises(LabError, match="holds another run"), run_folder(settings_in(tmp_path, seed=1), "cpu"):
        pass
    with run_folder(settings_in(tmp_path, steps=21, engine="ray", patience=0), "cpu"):  # longer, elsewhere
        pass


def test_a_folder_that_another_process_has_is_refused_until_it_ends(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from hacrl_lab.files import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('locked', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(LabError, match="another process is running in"), run_folder(settings_in(tmp_path), "cpu"):
        pass
    other.kill()
    other.communicate()
    with run_folder(settings_in(tmp_path), "cpu"):
        pass


def test_a_run_that_has_done_more_steps_is_not_reported_as_shorter(tmp_path: Path) -> None:
    with run_folder(settings_in(tmp_path), "cpu"):
        write_evaluation(tmp_path / "hacpo", EVALUATED)
    with (
        pytest.raises(LabError, match="has done 20 steps of hacpo; steps must be ≥ 20"),
        run_folder(settings_in(tmp_path, steps=19), "cpu"),
    ):
        pass
    write_evaluation(tmp_path / "hacpo", replace(EVALUATED, steps=5))
    (tmp_path / "hacpo" / "checkpoints" / "step-000012").mkdir(parents=True)
    with pytest.raises(LabError, match="has done 12 steps"), run_folder(settings_in(tmp_path, steps=11), "cpu"):
        pass


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"steps": 1}',
        '{"steps": 1, "topics": [], "accuracy": {"a": [1]}}',
        '{"steps": "1", "topics": [], "accuracy": {}}',
        '{"steps": 1, "topics": [[]], "accuracy": {"a": ["x"]}}',
    ],
)
def test_a_damaged_evaluation_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(LabError, match=r"evaluation\.json' is damaged; delete it"):
        read_evaluation(tmp_path)


def test_a_run_without_its_settings_is_refused(tmp_path: Path) -> None:
    with run_folder(settings_in(tmp_path), "cpu"):
        write_evaluation(tmp_path / "hacpo", EVALUATED)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(LabError, match=r"a run whose config\.yaml is gone"), run_folder(settings_in(tmp_path), "cpu"):
        pass
    shutil.rmtree(tmp_path / "hacpo")
    with run_folder(settings_in(tmp_path), "cpu"):  # as if it had been killed at its start
        pass


def test_a_run_on_another_device_is_another_run(tmp_path: Path) -> None:
    with run_folder(settings_in(tmp_path), "cpu"):
        pass
    with pytest.raises(LabError, match="holds another run"), run_folder(settings_in(tmp_path), "cuda"):
        pass


def test_a_run_whose_learning_rate_falls_cannot_be_made_longer(tmp_path: Path) -> None:
    falling = {"learning_rate_schedule": "linear"}
    with run_folder(settings_in(tmp_path, **falling), "cpu"):
        pass
    with (
        pytest.raises(LabError, match="falls to 0 at step 20; steps must stay so"),
        run_folder(settings_in(tmp_path, steps=30, **falling), "cpu"),
    ):
        pass


def test_a_method_that_stopped_early_is_done(tmp_path: Path) -> None:
    write_evaluation(tmp_path, EVALUATED)
    assert is_evaluated(tmp_path, 20)
    assert not is_evaluated(tmp_path, 30)
    write_evaluation(tmp_path, replace(EVALUATED, stopped_early=True))
    assert is_evaluated(tmp_path, 30)
    assert not is_evaluated(tmp_path / "none", 0)


def test_changed_problems_are_noticed(tmp_path: Path) -> None:
    check_data(tmp_path, None)
    assert not list(tmp_path.iterdir())
    check_data(tmp_path, "abc")
    check_data(tmp_path, "abc")
    with pytest.raises(LabError, match="the problems have changed"):
        check_data(tmp_path, "abd")


def test_the_version_of_reasoning_gym_is_written_down_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, version in enumerate(["0.1.25", None]):
        monkeypatch.setattr("hacrl_runs.folder.installed_version", lambda name, version=version: version)
        with run_folder(train_settings(output_dir=str(tmp_path / str(number))), "cpu") as folder:
            assert json.loads((folder / "versions.json").read_text()).get("reasoning-gym") == version


@pytest.mark.parametrize(
    "values",
    [
        {"steps": 21},
        {"patience": 0},
        {"keep_checkpoints": 5},
        {"observers": ("own.py:Notes",)},
        {"logger": "trackio"},
        {"push_to_hub": "somebody"},
        {"engine": "ray"},
        {"engine": "ray", "ranks_per_agent": 2, "checkpointing": True},
    ],
)
def test_what_is_free_may_change_in_the_same_folder(tmp_path: Path, values: dict[str, Any]) -> None:
    checkpointing = {"checkpointing": True} if "checkpointing" in values else {}
    with run_folder(settings_in(tmp_path, **checkpointing), "cpu"):
        pass
    with run_folder(settings_in(tmp_path, **values), "cpu"):
        pass


@pytest.mark.parametrize(
    "values",
    [
        {"checkpoint_every": 6},
        {"validation_every": 5},
        {"early_stopping": 2, "validation_every": 5},
        {"weight_decay": 0.1},
        {"temperature": 0.5},
        {"reward": ("answer",), "problems": ("a.jsonl",)},
        {"compare": "none"},
    ],
)
def test_what_is_not_free_makes_another_run(tmp_path: Path, values: dict[str, Any]) -> None:
    with run_folder(settings_in(tmp_path), "cpu"):
        pass
    with pytest.raises(LabError, match="holds another run"), run_folder(settings_in(tmp_path, **values), "cpu"):
        pass
