"""Checkpoints that are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hacrl_lab.checkpoint import COMPLETE, FORMAT, Checkpoints, agent_folder, load_part, save_part
from hacrl_lab.errors import CheckpointError


def writer(step: int) -> Callable[[Path], None]:
    """Writes what two agents and the loop would."""

    def write(folder: Path) -> None:
        for name in ("a", "b"):
            (agent_folder(folder, name)).mkdir(parents=True)
            save_part(agent_folder(folder, name) / "policy", {"w": torch.full((50,), float(step))}, {"of": name})
        save_part(folder / "trainer", {}, {"step": step})

    return write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def step_of(folder: Path | None) -> int:
    assert folder is not None
    return load_part(folder / "trainer")[1]["step"]


def test_a_part_is_read_back(tmp_path: Path) -> None:
    tensors = {"x/y": torch.arange(6.0).reshape(2, 3), "step": torch.tensor(3.0)}
    save_part(tmp_path / "part", tensors, {"names": ["a", "b"], "nested": {"lr": 0.1}})
    loaded, record = load_part(tmp_path / "part")
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[key], tensors[key]) for key in tensors)
    assert record == {"names": ["a", "b"], "nested": {"lr": 0.1}}


def test_a_checkpoint_is_safetensors_and_json_and_says_that_it_is_complete(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "folder").save(3, writer(3))
    folder = Checkpoints(tmp_path / "folder").latest()
    assert folder is not None
    assert folder.name == "step-000003"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    record = json.loads((folder / COMPLETE).read_text())
    assert record["format"] == FORMAT
    assert set(record["files"]) == {path.relative_to(folder).as_posix() for path in files} - {COMPLETE}


def test_there_is_nothing_to_load_at_first(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "missing").latest() is None
    assert Checkpoints(tmp_path).latest() is None


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_only_the_latest_are_kept(tmp_path: Path, keep: int) -> None:
    checkpoints = Checkpoints(tmp_path, keep=keep)
    for step in range(1, 6):
        checkpoints.save(step, writer(step))
    assert names(tmp_path) == [f"step-{step:06d}" for step in range(6 - keep, 6)]


def test_two_are_kept_unless_told_otherwise(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        Checkpoints(tmp_path).save(step, writer(step))
    assert names(tmp_path) == ["step-000010", "step-000015"]


def test_latest_is_the_one_with_the_largest_number(tmp_path: Path) -> None:
    # as text, "step-1000000" comes before "step-999999"
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1_000_000, 999_998, 999_999):
        checkpoints.save(step, writer(step))
    assert names(tmp_path) == ["step-1000000", "step-999999"]
    assert step_of(checkpoints.latest()) == 1_000_000


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, writer(1))
    checkpoints.save(1, writer(2))
    assert step_of(checkpoints.latest()) == 2
    checkpoints.save(3, writer(3))
    assert names(tmp_path) == ["step-000001", "step-000003"]


def test_what_a_killed_write_left_is_not_loaded_and_is_cleared_away(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, writer(1))
    leftover = tmp_path / "step-000002.unfinished"
    (leftover / "agents").mkdir(parents=True)
    (leftover / "agents" / "half").write_bytes(b"half a checkp")
    assert step_of(checkpoints.latest()) == 1
    checkpoints.save(2, writer(2))
    assert names(tmp_path) == ["step-000001", "step-000002"]
    assert step_of(checkpoints.latest()) == 2


def test_a_write_that_fails_leaves_the_earlier_checkpoints(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, writer(1))

    def full(folder: Path) -> None:
        writer(2)(folder)
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        checkpoints.save(2, full)
    assert step_of(checkpoints.latest()) == 1


def test_a_deletion_that_is_interrupted_leaves_nothing_that_looks_like_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(1, writer(1))

    def half(folder: Path) -> None:
        (folder / "trainer.json").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", half)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(2, writer(2))
    assert names(tmp_path) == ["step-000001.unfinished", "step-000002"]
    monkeypatch.undo()
    checkpoints.save(3, writer(3))
    assert names(tmp_path) == ["step-000003"]


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    for name in ("step-best", "step-000009.bak", "notes.txt", "step-000008"):
        (tmp_path / name).write_text("mine")  # the last has a checkpoint's name and is no folder
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in (1, 2):
        checkpoints.save(step, writer(step))
    assert step_of(checkpoints.latest()) == 2
    assert names(tmp_path) == ["notes.txt", "step-000002", "step-000008", "step-000009.bak", "step-best"]


@pytest.mark.parametrize("part", ["agents/a/policy.safetensors", "agents/b/policy.json", "trainer.json", COMPLETE])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, None])
def test_a_truncated_or_missing_file_is_noticed_and_the_one_before_can_take_its_place(
    tmp_path: Path, part: str, share: float | None
) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, writer(step))
    broken = tmp_path / "step-000002" / part
    content = broken.read_bytes()
    broken.unlink()
    if share is not None:
        broken.write_bytes(content[: int(share * (len(content) - 1))])  # at least one byte besides the last is missing
    with pytest.raises(
        CheckpointError, match=r"checkpoint '.*step-000002' cannot be read; delete it to continue"
    ) as error:
        checkpoints.latest()
    assert str(error.value).count("\n") == 0
    for path in sorted((tmp_path / "step-000002").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "step-000002").rmdir()
    assert step_of(checkpoints.latest()) == 1


@pytest.mark.parametrize("content", ["[]", '{"files": 3}', '{"files": {}}', "null", '{"format": 1}'])
def test_a_foreign_complete_json_is_noticed(tmp_path: Path, content: str) -> None:
    (tmp_path / "step-000001").mkdir()
    (tmp_path / "step-000001" / COMPLETE).write_text(content)
    with pytest.raises(CheckpointError, match="step-000001"):
        Checkpoints(tmp_path).latest()


def test_a_checkpoint_of_another_format_is_named(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(1, writer(1))
    path = tmp_path / "step-000001" / COMPLETE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": FORMAT + 1}))
    with pytest.raises(CheckpointError, match=f"has format {FORMAT + 1}"):
        Checkpoints(tmp_path).latest()


def test_a_part_that_is_no_safetensors_file_is_named(tmp_path: Path) -> None:
    save_part(tmp_path / "part", {"x": torch.zeros(3)}, {})
    (tmp_path / "part.safetensors").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_part(tmp_path / "part")


def test_agents_names_may_hold_any_character_and_stay_inside_the_checkpoint(tmp_path: Path) -> None:
    odd = ["a/b", "a b", "1: MLP-32", "ω", "a%2Fb", "..", "."]
    folders = [agent_folder(tmp_path, name) for name in odd]
    assert len({folder.resolve() for folder in folders}) == len(odd)
    assert all(folder.resolve().parent == (tmp_path / "agents").resolve() for folder in folders)


def test_keeping_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep_checkpoints must be ≥ 1, got 0"):
        Checkpoints(tmp_path, keep=0)


def test_the_newest_is_not_deleted_before_the_next_is_complete(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    seen: list[list[str]] = []

    def write(folder: Path) -> None:
        seen.append(sorted(path.name for path in tmp_path.iterdir() if path != folder))
        (folder / "content").write_text("some")

    def fail(folder: Path) -> None:
        write(folder)
        raise OSError("no space left")

    checkpoints.save(1, write)
    checkpoints.save(2, write)
    assert seen == [[], ["step-000001"]]
    assert [path.name for path in tmp_path.iterdir()] == ["step-000002"]
    with pytest.raises(OSError, match="no space left"):
        checkpoints.save(3, fail)
    assert checkpoints.latest() == tmp_path / "step-000002"
