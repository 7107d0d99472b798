"""Runs of ``hacrl-lab`` in processes that are forked from one that has imported everything."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hacrl_runs.cli import main as command

SECONDS = 60
"""A quick run that takes longer hangs."""
MEMORY = 12 * 2**30
"""Bytes of address space that a run may have."""
LONGER_RUN = [
    *("--steps", "3", "--prompts-per-step", "2", "--group-size", "2", "--minibatches", "1", "--checkpoint-every", "1"),
    *("--eval-prompts", "4", "--eval-samples", "1", "--max-new-tokens", "12", "--device", "cpu", "--patience", "0"),
    *("--answer-rule", "last_number"),
]


@dataclass(frozen=True)
class End:
    """How a run ended."""

    status: int
    """Exit status; minus the signal where there was one."""
    text: str
    """Everything that it printed."""
    seconds: float

    def fault(self) -> str | None:
        """What is wrong with it, or None."""
        if self.status == -signal.SIGALRM:
            return "hangs"
        if "Traceback (most recent call last)" in self.text:
            return "traceback"
        lines = re.split(r"[\n\r]|\x1b\[A", self.text)  # progress bars move up instead of ending a line
        errors = [line for line in lines if line.startswith("error:")]
        if self.status == 0:
            return None
        if self.status == 1:
            return None if len(errors) == 1 else f"{len(errors)} sentences"
        return None if self.status == 2 else f"status {self.status}"


def run(words: Sequence[str], log: Path, seconds: float = SECONDS, kill_after: float | None = None) -> End:
    """Run ``hacrl-lab`` in a forked process, in a folder of its own.

    Args:
        words: of the command line, the command's name first.
        log: gets what it prints.
        seconds: after which it is taken to hang.
        kill_after: seconds until kill -9; None never.
    """
    started = time.perf_counter()
    child = start(words, log, seconds)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return wait_for(child, log, started)


def start(words: Sequence[str], log: Path, seconds: float, memory: int = MEMORY) -> int:
    """The process that :func:`run` waits for, with a limit of its address space."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        _as_command(words, log, seconds)
    return child


def wait_for(child: int, log: Path, started: float) -> End:
    """How it ended; seconds since ``started``."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return End(status, log.read_text(errors="replace"), time.perf_counter() - started)


def _as_command(words: Sequence[str], log: Path, seconds: float) -> None:
    """In the child: become the command; does not return."""
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    os.chdir(log.parent)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    status = 70
    try:
        status = command.main(words)
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 2
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def long_words(work: Path, models: dict[str, str]) -> list[str]:
    """The command of a run of three steps, in which many numbers are compared with fractions by the verifier."""
    problems = work / "problems.jsonl"
    rows = [{"question": f"({a}+8)/77", "answer": f"\\frac{{{a + 8}}}{{77}}"} for a in range(40)]
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["train", "--agents", *models.values(), "--problems", str(problems), *LONGER_RUN]


def content(folder: Path) -> dict[str, str]:
    """What a run must come to whatever happened before, by file: digests."""
    parts = ("metrics.jsonl", "samples.jsonl", "evaluation.json")
    found = [path for path in sorted(folder.rglob("*")) if path.name in parts or path.suffix == ".safetensors"]
    kept = [path for path in found if "checkpoints" not in path.parts]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}
