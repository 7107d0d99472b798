"""Do the verifier's limits hold, and how fast is it with ordinary answers?

    python tools/attack_verifier.py

Calls of our own take the place of comparisons that go wrong: they sleep, loop within C code, allocate more than they
may or end their process. Memory is sampled while they are made. The first of them are then made again one at a time, by
a verifier that does not remember them. Prints a Markdown table.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import tyro
from tqdm.auto import tqdm

from difficult_calls import compare_or_fail
from hacrl_lab.verification.equality import are_equal, prepare_workers
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_runs.tables import markdown_table

MIB = 2**20
BATCH = 100
CALLS = ("sleep", "loop", "allocate", "exit", "7", "x+1")


@dataclass(frozen=True)
class Options:
    """Attack the verifier, then time it."""

    difficult: int = 2_000
    """Calls, most of which use up a limit."""
    ordinary: int = 1_500
    """Distinct pairs of ordinary answers."""
    alone: int = 300
    """The first of these calls are made again one at a time."""
    limit: float = 1.0
    """Seconds for one answer."""
    workers: int = 2
    """Worker processes."""
    seed: int = 0
    """Of the answers."""


def difficult_answers(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Distinct pairs of an exact and a given answer, most of which use up a limit of time or memory."""
    rng = random.Random(seed)
    for number in range(count):
        yield "7", f"{rng.choice(CALLS)} {number}"


def ordinary_answers(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Distinct pairs as models write them: numbers, fractions, roots, intervals, polynomials; half of them equal."""
    rng = random.Random(seed)
    for number in range(count):
        a, b, c = number + 2, rng.randint(2, 99), number % 2
        yield (
            (f"{a}", f"x = {a + c}"),
            (rf"\frac{{{a}}}{{{b}}}", rf"\dfrac{{{2 * a + c}}}{{{2 * b}}}"),
            (f"{a}.5", rf"\frac{{{2 * a + 1 + c}}}{{2}}"),
            (rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b + c}}}"),
            (rf"[{b}, {a + b})", rf"\left[{b}, {a + b}\right{')]'[c]}"),
            (f"{a}, {b}", f"{b}, {a + c}"),
            (rf"{a}\text{{ cm}}^2", f"{a + c}"),
            (f"{a}x+{b}", f"{b}+{a + c}x"),
        )[number // 2 % 8]


@dataclass
class Memory:
    """Bytes in use, sampled while a block runs."""

    parent: list[int] = field(default_factory=list)
    workers: list[int] = field(default_factory=list)
    """Of the largest child process at each moment."""


@contextmanager
def sampled_memory(every: float = 0.1) -> Iterator[Memory]:
    """Samples the resident memory of this process and of its largest descendant."""
    memory, stop = Memory(), threading.Event()

    def sample() -> None:
        process = psutil.Process()
        while not stop.wait(every):
            memory.parent.append(process.memory_info().rss)
            memory.workers.append(max((_resident(child) for child in process.children(recursive=True)), default=0))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield memory
    finally:
        stop.set()
        thread.join()


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # it has just ended
        return 0


def processor_seconds(pairs: list[tuple[str, str]]) -> float:
    """That this process needs to judge them, whatever else the machine does."""
    prepare_workers()
    started = time.process_time()
    for gold, given in pairs:
        are_equal(gold, given)
    return time.process_time() - started


def judged(verifier: MathVerifier, pairs: list[tuple[str, str]]) -> tuple[list[float], float]:
    """Rewards and seconds."""
    started = time.monotonic()
    rewards = verifier.rewards([rf"\boxed{{{answer}}}" for _, answer in pairs], [gold for gold, _ in pairs])
    return rewards, time.monotonic() - started


def quarters(samples: list[int]) -> str:
    """The largest sample of each quarter of the time, in MiB."""
    size = -(-len(samples) // 4) or 1
    return " → ".join(f"{max(samples[start : start + size]) / MIB:.0f}" for start in range(0, len(samples), size))


def run(options: Options) -> str:
    """Attack and time; returns the table."""
    logging.getLogger("hacrl_lab").setLevel(logging.ERROR)  # one line says it all
    difficult = list(difficult_answers(options.difficult, options.seed))
    batches = [difficult[start : start + BATCH] for start in range(0, len(difficult), BATCH)]
    with MathVerifier(options.workers, options.limit, equal=compare_or_fail) as verifier, sampled_memory() as memory:
        seconds = [judged(verifier, batch)[1] for batch in tqdm(batches)]
        timeouts, undecided = verifier.timeouts, verifier.undecided
    with MathVerifier(1, options.limit, equal=compare_or_fail) as verifier:
        judged(verifier, [("1", "2")])  # it has started
        alone = [judged(verifier, [pair])[1] for pair in tqdm(difficult[: options.alone])]
    ordinary = list(ordinary_answers(options.ordinary, options.seed))
    with MathVerifier(options.workers, options.limit) as verifier:
        judged(verifier, [("1", "2")])
        rewards, ordinary_seconds = judged(verifier, ordinary)
    rows = {
        "calls, most of which use up a limit": f"{len(difficult):,}",
        "over the time limit": f"{timeouts:,}",
        "without a verdict": f"{undecided:,}",
        f"seconds for {BATCH}, longest": f"{max(seconds):.1f}",
        f"seconds for one, longest of {len(alone)} (limit {options.limit:g})": f"{max(alone, default=0):.2f}",
        "memory of this process by quarter of the time, MiB": quarters(memory.parent),
        "memory of the largest worker, MiB": quarters(memory.workers),
        "ordinary answers, distinct": f"{len(ordinary):,}",
        "accepted": f"{sum(rewards) / len(rewards):.1%}",
        f"ordinary answers a second, {options.workers} workers": f"{len(ordinary) / ordinary_seconds:,.0f}",
        "ordinary answers a second of processor time": f"{len(ordinary) / processor_seconds(ordinary):,.0f}",
    }
    return markdown_table(["measured", ""], list(rows.items()))


if __name__ == "__main__":
    print(run(tyro.cli(Options, description=__doc__)))
