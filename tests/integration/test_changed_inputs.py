"""What changed × where it must be noticed: by an evaluation, before a run is continued, and before its next method."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from test_llm_pair import OPTIONS
from transformers import AutoConfig, AutoModelForCausalLM

import hacrl_envs.reasoning
import hacrl_runs.inputs
from hacrl_envs import rewards
from hacrl_runs.cli.main import evaluate, train

ONE_STEP = ("--steps", "1", "--eval-prompts", "4", "--eval-samples", "1")
FEW = [
    *("--most-problems", "4", "--samples", "1", "--max-new-tokens", "4", "--device", "cpu"),
    *("--prompt-template", "{question}\n"),
]
HUB_ID, COMMITS = "owner/b", ("1" * 40, "2" * 40)
BRANCH = Path("hub", "models--owner--b", "refs", "main")
VERSIONS = ((hacrl_runs.inputs, "version"), (hacrl_envs.reasoning, "installed_version"))
"""Functions that say which versions of packages there are."""


@dataclass(frozen=True)
class Inputs:
    """Everything of the user's that a run reads."""

    folder: Path
    models: Sequence[str]
    asked: Sequence[str]
    """Problems and rewards, as options."""

    @property
    def words(self) -> list[str]:
        """Of ``hacrl-lab train``."""
        return ["--agents", *self.models, *self.asked, *OPTIONS, *ONE_STEP]

    def evaluated(self) -> int:
        """How many batches ``hacrl-lab evaluate`` computes of which it has no records."""
        cells = self.folder / "cells"
        before, out = len(list(cells.glob("*.npz"))), self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        places = ["--output-dir", str(out), "--cache-dir", str(cells)]
        assert evaluate(["--models", *self.models, *self.asked, *FEW, *places]) == 0
        return len(list(cells.glob("*.npz"))) - before


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


@contextmanager
def put_back(folder: Path) -> Iterator[None]:
    """Afterwards all files have the content that they had, this process its versions and its threads."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        for module, name in VERSIONS:
            patch.setattr(module, name, getattr(module, name))
        yield
    torch.set_num_threads(threads)
    for path in set(folder.rglob("*")) - set(before):
        if path.is_file():
            path.unlink()
    for path, content in before.items():
        path.write_bytes(content)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "template": (
        lambda folder: (folder / "a" / "chat_template.jinja").write_text("{{ messages }}"),
        "the model of 'a'",
    ),
    "weights": (lambda folder: flip_last_byte(folder / "a" / "model.safetensors"), "the model of 'a'"),
    "commit": (lambda folder: (folder / BRANCH).write_text(COMMITS[1]), "the model of 'b'"),
    "tokenizer": (lambda folder: append(folder / "a" / "tokenizer.json", "\n"), "the model of 'a'"),
    "column": (lambda folder: other_row(folder, level=2), "the problems"),
    "answer": (lambda folder: other_row(folder, answer="9"), "the problems"),
    "reward": (lambda folder: append(folder / "own_reward.py"), "the rewards"),
    "imported": (lambda folder: append(folder / "own_words.py"), "the rewards"),
}
"""What changes, and what the message calls it."""


@pytest.fixture
def inputs(adders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inputs]:
    """A model's folder, a model of the hub as its client keeps it, problems with a column, and a reward function that
    imports a file beside it.
    """
    shutil.copytree(adders[0], tmp_path / "a")
    for commit in COMMITS:  # of equal content
        shutil.copytree(adders[1], (tmp_path / BRANCH).parent.parent / "snapshots" / commit)
    (tmp_path / BRANCH).parent.mkdir()
    (tmp_path / BRANCH).write_text(COMMITS[0])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "own_words.py").write_text("WORTH = 1.0\n")
    (tmp_path / "own_reward.py").write_text(
        "import own_words\n"
        "def reward(completions, answer, level, **columns):\n"
        "    return [own_words.WORTH * (a in text) for a, text in zip(answer, completions)]\n"
    )
    rows = [{"question": f"{n}+8?", "answer": str(n + 8), "level": 1} for n in range(60)]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.syspath_prepend(str(tmp_path))
    own = ["--problems", str(tmp_path / "problems.jsonl"), "--reward", f"{tmp_path / 'own_reward.py'}:reward"]
    yield Inputs(tmp_path, [str(tmp_path / "a"), HUB_ID], own)
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
        with put_back(inputs.folder):
            change(inputs.folder)
            capsys.readouterr()
            assert train(again) == 1, name
            assert called in capsys.readouterr().err, name
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
CHANGES_OF_EXTRAS: dict[str, tuple[Callable[[Path], object], str]] = {
    "base": (lambda folder: flip_last_byte(folder / "base" / "model.safetensors"), "the model of 'adapter'"),
    "reasoning gym": (lambda _: setattr(hacrl_envs.reasoning, "installed_version", lambda name: "0"), "the tasks"),
}
"""The same, with an adapter and with tasks of Reasoning Gym."""
EVERY_CHANGE = {**CHANGES, **CHANGES_OF_A_PROCESS, **CHANGES_OF_EXTRAS}


def test_an_evaluation_with_other_inputs_is_computed_anew(inputs: Inputs) -> None:
    assert inputs.evaluated() > 0
    for name, (change, _) in {**CHANGES, **CHANGES_OF_A_PROCESS}.items():
        assert inputs.evaluated() == 0, f"put back after {name}"
        with put_back(inputs.folder):
            change(inputs.folder)
            assert inputs.evaluated() > 0, name


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CHANGES, *CHANGES_OF_A_PROCESS])
def test_a_second_method_does_not_start_with_other_inputs(
    inputs: Inputs, name: str, capsys: pytest.CaptureFixture
) -> None:
    second_method_does_not_start(inputs, name, capsys)


def second_method_does_not_start(inputs: Inputs, name: str, capsys: pytest.CaptureFixture) -> None:
    """An observer of the user's makes the change at the end of the first method."""
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
        f"            test_changed_inputs.EVERY_CHANGE[{name!r}][0](Path({str(inputs.folder)!r}))\n"
    )
    own = ["--observers", f"{inputs.folder / 'own_observer.py'}:Changes"]
    run = inputs.folder / "run"
    with put_back(inputs.folder):
        assert train([*inputs.words, *own, "--output-dir", str(run)]) == 1
        assert EVERY_CHANGE[name][1] in capsys.readouterr().err
        assert (run / "gspo" / "evaluation.json").is_file()  # what was done before is kept
        assert not (run / "hacpo" / "metrics.jsonl").exists()


@pytest.fixture
def adapter_and_tasks(adders: list[str], tmp_path: Path) -> Inputs:
    """A model and an adapter of another, which are asked tasks of Reasoning Gym."""
    peft = pytest.importorskip("peft")
    pytest.importorskip("reasoning_gym")
    for name, source in zip(("a", "base"), adders, strict=False):
        shutil.copytree(source, tmp_path / name)
        config = AutoConfig.from_pretrained(tmp_path / name, max_position_embeddings=512)  # long questions
        config.save_pretrained(tmp_path / name)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    peft.get_peft_model(base, peft.LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path / "adapter")
    models = [str(tmp_path / "a"), str(tmp_path / "adapter")]
    return Inputs(tmp_path, models, ["--tasks", "chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1"])


@pytest.mark.extras
@pytest.mark.parametrize("name", CHANGES_OF_EXTRAS)
def test_another_base_or_another_reasoning_gym_is_noticed(
    adapter_and_tasks: Inputs, name: str, capsys: pytest.CaptureFixture
) -> None:
    inputs, (change, called) = adapter_and_tasks, CHANGES_OF_EXTRAS[name]
    assert inputs.evaluated() > 0
    assert inputs.evaluated() == 0
    with put_back(inputs.folder):
        change(inputs.folder)
        assert inputs.evaluated() > 0

    run = inputs.folder / "first"
    assert train([*inputs.words, "--compare", "none", "--output-dir", str(run)]) == 0
    with put_back(inputs.folder):
        change(inputs.folder)
        capsys.readouterr()
        assert train(["--resume", str(run), "--steps", "2"]) == 1
        assert called in capsys.readouterr().err
    second_method_does_not_start(inputs, name, capsys)
