"""Processes of a run of ``hacrl-lab`` that are killed or stopped: which there are, and what is left of them."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from tqdm import tqdm

from attack_runs import End, content, long_words, run, start, wait_for
from hacrl_runs.config_file import CONFIG

FORK_SERVER = "hacrl_lab.verification.fork_server"
HELPERS = ("log_monitor.py", "agent/main.py", "dashboard/agent.py")
KINDS: dict[str, Callable[[psutil.Process], bool]] = {
    "fork server": lambda process: FORK_SERVER in _line(process) and FORK_SERVER not in _line(process.parent()),
    "fork server's worker": lambda process: FORK_SERVER in _line(process) and FORK_SERVER in _line(process.parent()),
    "reward's process": lambda process: "own_process import main" in _line(process),
    "ray process": lambda process: "ray_process import main" in _line(process),
    "gcs_server": lambda process: process.name() == "gcs_server",
    "raylet": lambda process: process.name() == "raylet",
    "worker": lambda process: _line(process).startswith("ray::Worker"),
    "helper of ray": lambda process: any(part in _line(process) for part in HELPERS),
}
"""Of processes below the driver: whether one is of that kind."""
DRIVER = "driver"
EVERY_KIND = {
    "local": (DRIVER, "fork server", "fork server's worker", "reward's process"),
    "ray": (DRIVER, *KINDS),
}
"""By engine."""
SIGNALS = {DRIVER: (signal.SIGKILL, signal.SIGTERM)}
"""By kind; others are killed or stopped."""
TOLD = 60.0
"""Seconds within which the loss of a process must be reported."""
LIMIT = 600.0
"""Seconds after which a run is taken to hang."""
EXPECTED = {(DRIVER, signal.SIGKILL): (-signal.SIGKILL,), (DRIVER, signal.SIGTERM): (128 + signal.SIGTERM,)}
"""Exit statuses of a process and signal, besides success and one sentence."""
GONE = 120.0
"""Seconds after which nothing of a run may be left."""


@dataclass(frozen=True)
class Draw:
    """What happens to a run."""

    engine: str
    """Where its agents live: local or ray."""
    kind: str
    """Of the process that gets the signal."""
    sign: signal.Signals
    seconds: float
    """Since the start of the run."""


def random_draw(chance: random.Random, seconds: dict[str, float]) -> Draw:
    """Any kind of process, any signal that it can get, any moment.

    Args:
        chance: to draw from.
        seconds: that a run takes, by engine.
    """
    engine = chance.choice(list(seconds))
    kind = chance.choice(EVERY_KIND[engine])
    sign = chance.choice(SIGNALS.get(kind, (signal.SIGKILL, signal.SIGSTOP)))
    return Draw(engine, kind, sign, chance.uniform(0, seconds[engine]))


def family_of(pid: int) -> list[psutil.Process]:
    """All processes below one."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def processes_of(pid: int, kind: str) -> list[psutil.Process]:
    """Those of a kind, below the driver."""
    found = []
    for process in family_of(pid):
        with suppress(psutil.NoSuchProcess):
            if KINDS[kind](process):
                found.append(process)
    return found


def send(driver: int, draw: Draw, chance: random.Random) -> str | None:
    """Send the signal to one process of the kind, as soon as there is one.

    Args:
        driver: the run's first process, a child of this one.
        draw: what to send.
        chance: chooses among several processes.

    Returns:
        The process's command line; None if the run ended before.
    """
    while not has_ended(driver):
        found = [psutil.Process(driver)] if draw.kind == DRIVER else processes_of(driver, draw.kind)
        if found:
            process = chance.choice(found)
            with suppress(psutil.NoSuchProcess):
                line = _line(process)
                process.send_signal(draw.sign)
                return line
        time.sleep(0.05)
    return None


def has_ended(child: int) -> bool:
    """Whether a child of this process has; its status stays to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def left_of(family: Collection[psutil.Process], folder: Path, seconds: float = GONE) -> list[str]:
    """What is left of a run after some time, or nothing as soon as nothing is; ends it.

    Args:
        family: its processes.
        folder: in which it made temporary folders.
        seconds: to wait.
    """
    until = time.monotonic() + seconds
    while (left := [*_alive(family), *folder.glob("ray-*")]) and time.monotonic() < until:
        time.sleep(0.2)
    names = [_line(one) if isinstance(one, psutil.Process) else one.name for one in left]
    for process in _alive(family):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return names


def _alive(family: Collection[psutil.Process]) -> Sequence[psutil.Process]:
    return [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def _line(process: psutil.Process | None) -> str:
    """Its command line."""
    return "" if process is None else " ".join(process.cmdline())


def attack_by_signals(work: Path, models: dict[str, str], count: int, seed: int) -> dict[str, object]:
    """Runs of which one process is killed or stopped; what became of each, and the faults."""
    (work / "own.py").write_text("def reward(completions, **columns):\n    return [0.5 for _ in completions]\n")
    words = [*long_words(work, models), "--compare", "none", "--reward", "answer", f"{work / 'own.py'}:reward"]
    temporary = work / "t"  # short: paths of sockets have a limit
    temporary.mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    whole = {engine: _undisturbed(work, words, engine) for engine in EVERY_KIND}
    reference = content(work / "local")
    assert content(work / "ray") == reference, [end.text[-300:] for end in whole.values()]
    chance = random.Random(seed)
    ends: list[dict[str, object]] = []
    for _ in tqdm(range(count), unit="signal"):
        draw = random_draw(chance, {engine: end.seconds for engine, end in whole.items()})
        found = _disturbed(work, words, draw, chance)
        if found["fault"] is None and found["status"] != 0:
            found["fault"] = _continued(work, words)
        if found["fault"] is None and content(work / "run") != reference:
            found["fault"] = "differs from an undisturbed run"
        ends.append(found)
        tqdm.write(json.dumps(found), file=sys.stderr)
        shutil.rmtree(work / "run", ignore_errors=True)
    faults = [end for end in ends if end["fault"]]
    return {
        "signals": count,
        "undisturbed": {e: round(w.seconds) for e, w in whole.items()},
        "ends": ends,
        "faults": faults,
    }


def _undisturbed(work: Path, words: Sequence[str], engine: str) -> End:
    log, started = work / f"{engine}.log", time.perf_counter()
    return wait_for(_start(words, engine, work / engine, log), log, started)


def _start(words: Sequence[str], engine: str, folder: Path, log: Path) -> int:
    """A run whose address space has no limit, since Ray reserves much."""
    return start([*words, "--engine", engine, "--output-dir", str(folder)], log, LIMIT, resource.RLIM_INFINITY)


def _disturbed(work: Path, words: Sequence[str], draw: Draw, chance: random.Random) -> dict[str, object]:
    """What became of a run of which a process got a signal."""
    log, started = work / "run.log", time.perf_counter()
    driver = _start(words, draw.engine, work / "run", log)
    while time.perf_counter() - started < draw.seconds and not has_ended(driver):
        time.sleep(0.05)
    family = set(family_of(driver))
    line, sent = send(driver, draw, chance), time.perf_counter()
    while not has_ended(driver):
        family |= set(family_of(driver))
        time.sleep(0.2)
    end = wait_for(driver, log, started)
    seconds = time.perf_counter() - sent
    left = left_of(family, work / "t")
    expected = end.status in EXPECTED.get((draw.kind, draw.sign), ()) and "Traceback" not in end.text
    fault = None if expected else end.fault()
    if line is not None and seconds > TOLD and end.status != 0:
        fault = f"{seconds:.0f} s until the end"
    return {
        "engine": draw.engine,
        "kind": draw.kind,
        "signal": draw.sign.name,
        "at": round(draw.seconds, 1),
        "process": line and line[-80:],
        "seconds": round(seconds, 1),
        "status": end.status,
        "text": end.text[-200:] if fault is None else end.text[-1500:],
        "left": left,
        "fault": fault or (left and "something is left") or None,
    }


def _continued(work: Path, words: Sequence[str]) -> str | None:
    """Continue the run in one process; what goes wrong."""
    begun = (work / "run" / CONFIG).exists()
    again = ["train", "--resume", str(work / "run")] if begun else [*words, "--output-dir", str(work / "run")]
    end = run([*again, "--engine", "local"], work / "again.log", LIMIT)
    return None if end.status == 0 else end.text[-1500:]
