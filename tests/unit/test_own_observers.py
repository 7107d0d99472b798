"""Errors of a user's own observers are one sentence each, and cost no more of the run than the step they came in."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from test_observers import trainer

from hacrl_lab.checkpoint import Checkpoints
from hacrl_lab.errors import LabError
from hacrl_lab.fit import fit
from hacrl_runs.observers import OwnObserver, Tracker

SOURCE = """
class Good:
    def begin(self, trainer, folder): self.told = ["begin"]
    def step(self, trainer, metrics): self.told.append("step")
    def end(self): print(*self.told, "end")
class InConstructor(Good):
    def __init__(self): raise ValueError("no")
class NeedsArguments(Good):
    def __init__(self, path): pass
class WithoutEnd:
    begin = step = Good.step
class InBegin(Good):
    def begin(self, trainer, folder): return [][3]
class InStep(Good):
    def step(self, trainer, metrics): return metrics["nothing"]
class InEnd(Good):
    def end(self): return 1 / 0
class Exits(Good):
    def step(self, trainer, metrics): raise SystemExit("bye")
class Stops(Good):
    def step(self, trainer, metrics):
        from hacrl_lab.observers import StopTraining
        raise StopTraining("enough")
class Speechless(Good):
    def step(self, trainer, metrics): raise Nameless
class Nameless(Exception):
    def __str__(self): return self.nothing
class InLibrary(Good):
    def step(self, trainer, metrics):
        import json
        json.loads("no")
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The file of observers."""
    path = tmp_path / "own.py"
    path.write_text(SOURCE)
    return str(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("InConstructor", r"raised ValueError in {own}, line 7: no$"),
        ("NeedsArguments", r"raised TypeError in .*: .*missing 1 required positional argument: 'path'$"),
        ("WithoutEnd", r"has no method 'end'; an observer has begin, step and end$"),
        ("nothing", r": '{own}' has no function 'nothing'$"),
    ],
)
def test_what_is_no_observer_is_refused_before_training(own: str, name: str, message: str) -> None:
    with pytest.raises(LabError, match=f"^observer '{re.escape(own)}:{name}'.*{message.format(own=re.escape(own))}"):
        OwnObserver(f"{own}:{name}")


@pytest.mark.parametrize(
    ("name", "message", "steps"),
    [
        ("InBegin", "IndexError in {own}, line 13: list index out of range", 0),
        ("InStep", "KeyError in {own}, line 15: 'nothing'", 1),
        ("InLibrary", "JSONDecodeError in {own}, line 31: Expecting value: line 1 column 1 (char 0)", 1),
        ("Exits", "SystemExit in {own}, line 19: bye", 1),
        ("Speechless", "Nameless in {own}, line 25: Nameless", 1),
        ("InEnd", "ZeroDivisionError in {own}, line 17: division by zero", 3),
    ],
)
def test_an_error_names_its_line_and_the_steps_that_are_done_are_kept(
    own: str, tmp_path: Path, capsys: pytest.CaptureFixture, name: str, message: str, steps: int
) -> None:
    observer = OwnObserver(f"{own}:{name}")
    with pytest.raises(LabError, match=f"^observer '.*:{name}' raised {re.escape(message.format(own=own))}$"):
        fit(trainer(0.1), 3, tmp_path / "run", checkpoint_every=100, observers=[observer])
    assert Checkpoints(tmp_path / "run" / "checkpoints").last_step() == steps
    assert "end" not in capsys.readouterr().out  # of an observer that failed


def test_a_good_one_is_told_of_everything_and_one_may_stop_the_training(
    own: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fit(trainer(0.1), 2, tmp_path / "a", observers=[OwnObserver(f"{own}:Good")])
    assert capsys.readouterr().out == "begin step step end\n"
    fit(trainer(0.1), 9, tmp_path / "b", observers=[OwnObserver(f"{own}:Stops")])
    assert Checkpoints(tmp_path / "b" / "checkpoints").last_step() == 1
    assert capsys.readouterr().out.splitlines() == ["enough", "begin end"]


def test_errors_of_a_tracking_service_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **settings: object) -> None:
        raise ConnectionError("the service is away\nthree more lines")

    service = ModuleType("trackio")
    monkeypatch.setattr(service, "init", fails, raising=False)
    monkeypatch.setattr(service, "log", fails, raising=False)
    monkeypatch.setattr(service, "finish", fails, raising=False)
    monkeypatch.setitem(sys.modules, "trackio", service)
    tracker = Tracker("trackio", "run", {})
    training = trainer(0)
    calls = (lambda: tracker.begin(training, tmp_path), lambda: tracker.step(training, {}), tracker.end)
    for call in calls:
        with pytest.raises(LabError, match=r"^logger trackio failed: the service is away$"):
            call()
