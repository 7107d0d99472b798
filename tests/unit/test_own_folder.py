"""The folder of a command's results: nobody else's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hacrl_lab.errors import LabError
from hacrl_runs.own_folder import made_by, own_folder


def take(folder: Path, maker: str = "hacrl-lab train") -> None:
    with own_folder(folder, maker):
        pass


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "name", ["README.md", "config.json", "config.yaml", "versions.json", "table.tex", "scores.csv", "thesis.txt"]
)
def test_a_folder_that_holds_a_file_of_others_is_refused_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("five years of work")
    with pytest.raises(LabError, match=f"holds files that `hacrl-lab train` did not make, '{name}' for instance"):
        take(tmp_path)
    assert files(tmp_path) == {name: "five years of work"}


def test_a_folder_of_another_command_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    take(tmp_path)
    before = files(tmp_path)
    with pytest.raises(LabError, match="was made by `hacrl-lab train`; give another output_dir"):
        take(tmp_path, "hacrl-lab evaluate")
    assert files(tmp_path) == before


def test_an_own_folder_is_taken_again_with_whatever_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "deep"
    take(folder)
    (folder / "summary.md").write_text("text")
    take(folder)
    assert (folder / "summary.md").read_text() == "text"
    assert made_by(folder) == "hacrl-lab train"


def test_a_folder_whose_process_was_killed_at_once_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".made-by.unfinished").touch()
    take(tmp_path)


def test_a_file_is_refused_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(LabError, match="is a file"):
        take(tmp_path / "file")


def test_a_link_out_of_the_folder_is_refused_and_one_within_it_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    take(folder)
    (folder / "gspo").mkdir()
    (folder / "latest").symlink_to(folder / "gspo")
    take(folder)
    for path, target in ((folder / "gspo" / "metrics.jsonl", tmp_path / "mine.txt"), (folder / "hacpo", tmp_path)):
        target.touch()
        path.symlink_to(target)
        with pytest.raises(LabError, match="is a link out of the folder"):
            take(folder)
        path.unlink()


def test_what_another_process_makes_of_an_empty_folder_in_between_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([lambda: None, lambda: (tmp_path / ".made-by").write_text("hacrl-lab evaluate")])
    found = made_by

    def looked(folder: Path) -> str | None:
        next(looks)()
        return found(folder)

    monkeypatch.setattr("hacrl_runs.own_folder.made_by", looked)
    with pytest.raises(LabError, match="was made by `hacrl-lab evaluate`"):
        take(tmp_path)


def renamed(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def replaced(folder: Path) -> None:
    renamed(folder)
    take(folder)


def deleted(folder: Path) -> None:
    shutil.rmtree(folder)


def deleted_and_made_anew(folder: Path) -> None:
    deleted(folder)
    folder.mkdir()


@pytest.mark.parametrize("what", [renamed, replaced, deleted, deleted_and_made_anew])
@pytest.mark.parametrize("error", [None, FileNotFoundError(2, "No such file"), KeyboardInterrupt()])
def test_a_folder_that_is_gone_is_told_as_such(
    tmp_path: Path, what: Callable[[Path], None], error: BaseException | None
) -> None:
    folder = tmp_path / "run"

    def work() -> None:
        with own_folder(folder, "hacrl-lab train"):
            what(folder)
            if error is not None:
                raise error

    with pytest.raises(LabError, match=f"^'{folder}' was renamed or deleted while this process was working in it; "):
        work()


def test_an_error_in_a_folder_that_stays_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), own_folder(tmp_path / "run", "hacrl-lab train"):
        raise ZeroDivisionError
