"""The attack on the command tells good ends from faults."""

from __future__ import annotations

import random
import shutil
import signal
import sys
from pathlib import Path

import pytest

from attack_changes import attack_by_changes
from attack_runs import End
from attack_words import COMMANDS, METHOD_WORDS, random_words
from hacrl_runs.own_pair.pretrain import build_pair

TRACEBACK = "Traceback (most recent call last):\n  ...\nKeyError: 'a'"


@pytest.mark.parametrize(
    ("status", "text", "fault"),
    [
        (0, "done", None),
        (1, "error: no such file\n", None),
        (1, "50 %|##  |\rerror: no such file\n", None),
        (1, "error: no\nerror: no\n", "2 sentences"),
        (1, "no such file\n", "0 sentences"),
        (1, TRACEBACK, "traceback"),
        (0, TRACEBACK, "traceback"),
        (2, "usage: hacrl-lab", None),
        (70, "", "status 70"),
        (-signal.SIGALRM, "", "hangs"),
        (-signal.SIGSEGV, "", "status -11"),
    ],
)
def test_an_end_is_success_usage_or_one_sentence(status: int, text: str, fault: str | None) -> None:
    assert End(status, text, 1.0).fault() == fault


def test_words_are_of_every_command_and_the_same_for_one_seed(tmp_path: Path) -> None:
    for kind in ("models", "problems", "folders", "configs", "runs"):
        (tmp_path / kind / "good").mkdir(parents=True)
    (tmp_path / "runs" / "good" / "config.yaml").write_text("run: {steps: 1}\n")
    (tmp_path / "own").mkdir()
    for name in ("observers", "rewards"):
        (tmp_path / "own" / f"{name}.txt").write_text(f"{name}.py:Good")

    def attacks() -> list[list[str]]:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        chance = random.Random(0)
        return [random_words(tmp_path, chance) for _ in range(100)]

    words = attacks()
    assert {one[0] for one in words} == set(COMMANDS)
    assert {word for one in words if one[0] == "methods" for word in one[1:]} <= set(METHOD_WORDS)
    assert {"--config", "--resume", "--observers", "--reward"} <= {word for one in words for word in one}
    assert attacks() == words


@pytest.mark.extras
@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (None, set()),
        ("hacrl_runs.inputs.agree", {"continued with other inputs"}),
        ("hacrl_runs.own_folder._refuse_links", {"was not refused"}),
    ],
)
def test_draws_between_two_commands_find_planted_faults(
    tmp_path: Path, planted: str | None, found: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("sys.path", [*sys.path])  # it adds a folder
    if planted == "hacrl_runs.inputs.agree":
        monkeypatch.setattr("hacrl_runs.train.agree", lambda folder, inputs, accept: None)
    elif planted is not None:
        monkeypatch.setattr(planted, lambda folder: None)
    models = {name: str(folder) for name, folder in build_pair("tiny", "short", "cpu").items()}
    result = attack_by_changes(tmp_path, models, 12, 0)
    assert {fault["fault"] for fault in result["faults"]} >= found  # type: ignore[attr-defined]
    assert bool(result["faults"]) == bool(found), result
