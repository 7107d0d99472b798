"""What may happen between two commands of ``hacrl-lab``: files that change, links, others' folders, stopped processes.

Every draw begins with the same finished run and evaluation. Something happens; then a second command must notice what
matters, must not be disturbed by what does not, and may write nowhere but into its own folder.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm
from transformers import AutoModelForCausalLM

from attack_events import CHANGES, FOREIGN, FREE, NOTHING, OWN, write_rows
from attack_runs import run
from attack_words import QUICK
from hacrl_lab.extras import extra
from hacrl_lab.files import LOCK, locked

KINDS = ("evaluate", "resume", "resume", "folder", "folder", "together")
"""Of draws, each as often as it is chosen."""
QUICK_EVALUATION = ["--most-problems", "4", "--samples", "1", "--max-new-tokens", "4", "--device", "cpu"]
REWARD = """
import own_words
def reward(completions, answer, level, **columns):
    return [own_words.WORTH * level * (right in text) for right, text, level in zip(answer, completions, level)]
"""


def attack_by_changes(work: Path, models: Mapping[str, str], count: int, seed: int) -> dict[str, object]:
    """Draw, and check each second command; the faults with what happened before it."""
    stage = Stage(work)
    stage.prepare(models)
    chance = random.Random(seed)
    ends: Counter[str] = Counter()
    faults: list[dict[str, object]] = []
    draws = {"evaluate": _evaluated_anew, "resume": _resumed, "folder": _written_elsewhere, "together": _together}
    for number in tqdm(range(count), unit="draw"):
        stage.restore()
        kind = chance.choice(KINDS)
        happened, fault = draws[kind](stage, chance)
        ends[f"{kind}, {'fault' if fault else 'as it must be'}"] += 1
        if fault:
            faults.append({"number": number, "kind": kind, "happened": happened, "fault": fault})
            tqdm.write(json.dumps(faults[-1]), file=sys.stderr)
    return {"draws": count, "ends": dict(sorted(ends.items())), "faults": faults}


@dataclass
class Stage:
    """The files that a draw begins with.

    Args:
        work: a folder for all of it.
    """

    work: Path

    @property
    def now(self) -> Path:
        """The folder in which things happen."""
        return self.work / "now"

    def prepare(self, models: Mapping[str, str]) -> None:
        """Two models, one of them an adapter with its base, problems, a reward, a finished run and an evaluation."""
        now = self.now
        for name, source in zip(("a", "base"), models.values(), strict=True):
            shutil.copytree(source, now / "models" / name)
        _make_adapter(now / "models" / "base", now / "models" / "adapter")
        rows = [{"question": f"{n}+8", "answer": str(n + 8), "level": 1} for n in range(40)]
        write_rows(now / "problems.jsonl", rows)
        (now / "own_reward.py").write_text(REWARD)
        (now / "own_words.py").write_text("WORTH = 1.0\n")
        sys.path.insert(0, str(now))
        foreign = now / "foreign"
        (foreign / "records").mkdir(parents=True)
        for name in ("README.md", "config.json", "table.tex", "records/theirs.jsonl"):
            (foreign / name).write_text("theirs\n")
        assert run(self.train(now / "run"), self.work / "log").status == 0, (self.work / "log").read_text()
        assert run(self.evaluate(now / "evaluation", now / "cells"), self.work / "log").status == 0
        shutil.copytree(now, self.work / "good", symlinks=True)
        assert run(self.resume(), self.work / "log").status == 0, (self.work / "log").read_text()
        self.resumed = results_of(now / "run")

    def restore(self) -> None:
        """Everything as :meth:`prepare` left it."""
        shutil.rmtree(self.now)
        shutil.copytree(self.work / "good", self.now, symlinks=True)

    def _inputs(self) -> list[str]:
        now = self.now
        return ["--problems", str(now / "problems.jsonl"), "--reward", f"{now / 'own_reward.py'}:reward"]

    def _models(self) -> list[str]:
        return [str(self.now / "models" / name) for name in ("a", "adapter")]

    def train(self, folder: Path) -> list[str]:
        """The words of a run."""
        return ["train", "--agents", *self._models(), *self._inputs(), *QUICK, "--output-dir", str(folder)]

    def resume(self, *more: str) -> list[str]:
        """The words that continue the run by a step."""
        return ["train", "--resume", str(self.now / "run"), "--steps", "2", "--accept-code", *more]

    def evaluate(self, folder: Path, cells: Path) -> list[str]:
        """The words of an evaluation."""
        folders = ["--output-dir", str(folder), "--cache-dir", str(cells)]
        return ["evaluate", "--models", *self._models(), *self._inputs(), *QUICK_EVALUATION, *folders]


def _make_adapter(base: Path, folder: Path) -> None:
    peft = extra("peft", "lora")
    config = peft.LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(str(folder))
    for path in base.glob("*token*"):
        shutil.copy(path, folder)


def _happens(stage: Stage, chance: random.Random) -> tuple[list[str], list[str]]:
    """Let one to three things happen; returns what, and what a message calls those that matter."""
    drawn = chance.sample([*CHANGES, *NOTHING], chance.choice((1, 1, 2, 3)))
    for name in drawn:
        (CHANGES[name][0] if name in CHANGES else NOTHING[name])(stage.now)
    return drawn, sorted({CHANGES[name][1] for name in drawn if name in CHANGES})


def _evaluated_anew(stage: Stage, chance: random.Random) -> tuple[list[str], str | None]:
    """An evaluation after changes gives what one without a cache gives, and computes nothing twice."""
    happened, matters = _happens(stage, chance)
    now, log = stage.now, stage.work / "log"
    cells = _names(now / "cells")
    end = run(stage.evaluate(now / "evaluation", now / "cells"), log)
    if (fault := end.fault()) is not None or (end.status != 0 and not matters):
        return happened, f"{fault}: {end.text[-500:]}"
    if not matters:
        return happened, None if _names(now / "cells") == cells else "computed again what had not changed"
    fresh = run(stage.evaluate(now / "fresh", now / "fresh-cells"), log)
    if end.status != fresh.status:
        return happened, f"status {end.status}, without a cache {fresh.status}"
    if end.status == 0 and _records(now / "evaluation") != _records(now / "fresh"):
        return happened, "served old results"
    return happened, None


def _resumed(stage: Stage, chance: random.Random) -> tuple[list[str], str | None]:
    """A run is continued with the same inputs only, or where changes are accepted; refused, it stays as it was."""
    happened, matters = _happens(stage, chance)
    accepted = chance.random() < 0.3
    before = content_of(stage.now)
    end = run(stage.resume(*["--accept-changes"] * accepted), stage.work / "log")
    if (fault := end.fault()) is not None:
        return happened, f"{fault}: {end.text[-500:]}"
    if not matters:
        if end.status != 0:
            return happened, f"refused: {end.text[-500:]}"
        return happened, None if results_of(stage.now / "run") == stage.resumed else "other results"
    if accepted and end.status == 0:
        page = (stage.now / "run" / "summary.md").read_text()
        return happened, None if all(name in page for name in matters) else "the page does not name the change"
    if end.status == 0:
        return happened, "continued with other inputs"
    if content_of(stage.now) != before:
        return happened, "refused, and changed files"
    return happened, None if accepted or all(name in end.text for name in matters) else f"unnamed: {end.text[-500:]}"


def _written_elsewhere(stage: Stage, chance: random.Random) -> tuple[list[str], str | None]:
    """A command writes into folders of its own only, and not while another process, alive or stopped, works there."""
    command = chance.choice(("train", "evaluate", "resume"))
    refused = OWN[command] if command == "resume" else {**FOREIGN, **OWN[command]}
    name = chance.choice([*refused, *FREE[command], "stopped", "alive"])
    busy = name in ("stopped", "alive")
    place = FREE[command][chance.choice(list(FREE[command]))] if busy else {**refused, **FREE[command]}[name]
    folder = place(stage.now)
    words = {
        "train": stage.train(folder),
        "evaluate": stage.evaluate(folder, stage.work / "cells"),
        "resume": stage.resume(),
    }[command]
    with _another_process(folder, name) if busy else nullcontext():
        before = content_of(stage.now)
        end = run(words, stage.work / "log")
    happened = [command, name, folder.relative_to(stage.now).as_posix()]
    if (fault := end.fault()) is not None:
        return happened, f"{fault}: {end.text[-500:]}"
    if name in FREE[command]:
        mine = happened[2].split("/")[0]
        theirs, after = (
            {path: one for path, one in found.items() if path.split("/")[0] != mine}
            for found in (before, content_of(stage.now))
        )
        return happened, "wrote elsewhere" if after != theirs else None if end.status == 0 else end.text[-500:]
    if end.status == 0:
        return happened, "was not refused"
    return happened, None if content_of(stage.now) == before else "refused, and changed files"


def _together(stage: Stage, chance: random.Random) -> tuple[list[str], str | None]:
    """Of two equal commands at the same time in one folder one may be refused; nothing is computed by halves."""
    now, log = stage.now, stage.work / "log"
    name = chance.choice(("train", "evaluate", "one cache"))
    one, other = now / "new", now / ("other" if name == "one cache" else "new")
    run_in = [
        stage.train(path) if name == "train" else stage.evaluate(path, now / "new-cells") for path in (one, other)
    ]
    child = os.fork()
    if child == 0:
        time.sleep(chance.choice((0, 0.2, 1)))
        os._exit(int(run(run_in[1], stage.work / "other-log").fault() is not None))
    end = run(run_in[0], log)
    if os.waitpid(child, 0)[1] != 0:
        return [name], (stage.work / "other-log").read_text()[-500:]
    if (fault := end.fault()) is not None:
        return [name], f"{fault}: {end.text[-500:]}"
    if name == "train":
        return [name], None if results_of(one) == results_of(stage.work / "good" / "run") else "other results"
    right = _records(now / "evaluation")
    return [name], None if all(_records(path) == right for path in {one, other}) else "other records"


@contextmanager
def _another_process(folder: Path, state: str) -> Iterator[None]:
    """Holds the folder's lock within the block, running or stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        with locked(folder):
            os.write(told, b"1")
            signal.pause()
        os._exit(0)
    os.read(ready, 1)
    if state == "stopped":
        os.kill(child, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(told)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def _records(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "records").iterdir())}


def results_of(run: Path) -> dict[str, bytes]:
    """What a run has come to, by file."""
    parts = ("metrics.jsonl", "samples.jsonl", "evaluation.json")
    found = [path for path in sorted(run.rglob("*")) if path.name in parts or path.suffix == ".safetensors"]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in found if "checkpoints" not in path.parts}


def content_of(folder: Path) -> dict[str, object]:
    """Every file, folder and link below a folder, by name; locks and compiled files left out."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.name == LOCK or "__pycache__" in path.parts:
            continue
        name = path.relative_to(folder).as_posix()
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found
