"""What the rounds say: ratios of medians, where the time goes, and the page."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch

from hacrl_lab.methods import get_method
from hacrl_runs.page import fill
from hacrl_runs.shell import option_words, shell_line
from hacrl_runs.tables import Csv, decimals, markdown_table
from language_benchmark.clock import PARTS, Measurement
from language_benchmark.options import TRL, Options

Rounds = Mapping[str, Sequence[Measurement]]
"""Side -> what it was seen to do in every round."""

COLUMNS = ("round", "side", *PARTS, "total", "response_tokens", "optimiser_updates")
PACKAGES = ("torch", "transformers", "trl", "accelerate", "math-verify")


def ratio(rounds: Rounds, side: str) -> tuple[float, float, float]:
    """A side's time of a step over TRL's: of the medians, and the least and largest in one round."""
    pairs = [(mine.total, its.total) for mine, its in zip(rounds[side], rounds[TRL], strict=True)]
    mine, its = zip(*pairs, strict=True)
    each = [one / other for one, other in pairs]
    return median(mine) / median(its), min(each), max(each)


def shares(rounds: Rounds, side: str) -> dict[str, float]:
    """Each part's share of the time of all steps of a side; they add up to 1."""
    total = sum(step.total for step in rounds[side])
    return {part: sum(step.seconds[part] for step in rounds[side]) / total for part in PARTS}


def table(rounds: Rounds) -> str:
    """Every side's step, and its ratio to TRL's."""
    header = ["a step of both models", "median, s", "beside TRL", "least to largest", "tokens of an answer", "updates"]
    return markdown_table(header, [_row(rounds, side) for side in rounds])


def parts_table(rounds: Rounds) -> str:
    """Seconds of every part and its share of the step, by side."""
    header = ["part", *(_label(side) for side in rounds)]
    rows = [
        [part, *(f"{_seconds(rounds, side, part):.3f} s, {shares(rounds, side)[part]:.1%}" for side in rounds)]
        for part in PARTS
    ]
    return markdown_table(header, rows)


def rounds_csv(rounds: Rounds) -> Csv:
    """Every step of every side."""
    rows = [
        [
            number,
            side,
            *decimals([*(step.seconds[part] for part in PARTS), step.total]),
            step.response_tokens,
            step.updates,
        ]
        for side, steps in rounds.items()
        for number, step in enumerate(steps, start=1)
    ]
    return COLUMNS, rows


def page(options: Options, rounds: Rounds) -> str:
    """The page in Markdown; its sentences are made from the run."""
    settings = options.settings()
    values = {
        **settings,
        "models": "the lab's own pair of size " + options.size if not options.agents else " and ".join(options.agents),
        "finding": _finding(rounds),
        "floor": _floor(rounds),
        "ratios": table(rounds),
        "parts": parts_table(rounds),
        "command": shell_line(["python", "tools/benchmark_llm.py", *option_words(settings, Options().settings())]),
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
        ),
        "threads": torch.get_num_threads(),
    }
    return fill(Path(__file__).with_name("page.md"), values, published=False)


def _seconds(rounds: Rounds, side: str, part: str) -> float:
    return median(step.seconds[part] for step in rounds[side])


def _label(side: str) -> str:
    return "two TRL trainers, GSPO" if side == TRL else get_method(side).label


def _row(rounds: Rounds, side: str) -> list[str]:
    steps = rounds[side]
    whole, least, largest = ratio(rounds, side)
    compared = ["1", ""] if side == TRL else [f"{whole:.2f}", f"{least:.2f} to {largest:.2f}"]
    tokens = sum(step.response_tokens for step in steps) / len(steps)
    return [
        _label(side),
        f"{median(step.total for step in steps):.2f}",
        *compared,
        f"{tokens:.1f}",
        f"{steps[0].updates}",
    ]


def _finding(rounds: Rounds) -> str:
    sides = [side for side in rounds if side != TRL]
    return " ".join(
        f"A {_label(side)} step of both models takes {whole:.2f} ({least:.2f} to {largest:.2f}) of the time of a step "
        "of two TRL trainers."
        for side in sides
        for whole, least, largest in [ratio(rounds, side)]
    )


def _floor(rounds: Rounds) -> str:
    """What would be left of TRL's step if all but generation cost nothing."""
    trl = median(step.total for step in rounds[TRL])
    each = [f"{_seconds(rounds, side, 'generation') / trl:.2f} ({_label(side)})" for side in rounds]
    return f"Beside TRL's whole step, generation alone takes {', '.join(each)}."
