"""What a run depends on: noticed where it has changed, and named on its page where that was accepted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hacrl_lab.errors import LabError
from hacrl_runs.inputs import INPUTS, accepted_changes, agree, inputs_of, versions
from hacrl_runs.settings import ProblemSettings, train_settings
from hacrl_runs.worlds import read_data

START = {"the model of 'a'": "1" * 64, "torch": "2.13.0", "the number of threads": "2"}


def test_the_same_inputs_agree_and_are_written_once(tmp_path: Path) -> None:
    agree(tmp_path, START, accept=False)
    before = (tmp_path / INPUTS).stat().st_mtime_ns
    agree(tmp_path, START, accept=False)
    assert (tmp_path / INPUTS).stat().st_mtime_ns == before
    assert accepted_changes(tmp_path) == []


@pytest.mark.parametrize("name", START)
def test_every_change_is_named_and_leaves_the_folder_as_it_is(tmp_path: Path, name: str) -> None:
    agree(tmp_path, START, accept=False)
    before = (tmp_path / INPUTS).read_bytes()
    with pytest.raises(LabError) as refused:
        agree(tmp_path, {**START, name: "2.14.0"}, accept=False)
    assert f"began, {name} ({START[name][:40]}, now 2.14.0) changed; put it back" in str(refused.value)
    assert (tmp_path / INPUTS).read_bytes() == before


def test_an_input_that_is_gone_is_a_change(tmp_path: Path) -> None:
    agree(tmp_path, START, accept=False)
    with pytest.raises(LabError, match=r"torch \(2\.13\.0, now none\) changed"):
        agree(tmp_path, {name: value for name, value in START.items() if name != "torch"}, accept=False)


def test_what_is_accepted_is_kept_and_not_asked_again(tmp_path: Path) -> None:
    agree(tmp_path, START, accept=False)
    for torch, threads in (("2.14.0", "2"), ("2.14.0", "1")):
        now = {**START, "torch": torch, "the number of threads": threads}
        agree(tmp_path, now, accept=True)
        agree(tmp_path, now, accept=False)
    assert accepted_changes(tmp_path) == [
        "torch (2.13.0, now 2.14.0) changed",
        "the number of threads (2, now 1) changed",
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"inputs": [], "accepted": []}', '{"inputs": {}, "accepted": 1}'])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / INPUTS).write_text(text)
    with pytest.raises(LabError, match=r"inputs\.json' is damaged"):
        agree(tmp_path, START, accept=False)


def test_inputs_are_models_problems_rewards_versions_threads_and_ranks(
    adders: list[str], sums: str, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text("def reward(completions, **columns):\n    return [1.0 for _ in completions]\n")
    settings = train_settings(agents=tuple(adders[:2]), problems=(sums,), reward=(f"{own}:reward",), device="cpu")
    sources = {"a": adders[0], "b": adders[1]}
    data = read_data(settings.problems, settings.evaluation)

    def now() -> dict[str, str]:
        return inputs_of(sources, data, settings.problems, settings.scaling, "cpu")

    found = now()
    own_inputs = {"the model of 'a'", "the model of 'b'", "the problems", "the rewards"}
    assert found.keys() == own_inputs | {"the number of threads", "the number of ranks"} | versions().keys()
    assert found["the model of 'a'"] != found["the model of 'b'"]
    own.write_text(own.read_text() + "# another version\n")
    again = now()
    assert [name for name in found if found[name] != again[name]] == ["the rewards"]


def test_problems_are_known_by_all_their_columns(tmp_path: Path) -> None:
    marks = []
    for level in (1, 2):
        path = tmp_path / f"{level}.jsonl"
        rows = [{"question": f"{n}+1?", "answer": str(n + 1), "level": level} for n in range(60)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        data = read_data(ProblemSettings(problems=(str(path),)), train_settings().evaluation)
        assert data is not None
        marks.append(data.fingerprint)
    assert marks[0] != marks[1]


def test_the_version_of_an_optional_package_is_known_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("0.1.25", None):
        monkeypatch.setattr("hacrl_runs.inputs.installed_version", lambda name, version=version: version)
        assert versions().get("reasoning-gym") == version
