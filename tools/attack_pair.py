"""Attacks on the command ``hacrl-lab``: clumsy and hostile inputs, kill -9, full disks, lost processes.

    python tools/attack_pair.py options --count 1000     random inputs: every end is success or one sentence
    python tools/attack_pair.py kill --count 100         killed at random moments, then continued to the same bytes
    python tools/attack_pair.py disk --count 10          on disks of several sizes, which run full (needs to be root)
    python tools/attack_pair.py changes --count 1000     files, links and folders that change between two commands
    python tools/attack_pair.py processes --count 60     any process of a run, with Ray or without, killed or stopped

Every run is a process forked from one that has imported everything. ``options`` fails on a traceback, which is a fault
of the program, on an end that is neither success nor one sentence, on more than a minute, and on a changed file of
somebody else. ``processes`` fails if a loss is not reported in one sentence within a minute, if anything is left two
minutes later, and if the continued run differs from an undisturbed one. Prints one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Literal

import torch
import tyro
from tqdm import tqdm

from attack_changes import attack_by_changes
from attack_inputs import make_inputs
from attack_processes import attack_by_signals
from attack_runs import content, long_words, run
from attack_words import random_words
from hacrl_runs.config_file import CONFIG
from hacrl_runs.own_pair.pretrain import build_pair

PROJECT = Path(__file__).resolve().parent.parent

IMPORTED = (
    "hacrl_runs.plan",
    "hacrl_runs.describe",
    "hacrl_runs.evaluation.evaluate",
    "hacrl_runs.train",
    "transformers.models.gpt2.modeling_gpt2",
    "transformers.models.llama.modeling_llama",
    "transformers.models.qwen3.modeling_qwen3",
)
"""Once, before processes are forked."""
ENDS = {0: "success", 1: "one sentence", 2: "usage"}
"""By exit status."""


def attack_options(work: Path, models: dict[str, str], count: int, seed: int) -> dict[str, object]:
    """Random inputs; the faults with the words that led to them."""
    inputs = work / "inputs"
    make_inputs(inputs, models, lambda words: run(words, work / "good.log").status)
    theirs = _digest(inputs)
    chance = random.Random(seed)
    ends: Counter[str] = Counter()
    faults: list[dict[str, object]] = []
    for number in tqdm(range(count), unit="attack"):
        words = random_words(inputs, chance)
        end = run(words, work / "attack.log")
        fault = end.fault()
        if _digest(inputs) != theirs:
            fault = "changed a foreign file"
            shutil.rmtree(inputs)
            make_inputs(inputs, models, lambda words: run(words, work / "good.log").status)
            theirs = _digest(inputs)  # the run among them has other times
        ends[f"{words[0]}, {ENDS.get(end.status, f'status {end.status}') if fault is None else 'fault'}"] += 1
        if fault is not None:
            faults.append({"number": number, "fault": fault, "words": words, "text": end.text[-1500:]})
            tqdm.write(json.dumps(faults[-1]), file=sys.stderr)
        for made in (inputs / "out", work / "runs"):
            shutil.rmtree(made, ignore_errors=True)
    return {"attacks": count, "ends": dict(sorted(ends.items())), "faults": faults}


def attack_by_killing(work: Path, models: dict[str, str], count: int, seed: int) -> dict[str, object]:
    """Runs that are killed at a random moment and continue; which of them ended differently from an undisturbed one."""
    words = long_words(work, models)
    whole = run([*words, "--output-dir", str(work / "whole")], work / "whole.log", 600)
    assert whole.status == 0, whole.text
    reference = content(work / "whole")
    chance = random.Random(seed)
    different, folder = [], work / "run"
    for number in tqdm(range(count), unit="kill"):
        command = [*words, "--output-dir", str(folder)]
        run(command, work / "killed.log", 600, kill_after=chance.uniform(0, whole.seconds))
        again = ["train", "--resume", str(folder)] if (folder / CONFIG).exists() else command
        end = run(again, work / "again.log", 600)
        if end.status != 0 or content(folder) != reference:
            different.append({"number": number, "status": end.status, "text": end.text[-300:]})
        shutil.rmtree(folder)
    return {"kills": count, "seconds of the whole run": round(whole.seconds, 1), "different": different}


def attack_by_full_disks(work: Path, models: dict[str, str], count: int, seed: int) -> dict[str, object]:
    """Runs on disks of several sizes that run full, and continue when there is room."""
    words = long_words(work, models)
    whole = run([*words, "--output-dir", str(work / "whole")], work / "whole.log", 600)
    reference = content(work / "whole")
    largest = sum(path.stat().st_size for path in (work / "whole").rglob("*") if path.is_file())
    disk, sizes, faults = work / "disk", [], []
    disk.mkdir()
    for number in tqdm(range(count), unit="disk"):
        size = round(largest * (number + 0.5) / count)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)], check=True)
        try:
            command = [*words, "--output-dir", str(disk / "run")]
            full = run(command, work / "full.log", 600)
            sizes.append(size)
            subprocess.run(["mount", "-o", "remount,size=2g", str(disk)], check=True)
            again = ["train", "--resume", str(disk / "run")] if (disk / "run" / CONFIG).exists() else command
            end = run(again, work / "again.log", 600)
            if full.fault() or full.status != 1 or end.status != 0 or content(disk / "run") != reference:
                faults.append({"size": size, "full": full.text[-300:], "again": end.text[-300:]})
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    return {"disks": count, "bytes": sizes, "seconds of the whole run": round(whole.seconds, 1), "faults": faults}


def _digest(folder: Path) -> str:
    """Of all files below a folder but those of attacks."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if "out" not in path.relative_to(folder).parts and path.is_file() and path.name != ".lock":
            digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


ATTACKS = {
    "options": attack_options,
    "kill": attack_by_killing,
    "disk": attack_by_full_disks,
    "changes": attack_by_changes,
    "processes": attack_by_signals,
}


def main(
    kind: tyro.conf.Positional[Literal["options", "kill", "disk", "changes", "processes"]],
    count: int = 100,
    seed: int = 0,
    models: tuple[str, ...] = (),
) -> int:
    """Attack.

    Args:
        kind: of attack.
        count: how many.
        seed: of the random choices.
        models: folders of two good models; by default the lab's own pair.
    """
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
    torch.set_num_threads(1)
    for module in IMPORTED:
        import_module(module)
    chosen = dict(zip("ab", models or map(str, build_pair("tiny", "short", "cpu").values()), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        found = ATTACKS[kind](Path(folder), chosen, count, seed)
    print(json.dumps(found, indent=1))
    return 1 if found.get("faults") or found.get("different") else 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main, description=__doc__))
