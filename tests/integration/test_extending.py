"""What ``docs/extending.md`` says about additions to the library is true: the code of the page is run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import hacrl_studies
from hacrl_envs.bandit import bandit_world
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.fit import fit
from hacrl_lab.methods import METHODS, method_rows, methods_help
from hacrl_lab.own_code import load_own
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.trainer import Trainer
from hacrl_studies.command import main

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r'^```(?:python|markdown)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """(file name or nothing, code) of every block of the page."""
    return [(match[1] or "", match[2]) for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]


@pytest.fixture
def methods() -> Iterator[None]:
    """The page adds a method, which must be gone afterwards."""
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)


def test_a_method_is_a_row_a_world_two_functions_and_an_agent_one(methods: None) -> None:
    namespace: dict = {}
    for title, code in blocks():
        if not title:
            exec(compile(code, str(PAGE), "exec"), namespace)
    assert ("hacpo_own_mean", "HACPO, own mean") in [row[:2] for row in method_rows()]
    assert "hacpo_own_mean" in methods_help()
    first, last = namespace["curve"][0], namespace["curve"][-1]
    assert namespace["trainer"].method.label == "HACPO, own mean"
    assert last["accuracy/table"] > 0.7 > 0.55 > first["accuracy/table"]
    assert last["accuracy/blind"] < 0.65  # it cannot tell the contexts apart


def test_an_observer_is_told_of_every_step_and_ends_training(tmp_path: Path) -> None:
    (code,) = (code for title, code in blocks() if title == "accuracy_file.py")
    own = tmp_path / "accuracy_file.py"
    own.write_text(code, encoding="utf-8")
    space = ResponseSpace(symbols=2, length=1)
    agents = [TabularAgent(name, torch.zeros(1, space.prefixes, space.actions), space) for name in "ab"]
    world = bandit_world(0, contexts=1, actions=2, length=1)
    observer = load_own(f"{own}:AccuracyFile", "observer")[0]()
    fit(Trainer(agents, world, "naive", TrainingConfig(), seeds=0), 500, tmp_path / "run", observers=[observer])
    lines = (tmp_path / "run" / "accuracy.txt").read_text(encoding="utf-8").splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))
    assert 1 < len(lines) < 500
    above = [min(map(float, line.split()[1:])) > 0.95 for line in lines]
    assert above[-1]
    assert not any(above[:-1])


def test_a_study_is_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    for title, code in blocks():
        if title:
            path = tmp_path / title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, encoding="utf-8")
    monkeypatch.setattr(hacrl_studies, "__path__", [*hacrl_studies.__path__, str(tmp_path)])
    monkeypatch.chdir(tmp_path)

    assert main([]) == 0
    assert "Does HACPO gain from capabilities" in capsys.readouterr().out
    assert main(["capability_window", "--seeds", "4", "--steps", "3", "--windows", "1", "3"]) == 0
    assert "| K | success | difference from K = 1 |" in capsys.readouterr().out

    folder = tmp_path / "runs" / "capability_window"
    assert (folder / "success.png").stat().st_size > 0
    assert len((folder / "capability_window.csv").read_text().splitlines()) == 1 + 2 * 4
    assert list(json.loads((folder / "score.json").read_text())) == ["success with K = 1", "success with K = 3"]
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "makes no difference" not in page  # was written for other settings
    assert "python experiments/run.py capability_window --seeds 4 --steps 3 --windows 1 3" in page
