"""What changed × where it must be noticed: before a run is continued, and between two methods of one run.

Evaluations: ``unit/test_evaluation_records.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from test_llm_pair import OPTIONS

import hacrl_runs.inputs
from hacrl_envs import rewards
from hacrl_runs.cli.main import train

ONE_STEP = ("--steps", "1", "--eval-prompts", "4", "--eval-samples", "1")


@dataclass(frozen=True)
class Inputs:
    """Everything of the user's that a run reads."""

    folder: Path

    @property
    def words(self) -> list[str]:
        """Of the command line."""
        own = ["--problems", str(self.folder / "problems.jsonl"), "--reward", f"{self.folder / 'own_reward.py'}:reward"]
        return ["--agents", str(self.folder / "a"), str(self.folder / "b"), *own, *OPTIONS, *ONE_STEP]


def flip_last_byte(path: Path) -> None:
    """Other content of the same size, with the same time stamp."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def append(path: Path, text: str = "# another version\n") -> None:
    path.write_text(path.read_text() + text)


def other_row(folder: Path, **change: object) -> None:
    """The first problem with another value."""
    path = folder / "problems.jsonl"
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps(json.loads(first) | change) + "\n" + "".join(others))


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "template": (
        lambda folder: (folder / "a" / "chat_template.jinja").write_text("{{ messages }}"),
        "the model of 'a'",
    ),
    "weights": (lambda folder: flip_last_byte(folder / "b" / "model.safetensors"), "the model of 'b'"),
    "tokenizer": (lambda folder: append(folder / "a" / "tokenizer.json", "\n"), "the model of 'a'"),
    "column": (lambda folder: other_row(folder, level=2), "the problems"),
    "answer": (lambda folder: other_row(folder, answer="9"), "the problems"),
    "reward": (lambda folder: append(folder / "own_reward.py"), "the rewards"),
    "imported": (lambda folder: append(folder / "own_words.py"), "the rewards"),
}
"""What changes, and what the message calls it."""


@pytest.fixture
def inputs(adders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inputs]:
    """Two models, problems with a column, and a reward function that imports a file beside it."""
    for name, source in zip(("a", "b"), adders, strict=False):
        shutil.copytree(source, tmp_path / name)
    (tmp_path / "own_words.py").write_text("WORTH = 1.0\n")
    (tmp_path / "own_reward.py").write_text(
        "import own_words\n"
        "def reward(completions, answer, level, **columns):\n"
        "    return [own_words.WORTH * (a in text) for a, text in zip(answer, completions)]\n"
    )
    rows = [{"question": f"{n}+8?", "answer": str(n + 8), "level": 1} for n in range(60)]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Inputs(tmp_path)
    sys.modules.pop("own_words", None)
    rewards._PROCESS.close()  # which has imported it, too


def test_a_run_is_not_continued_with_other_inputs_unless_they_are_accepted(
    inputs: Inputs, capsys: pytest.CaptureFixture
) -> None:
    run = inputs.folder / "run"
    assert train([*inputs.words, "--compare", "none", "--output-dir", str(run)]) == 0
    again = ["--resume", str(run), "--steps", "2", "--accept-code"]
    began = json.loads((run / "inputs.json").read_text())
    more: dict[str, tuple[Callable[[Path], object], str]] = {
        "torch": (lambda _: _write(run, {**began["inputs"], "torch": "2.12.0"}), "torch (2.12.0, now"),
        "threads": (lambda _: _write(run, {**began["inputs"], "the number of threads": "9"}), "threads (9, now"),
        "ranks": (lambda _: _write(run, {**began["inputs"], "the number of ranks": "2"}), "ranks (2, now"),
    }
    for name, (change, called) in {**CHANGES, **more}.items():
        before = {path: path.read_bytes() for path in inputs.folder.rglob("*") if path.is_file()}
        change(inputs.folder)
        capsys.readouterr()
        assert train(again) == 1, name
        assert called in capsys.readouterr().err, name
        for path in set(inputs.folder.glob("*/*")) - set(before):
            if path.is_file():
                path.unlink()
        for path, content in before.items():
            path.write_bytes(content)
    append(inputs.folder / "own_words.py")
    assert train([*again, "--accept-changes"]) == 0
    assert "**Continued although** the rewards (" in (run / "summary.md").read_text()
    assert train(again) == 0


def _write(run: Path, inputs: dict[str, str]) -> None:
    (run / "inputs.json").write_text(json.dumps({"inputs": inputs, "accepted": []}))


CHANGES_OF_A_PROCESS: dict[str, tuple[Callable[[Path], object], str]] = {
    "torch": (lambda _: setattr(hacrl_runs.inputs, "version", lambda name: "0"), "torch"),
    "threads": (lambda _: torch.set_num_threads(torch.get_num_threads() + 1), "the number of threads"),
}
"""The same, of what a run itself depends on while it runs."""
BETWEEN_METHODS = {**CHANGES, **CHANGES_OF_A_PROCESS}


@pytest.mark.slow
@pytest.mark.parametrize("name", BETWEEN_METHODS)
def test_a_second_method_does_not_start_with_other_inputs(
    inputs: Inputs, name: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, called = BETWEEN_METHODS[name]
    monkeypatch.setattr(hacrl_runs.inputs, "version", hacrl_runs.inputs.version)  # put back afterwards
    threads = torch.get_num_threads()
    (inputs.folder / "own_observer.py").write_text(
        "import test_changed_inputs\n"
        "from pathlib import Path\n"
        "class Changes:\n"
        "    done = False\n"
        "    def begin(self, trainer, folder):\n        pass\n"
        "    def step(self, trainer, metrics):\n        pass\n"
        "    def end(self):\n"
        "        if not Changes.done:\n"
        "            Changes.done = True\n"
        f"            test_changed_inputs.BETWEEN_METHODS[{name!r}][0](Path({str(inputs.folder)!r}))\n"
    )
    own = ["--observers", f"{inputs.folder / 'own_observer.py'}:Changes"]
    run = inputs.folder / "run"
    try:
        assert train([*inputs.words, *own, "--output-dir", str(run)]) == 1
    finally:
        torch.set_num_threads(threads)
    assert called in capsys.readouterr().err
    assert (run / "gspo" / "evaluation.json").is_file()  # what was done before is kept
    assert not (run / "hacpo" / "metrics.jsonl").exists()
