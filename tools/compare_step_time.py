"""Seconds of a HACPO step of the tiny pair, here and in another checkout of this repository, step by step in turn.

    python tools/compare_step_time.py --base PATH_OF_THE_OTHER_CHECKOUT

Both checkouts train the same pair from the same start, each in a process of its own; while one makes a step the other
waits. Prints the medians of the whole step and of its parts, and their ratios.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import tyro
from tqdm.auto import trange

HERE = Path(__file__).parents[1]
PARTS = ("generation", "scoring", "updates", "step")

Clock = dict[str, float]
"""Seconds by part of the step."""


@dataclass(frozen=True)
class Options:
    """Compare the time of a step with another checkout's."""

    base: str
    """Folder of the other checkout."""
    steps: int = 8
    """Steps of each, after one that is not counted."""
    threads: int = 0
    """Threads of torch; 0: as many as it takes by itself."""


def timed(clock: Clock, part: str, function: Callable) -> Callable:
    """The function, adding the seconds that it takes to a part."""

    def call(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        result = function(*arguments, **options)
        clock[part] += time.perf_counter() - started
        return result

    return call


@contextmanager
def trainer_with_clock(clock: Clock) -> Iterator[Any]:
    """A trainer of the tiny pair, whose agents' calls are timed."""
    tiny_pair = importlib.import_module("tiny_pair")
    with tiny_pair.tiny_pair_trainer("hacpo") as trainer:
        for agent in trainer.agents:
            for part, name in (("generation", "generate"), ("scoring", "score"), ("updates", "update")):
                setattr(agent, name, timed(clock, part, getattr(agent, name)))
        yield trainer


def work(root: Path) -> None:
    """Make a step for every line of input and answer with its seconds, as JSON."""
    clock: Clock = defaultdict(float)
    with trainer_with_clock(clock) as trainer:
        step = timed(clock, "step", trainer.step)
        for _ in sys.stdin:
            clock.clear()
            step()
            print(json.dumps(clock), flush=True)


class Worker:
    """A process that trains with the code of one checkout."""

    def __init__(self, root: Path, threads: int) -> None:
        folders = [root, root / "envs", root / "experiments", root / "tools", HERE / "tools"]  # its own code first
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
        if threads:
            environment["OMP_NUM_THREADS"] = str(threads)
        code = f"import compare_step_time; compare_step_time.work(compare_step_time.Path({str(root)!r}))"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def step(self) -> Clock:
        """Seconds of one step."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a step ended with status {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()


def run(options: Options) -> str:
    """Take turns; returns the table."""
    from hacrl_runs.tables import markdown_table  # here: workers import this module with the other checkout's code

    workers = {"here": Worker(HERE, options.threads), "base": Worker(Path(options.base).resolve(), options.threads)}
    seconds: dict[str, list[Clock]] = {name: [] for name in workers}
    try:
        for count in trange(options.steps + 1, desc="Steps in turn", unit="step"):
            for name, worker in workers.items():
                clock = worker.step()
                if count > 0:
                    seconds[name].append(clock)
    finally:
        for worker in workers.values():
            worker.close()
    rows = []
    for part in PARTS:
        here, base = (median(clock[part] for clock in seconds[name]) for name in ("here", "base"))
        rows.append([part, *(f"{value:.2f}" for value in (base, here, here / base))])
    table = markdown_table(["part of a step", "base, s", "here, s", "here / base"], rows)
    return f"{table}\n\nMedians of {options.steps} steps."


if __name__ == "__main__":
    print(run(tyro.cli(Options, description=__doc__)))
