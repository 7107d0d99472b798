"""Code that a run or a file of settings names is executed only if the user knows it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from hacrl_lab.errors import LabError
from hacrl_runs.accepted_code import RECORD, accept, confirm
from hacrl_runs.cli.main import train
from hacrl_runs.command_line import read_command
from hacrl_runs.config_file import write_config
from hacrl_runs.settings import train_settings

CODE = """\
import own_part
from pathlib import Path
Path(__file__).with_name("executed").touch()
def reward(completions, **columns):
    return [own_part.WORTH for _ in completions]
def other(completions, **columns):
    return [0.0 for _ in completions]
class Observer:
    pass
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user who has run nothing yet."""
    monkeypatch.setenv("HACRL_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A file whose import leaves a trace, and which imports another."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "own_part.py").write_text("WORTH = 1.0\n")
    (tmp_path / "run" / "own.py").write_text(CODE)
    return tmp_path / "run" / "own.py"


def run_folder(code: Path, **settings: tuple[str, ...]) -> str:
    """The folder of somebody's run with this code."""
    problems = code.with_name("sums.jsonl")
    problems.write_text('{"question": "1+1", "answer": "2"}\n')
    given = {"reward": (f"{code}:reward*2", "answer"), "observers": (f"{code}:Observer",), **settings}
    write_config(train_settings(agents=("a", "b"), problems=(str(problems),), **given), code.parent / "config.yaml")
    return str(code.parent)


def executed(code: Path) -> bool:
    return code.with_name("executed").exists()


@pytest.mark.parametrize("command", [[], ["--plan"]])
@pytest.mark.parametrize("origin", ["--resume", "--config"])
def test_code_that_somebody_elses_run_names_is_not_executed(
    code: Path, origin: str, command: list[str], capsys: pytest.CaptureFixture
) -> None:
    folder = run_folder(code)
    assert train([*command, origin, folder if origin == "--resume" else f"{folder}/config.yaml"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: '{code}:reward' ('{code}', {len(CODE)} bytes, '{code.parent}/own_part.py', 12")
    assert error.endswith("was not run here before; read it, and confirm it: --accept-code\n")
    assert error.count("\n") == 1
    assert not executed(code)


def test_a_resume_that_is_refused_for_another_reason_executes_nothing(code: Path) -> None:
    assert train(["--resume", run_folder(code), "--seed", "5"]) == 1
    assert not executed(code)


def test_each_kind_of_code_is_confirmed(code: Path) -> None:
    for settings in ({"reward": ("answer",)}, {"observers": ()}):
        with pytest.raises(LabError, match="--accept-code"):
            read_command(["--resume", run_folder(code, **settings)], "hacrl-lab train")
    read_command(["--resume", run_folder(code, reward=("answer",), observers=())], "hacrl-lab train")


def test_code_that_the_user_has_typed_or_confirmed_is_not_asked_for_again(code: Path) -> None:
    words = ["--resume", run_folder(code)]
    typed = ["--reward", f"{code}:reward*2", "answer", "--observers", f"{code}:Observer"]
    assert read_command([*words, *typed], "hacrl-lab train").settings == read_command(words, "hacrl-lab train").settings
    code.write_text(CODE + "# another version\n")
    with pytest.raises(LabError, match="was not run here before"):
        read_command(words, "hacrl-lab train")
    read_command([*words, "--accept-code"], "hacrl-lab train")
    read_command(words, "hacrl-lab train")


@pytest.mark.parametrize("change", ["the file", "what it imports", "the function"])
def test_known_code_is_asked_for_again_when_it_changes(code: Path, change: str) -> None:
    accept([f"{code}:reward"])
    confirm([f"{code}:reward"])
    if change == "the file":
        code.write_text(CODE + "#")
    if change == "what it imports":
        code.with_name("own_part.py").write_text("WORTH = 2.0\n")
    with pytest.raises(LabError, match="was not run here before"):
        confirm([f"{code}:{'other' if change == 'the function' else 'reward'}"])


def test_a_copy_of_known_code_is_known(code: Path, tmp_path: Path) -> None:
    accept([f"{code}:reward"])
    for path in code.parent.glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text())
    confirm([f"{tmp_path / 'own.py'}:reward"])


def test_packages_are_not_imported_before_they_are_confirmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "unknown_package"
    package.mkdir()
    for name in ("__init__", "own", "part"):
        (package / f"{name}.py").write_text(f"import unknown_package.part\nopen({str(tmp_path / name)!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        LabError, match=r"^'unknown_package\.own:reward' \('.*own\.py', .*part\.py', \d+ bytes\) was not"
    ):
        confirm(["unknown_package.own:reward"])
    assert not any((tmp_path / name).exists() for name in ("__init__", "own", "part"))
    accept(["unknown_package.own:reward"])
    confirm(["unknown_package.own:reward"])


def test_functions_of_python_itself_are_confirmed_too() -> None:
    with pytest.raises(LabError, match=r"^'builtins:print' \(of Python itself\) was not run here before"):
        confirm(["builtins:print"])


def test_code_that_is_not_there_is_left_to_the_import() -> None:
    confirm(["missing.py:reward", "no_such_module.own:reward", "json.no_such:reward", "answer", ":", "x:"])


def test_a_damaged_record_confirms_nothing(code: Path, cache: Path) -> None:
    accept([f"{code}:reward"])
    [fingerprint] = json.loads((cache / RECORD).read_text())
    for damaged in ("", "[]", "3", "{", json.dumps([fingerprint])):
        (cache / RECORD).write_text(damaged)
        with pytest.raises(LabError, match="was not run here before"):
            confirm([f"{code}:reward"])
    accept([f"{code}:reward"])
    confirm([f"{code}:reward"])


def test_typed_code_runs_also_where_nothing_can_be_written_down(
    code: Path, cache: Path, capsys: pytest.CaptureFixture
) -> None:
    cache.write_text("a file in its place")
    accept([f"{code}:reward"])
    assert capsys.readouterr().err.startswith(
        "note: a later --resume will ask whether to run this code: HACRL_LAB_CACHE"
    )
    with pytest.raises(LabError, match="was not run here before"):
        confirm([f"{code}:reward"])


def answered(path: str, answer: str) -> tuple[str, str]:
    """What a terminal shows of the question, and what the program does after this answer."""
    ours, theirs = pty.openpty()
    program = (
        "import sys\nfrom hacrl_lab.errors import LabError\nfrom hacrl_runs.accepted_code import confirm\n"
        "try:\n    confirm([sys.argv[1]])\n    print('confirmed')\nexcept LabError as error:\n    print(error)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    output, _ = process.communicate(timeout=60)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    return shown, output.strip()


def test_on_a_terminal_the_user_sees_the_code_and_is_asked(code: Path) -> None:
    code.write_text("\x1b[2J" + CODE + "# line\n" * 20)
    path = f"{code}:reward"
    for answer in ("\n", "n\n", "no\n", "x\n", "\x04"):
        shown, did = answered(path, answer)
        assert did.endswith("is not run")
    assert "Run this code? [y/N]" in shown
    assert "\\x1b[2Jimport own_part" in shown
    assert "\x1b[2J" not in shown
    assert "... 17 lines more" in shown
    assert answered(path, "y\n")[1] == "confirmed"
    confirm([path])  # without a question
    assert not executed(code)
