"""Commands that programs print can be pasted into a shell."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from hacrl_lab.config import flat
from hacrl_lab.errors import LabError
from hacrl_runs.command_line import read_command
from hacrl_runs.evaluation.models import models_of
from hacrl_runs.folder import begin, run_folder
from hacrl_runs.program import as_typed
from hacrl_runs.settings import TrainSettings, train_settings
from hacrl_runs.shell import option_words, resume_command, shell_line

FOLDERS = [
    "runs/a b",
    "it's",
    '"quoted"',
    "$HOME",
    "a; b",
    "`id`",
    "*?[x]",
    "~/run",
    "a\\b",
    "#a",
    "!a",
    "größe ω",
    "runs/max_new_tokens",
    "steps and steps",
]
UNPRINTABLE = ["two\nlines", "tab\tand 'quotes'\\n", "\x1b[31mred", "\x7f9", "right\u202eleft"]
NAMES = tuple(flat(TrainSettings()))


def in_bash(command: str, folder: Path) -> list[str]:
    """The words that bash makes of a command."""
    script = "hacrl-lab() { printf '%s\\0' hacrl-lab \"$@\"; }; " + command
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_printed_command_is_read_as_it_was_meant(folder: str, tmp_path: Path) -> None:
    words = ["hacrl-lab", "train", "--resume", folder]
    assert shlex.split(resume_command(Path(folder))) == words
    assert in_bash(resume_command(Path(folder)), tmp_path) == words


@pytest.mark.parametrize("folder", UNPRINTABLE)
def test_a_printed_command_is_printable_and_on_one_line(folder: str, tmp_path: Path) -> None:
    command = resume_command(Path(folder))
    assert command.isprintable()
    assert in_bash(command, tmp_path) == ["hacrl-lab", "train", "--resume", folder]


def test_values_that_look_like_options_are_read_as_values() -> None:
    settings = train_settings(output_dir="-x", prompt_template=("- {question}",))
    words = option_words(flat(settings), flat(TrainSettings()))
    assert read_command(shlex.split(shell_line(words)), "hacrl-lab train").settings == settings
    assert resume_command(Path("-x")) == "hacrl-lab train --resume=-x"


@pytest.mark.parametrize("name", FOLDERS)
def test_commands_in_error_messages_are_whole(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    with run_folder(train_settings(output_dir=str(folder), device="cpu")):
        begin(folder, train_settings(output_dir=str(folder), device="cpu"), {"hacrl-lab": "1"})
    with pytest.raises(LabError) as no_agents:
        models_of([str(folder)])
    with (
        pytest.raises(LabError) as another_run,
        run_folder(train_settings(output_dir=str(folder), device="cpu", seed=1)),
    ):
        pass
    for raised in (no_agents, another_run):
        _, command = as_typed(str(raised.value), NAMES).split("continue it: ")
        assert shlex.split(command) == ["hacrl-lab", "train", "--resume", str(folder)]
