"""The folder of a run: nobody else's, one process's at a time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hacrl_lab.errors import LabError
from hacrl_runs.folder import (
    Evaluation,
    begin,
    is_evaluated,
    read_evaluation,
    run_folder,
    write_evaluation,
)
from hacrl_runs.settings import TrainSettings, train_settings

EVALUATED = Evaluation(20, topics=[[], []], accuracy={"a": [0.0, 1.0], "b": [1.0, 1.0]})


def settings_in(folder: Path, **values: Any) -> TrainSettings:
    return train_settings(output_dir=str(folder), **{"device": "cpu", **values})


def run_in(folder: Path, **values: Any) -> None:
    """A run that begins, or is continued, and stops at once."""
    settings = settings_in(folder, **values)
    with run_folder(settings):
        begin(folder, settings, {"hacrl-lab": "1"})


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_new_folder_an_empty_one_and_that_of_the_same_run_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new" / "deep", tmp_path / "empty", tmp_path / "empty"):
        run_in(folder)
        assert {path.name for path in folder.iterdir()} >= {"config.yaml", "versions.json"}


def test_runs_that_start_in_the_same_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20261101-120000")
    with run_folder(TrainSettings()) as first, run_folder(TrainSettings()) as second:
        assert (first.name, second.name) == ("20261101-120000", "20261101-120000-2")


def test_another_run_is_refused(tmp_path: Path) -> None:
    run_in(tmp_path)
    with pytest.raises(LabError, match="holds another run"):
        run_in(tmp_path, seed=1)
    run_in(tmp_path, steps=21, engine="ray", patience=0)  # longer, elsewhere


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
    with pytest.raises(LabError, match="another process is working in"):
        run_in(tmp_path)
    other.kill()
    other.communicate()
    run_in(tmp_path)


def test_a_run_that_has_done_more_steps_is_not_reported_as_shorter(tmp_path: Path) -> None:
    run_in(tmp_path)
    write_evaluation(tmp_path / "hacpo", EVALUATED)
    with pytest.raises(LabError, match="has done 20 steps of hacpo; steps must be ≥ 20"):
        run_in(tmp_path, steps=19)
    write_evaluation(tmp_path / "hacpo", replace(EVALUATED, steps=5))
    (tmp_path / "hacpo" / "checkpoints" / "step-000012").mkdir(parents=True)
    with pytest.raises(LabError, match="has done 12 steps"):
        run_in(tmp_path, steps=11)


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
    run_in(tmp_path)
    write_evaluation(tmp_path / "hacpo", EVALUATED)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(LabError, match=r"a run whose config\.yaml is gone"):
        run_in(tmp_path)


def test_a_run_on_another_device_is_another_run(tmp_path: Path) -> None:
    run_in(tmp_path)
    with pytest.raises(LabError, match="holds another run"):
        run_in(tmp_path, device="cuda")


def test_a_run_whose_learning_rate_falls_cannot_be_made_longer(tmp_path: Path) -> None:
    falling = {"learning_rate_schedule": "linear"}
    run_in(tmp_path, **falling)
    with pytest.raises(LabError, match="falls to 0 at step 20; steps must stay so"):
        run_in(tmp_path, steps=30, **falling)


def test_a_method_that_stopped_early_is_done(tmp_path: Path) -> None:
    write_evaluation(tmp_path, EVALUATED)
    assert is_evaluated(tmp_path, 20)
    assert not is_evaluated(tmp_path, 30)
    write_evaluation(tmp_path, replace(EVALUATED, stopped_early=True))
    assert is_evaluated(tmp_path, 30)
    assert not is_evaluated(tmp_path / "none", 0)


@pytest.mark.parametrize("values", [{"steps": 5}, {"seed": 1}])
def test_a_run_that_is_refused_leaves_its_folder_as_it_is(tmp_path: Path, values: dict[str, Any]) -> None:
    run_in(tmp_path)
    write_evaluation(tmp_path / "hacpo", EVALUATED)
    before = contents(tmp_path)
    with pytest.raises(LabError):
        run_in(tmp_path, **values)
    assert contents(tmp_path) == before


def test_a_run_of_an_earlier_version_is_continued(tmp_path: Path) -> None:
    run_in(tmp_path)
    (tmp_path / ".made-by").unlink()
    run_in(tmp_path)
    assert (tmp_path / ".made-by").read_text() == "hacrl-lab train\n"


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
    run_in(tmp_path, **checkpointing)
    run_in(tmp_path, **values)


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
    run_in(tmp_path)
    with pytest.raises(LabError, match="holds another run"):
        run_in(tmp_path, **values)
