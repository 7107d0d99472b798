"""A run that is killed at a given moment, and one that continues: a program for tests/integration/test_killed_runs.py.

    python killing.py WORK_FOLDER moments       kill before and after every call that changes the disk while saving
    python killing.py WORK_FOLDER random COUNT  kill after a random time, until COUNT runs were killed

Every time a fresh process trains until it is killed with SIGKILL, another one continues to the end, and what both left
is compared with an undisturbed run, byte for byte. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from hacrl_envs.bandit import bandit_world
from hacrl_lab import checkpoint
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.fit import fit
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.trainer import Trainer

STEPS = 3
CALLS = (
    (checkpoint, "save_file"),
    (Path, "write_text"),
    (Path, "mkdir"),
    (Path, "rename"),
    (shutil, "rmtree"),
    (os, "fsync"),
)
"""Everything by which a checkpoint changes the disk."""


def train(folder: Path) -> None:
    """The run, or the rest of it."""
    world = bandit_world(0, contexts=4, actions=3, length=2)
    agents = [
        TabularAgent(
            name,
            RandomStream(0, Stream.EXAMPLES, k).uniform(4, world.space.prefixes, 3),
            world.space,
            partial(torch.optim.Adam, lr=0.1),
        )
        for k, name in enumerate(("a", "b"))
    ]
    fit(Trainer(agents, world, "hacpo", TrainingConfig(prompts_per_step=4, group_size=4), 0), STEPS, folder, 1)


def in_a_process(work: Callable[[], None]) -> tuple[int, float]:
    """Run in a forked process; returns its signal (0 if it ended by itself) and its seconds."""
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the run failed"
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, time.perf_counter() - started


def killed_at(folder: Path, moment: int) -> None:
    """Train, and be killed before (even moments) or after (odd ones) the call number moment // 2."""
    calls = 0

    def watched(original: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        mine, calls = calls, calls + 1
        if moment == 2 * mine:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if moment == 2 * mine + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    for owner, name in CALLS:
        original = getattr(owner, name)
        setattr(owner, name, lambda *a, _original=original, **o: watched(_original, *a, **o))
    train(folder)


def content(folder: Path) -> dict[str, bytes]:
    """Metrics and the latest checkpoint, by file name."""
    latest = checkpoint.Checkpoints(folder / "checkpoints").latest()
    assert latest is not None
    found = {path.relative_to(latest).as_posix(): path.read_bytes() for path in latest.rglob("*") if path.is_file()}
    return {**found, "name": latest.name.encode(), "metrics": (folder / "metrics.jsonl").read_bytes()}


def main() -> None:
    """See the module."""
    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # forks share its usual one, and keep it if they are killed
    tqdm.monitor_interval = 0  # no thread that a fork would interrupt
    work, mode = Path(sys.argv[1]), sys.argv[2]
    train(work / "whole")  # here, so that what torch imports while training is there in every fork
    reference = content(work / "whole")
    _, seconds = in_a_process(partial(train, work / "timed"))

    kills, different = 0, []
    chance = random.Random(0)
    for attempt in range(10_000):
        folder = work / f"run-{attempt}"
        part = partial(killed_at, folder, attempt)
        if mode == "random":
            part = partial(killed_after, folder, chance.uniform(0, seconds))
        ended_by, _ = in_a_process(part)
        kills += ended_by == signal.SIGKILL
        if mode == "moments" and ended_by == 0:  # every moment of the run is over
            break
        in_a_process(partial(train, folder))
        if content(folder) != reference:
            different.append(attempt)
        shutil.rmtree(folder)
        if mode == "random" and kills == int(sys.argv[3]):
            break
    print(json.dumps({"kills": kills, "different": different, "steps": reference["metrics"].count(b"\n")}))


def killed_after(folder: Path, seconds: float) -> None:
    """Train, and be killed after some time."""
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    train(folder)


if __name__ == "__main__":
    main()
