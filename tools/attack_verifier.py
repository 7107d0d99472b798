"""Does the verifier survive hostile answers, and how fast is it with ordinary ones?

    python tools/attack_verifier.py

Hostile answers are drawn from a seeded generator of shapes: towers of powers, huge factorials and sums, deep braces,
recursive fractions, matrices, texts of 100 kB, NUL and control characters, and random strings of LaTeX. Memory is
sampled while they are judged. The first of them are then judged again one at a time, by a verifier that does not
remember them. Prints a Markdown table.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import tyro
from tqdm.auto import tqdm

from hacrl_lab.verification.equality import are_equal, prepare_workers
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_runs.tables import markdown_table

MIB = 2**20
BATCH = 100
GOLDS = ("5", r"\frac{1}{2}", "x^2+3x", r"\{1,2,3\}", "(0,1]", "x=2", r"\sqrt{2}", r"\begin{pmatrix}1\\2\end{pmatrix}")
TOKENS = r"""
    \frac \sqrt \sum_{n=1}^ \int_0^ \lim_{x\to0} \left \right \begin{pmatrix} \end{pmatrix} \text \boxed \over \cup \pm
    \infty \pi \cdot \log \sin ^ _ { } ( ) [ ] | ! % & \\ $ , ; = < > \le . / * + - 0 1 7 99 x y e i 9^9 n!
"""
LONG = ("1+", r"\frac1", "x^", "((", r"\boxed{")
OPENING, CLOSING = ("{", "}", r"\}", r"\left("), ("}", "{", "]")
CHARACTERS = (0x300, 0x202E, 0x660, 0x1D7D8, 0x4E00)
PYTHON = ("__import__('os')._exit(1)", "lambda:0", "exec('1')", "().__class__", "[0]*10**9")


def matrix(rows: int) -> str:
    """A square matrix of ``x``."""
    return r"\begin{pmatrix}" + r"\\".join(["&".join("x" * rows)] * rows) + r"\end{pmatrix}"


Shape = Callable[[random.Random, int], str]
SHAPES: dict[str, Shape] = {
    "tower of powers": lambda rng, size: f"{rng.randint(2, 9)}^{{" * size + "9" + "}" * size,
    "factorials": lambda rng, size: f"{rng.randint(1, 99)}" + "!" * (size % 40 + 1),
    "huge factorial": lambda rng, size: f"{rng.randint(10**5, 10**9)}!",
    "huge binomial": lambda rng, size: rf"\binom{{{rng.randint(10**6, 10**9)}}}{{{rng.randint(10**5, 10**6)}}}",
    "deep braces": lambda rng, size: "{" * size + "5" + "}" * size,
    "deep brackets": lambda rng, size: "(" * size + "x" + ")" * size,
    "deep fractions": lambda rng, size: r"\frac{1}{1+" * size + "x" + "}" * size,
    "deep roots": lambda rng, size: r"\sqrt{2+" * size + "x" + "}" * size,
    "long sum": lambda rng, size: rf"\sum_{{n=1}}^{{{rng.randint(10**5, 10**9)}}} \frac{{1}}{{n^{{{size}}}}}",
    "integral": lambda rng, size: rf"\int_0^{{{size}}} e^{{-x^{{{size}}}}}\sin(x^{rng.randint(2, 9)})\,dx",
    "limit": lambda rng, size: rf"\lim_{{x\to\infty}} \frac{{x^{{{size}}}}}{{\log(x)^{{{size}}}}}",
    "expansion": lambda rng, size: rf"(x+y+z+{rng.randint(1, 9)})^{{{size * 50}}}",
    "equation": lambda rng, size: rf"x^{{{size}}}+x^{rng.randint(2, 9)}+\sin(x)+1=0",
    "inequality": lambda rng, size: rf"x^{{{size}}}-{rng.randint(2, 9)}x^3+x<\sqrt{{x}}+1",
    "matrix": lambda rng, size: matrix(size % 12 + 1),
    "matrix power": lambda rng, size: rf"\begin{{pmatrix}}x&{size}\\1&y\end{{pmatrix}}^{{{rng.randint(9, 999)}}}",
    "long list": lambda rng, size: ",".join(str(rng.randint(0, 99)) for _ in range(size * 5)),
    "digits": lambda rng, size: "9" * (size * 10),
    "huge exponent": lambda rng, size: f"{rng.randint(1, 9)}e{rng.randint(100, 10**12)}",
    "decimals": lambda rng, size: f"0.{'3' * size}\\overline{{{'142857' * size}}}",
    "100 kB": lambda rng, size: rng.choice(LONG) * (100_000 // 2),
    "control characters": lambda rng, size: "".join(chr(rng.randint(0, 31)) for _ in range(size)) + "5\0",
    "Unicode": lambda rng, size: "".join(chr(rng.choice(CHARACTERS) + rng.randint(0, 9)) for _ in range(size)),
    "unbalanced": lambda rng, size: rng.choice(OPENING) * size + "5" + rng.choice(CLOSING) * (size // 2),
    "Python": lambda rng, size: rng.choice(PYTHON),
    "LaTeX soup": lambda rng, size: " ".join(rng.choices(TOKENS.split(), k=size)),
}


@dataclass(frozen=True)
class Options:
    """Attack the verifier, then time it."""

    hostile: int = 10_000
    """Hostile answers."""
    ordinary: int = 1_500
    """Distinct pairs of ordinary answers."""
    alone: int = 300
    """The first hostile answers are judged again one at a time."""
    limit: float = 1.0
    """Seconds for one answer."""
    workers: int = 2
    """Worker processes."""
    seed: int = 0
    """Of the answers."""


def hostile_answers(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Pairs of an exact and a hostile answer; every shape in turn, sizes from 1 to 100."""
    rng = random.Random(seed)
    shapes = list(SHAPES.values())
    for number in range(count):
        yield rng.choice(GOLDS), shapes[number % len(shapes)](rng, rng.randint(1, 100))


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
    hostile = list(hostile_answers(options.hostile, options.seed))
    batches = [hostile[start : start + BATCH] for start in range(0, len(hostile), BATCH)]
    with MathVerifier(options.workers, options.limit) as verifier, sampled_memory() as memory:
        seconds = [judged(verifier, batch)[1] for batch in tqdm(batches)]
        timeouts = verifier.timeouts
    with MathVerifier(1, options.limit) as verifier:
        judged(verifier, [("1", "2")])  # it has started
        alone = [judged(verifier, [pair])[1] for pair in tqdm(hostile[: options.alone])]
    ordinary = list(ordinary_answers(options.ordinary, options.seed))
    with MathVerifier(options.workers, options.limit) as verifier:
        judged(verifier, [("1", "2")])
        rewards, ordinary_seconds = judged(verifier, ordinary)
    rows = {
        "hostile answers": f"{len(hostile):,}",
        "over the limit": f"{timeouts:,}",
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
