"""What the rounds say: ratios of medians, where the time goes, what a step cannot go below, and the page."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from string import Template

import torch

from hacrl_lab.methods import get_method
from hacrl_runs.page import fill
from hacrl_runs.settings import GenerationSettings
from hacrl_runs.shell import option_words, shell_line
from hacrl_runs.tables import Csv, decimals, markdown_table
from language_benchmark.clock import PARTS, Measurement
from language_benchmark.operations import COUNTED
from language_benchmark.options import TRL, Options
from language_benchmark.rates import ROWS, Rates

Rounds = Mapping[str, Sequence[Measurement]]
"""Side -> what it was seen to do in every round."""

COLUMNS = (
    "round",
    "side",
    *PARTS,
    "total",
    "response_tokens",
    "optimiser_updates",
    *(f"{one}_gflop" for one in COUNTED),
)
RATIO_COLUMNS = ("side", "median", "ratio", "least", "largest", "floor", "floor_ratio")
PACKAGES = ("torch", "transformers", "trl", "accelerate", "math-verify")
GIGA = 1e9


@dataclass(frozen=True)
class Measured:
    """What one run of the benchmark has measured."""

    rounds: Rounds
    rates: Sequence[Sequence[Rates]]
    """Of every model's matrix products, as often as they were measured."""

    def rate(self, model: int, part: str) -> float:
        """Operations a second, the best of all."""
        return max(rates[model][part] for rates in self.rates)

    def floor(self, side: str, part: str) -> float:
        """Seconds of the operations that a part of a side's step needs, for both models, the median of the rounds."""
        return median(
            sum(operations[part] / self.rate(model, part) for model, operations in enumerate(step.operations))
            for step in self.rounds[side]
        )

    def whole_floor(self, side: str) -> float:
        """Of all parts."""
        return sum(self.floor(side, part) for part in COUNTED)


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


def seconds(rounds: Rounds, side: str, part: str) -> float:
    """The median of a part."""
    return median(step.seconds[part] for step in rounds[side])


def table(measured: Measured) -> str:
    """Every side's step, its ratio to TRL's, and the same of what it cannot go below."""
    header = ["a step of both models", "median, s", "beside TRL", "least to largest", "floor, s", "floor beside TRL"]
    return markdown_table([*header, "tokens of an answer", "updates"], [_row(measured, one) for one in measured.rounds])


def parts_table(measured: Measured) -> str:
    """Seconds of every part and its share of the step, by side, with what it cannot go below."""
    rounds = measured.rounds
    header = ["part", *(f"{label(side)}: s, share, floor" for side in rounds)]
    return markdown_table(header, [[part, *(_part(measured, side, part) for side in rounds)] for part in PARTS])


def missed_table(measured: Measured) -> str:
    """By side, how much of TRL's step every part takes beyond its floor."""
    rounds = measured.rounds
    trl = _median_total(rounds, TRL)
    floors = ["the floor", *(f"{measured.whole_floor(side) / trl:.2f}" for side in rounds)]
    rows = [[f"{part} beyond it", *(f"{_beyond(measured, side, part) / trl:.2f}" for side in rounds)] for part in PARTS]
    return markdown_table(["of TRL's step", *map(label, rounds)], [floors, *rows])


def rates_table(measured: Measured, names: Sequence[str]) -> str:
    """Operations a second of the models' matrix products."""
    rows = [
        [name, *(f"{measured.rate(model, part) / GIGA:.1f}" for part in COUNTED)] for model, name in enumerate(names)
    ]
    return markdown_table(["10⁹ operations a second", *COUNTED], rows)


def rounds_csv(rounds: Rounds) -> Csv:
    """Every step of every side."""
    rows = [
        [
            number,
            side,
            *decimals([*(step.seconds[part] for part in PARTS), step.total]),
            step.response_tokens,
            step.updates,
            *decimals((sum(one[part] for one in step.operations) / GIGA for part in COUNTED), 3),
        ]
        for side, steps in rounds.items()
        for number, step in enumerate(steps, start=1)
    ]
    return COLUMNS, rows


def ratios_csv(measured: Measured) -> Csv:
    """Every side's step beside TRL's."""
    trl = _median_total(measured.rounds, TRL)
    rows = []
    for side in measured.rounds:
        floor = measured.whole_floor(side)
        values = [_median_total(measured.rounds, side), *ratio(measured.rounds, side), floor, floor / trl]
        rows.append([side, *decimals(values)])
    return RATIO_COLUMNS, rows


def page(options: Options, measured: Measured, names: Sequence[str]) -> str:
    """The page in Markdown; its sentences are made from the run.

    Args:
        options: of the benchmark.
        measured: by it.
        names: of the agents.
    """
    settings = options.settings()
    models = " and ".join(options.agents) or Template(options.its_workload.models).substitute(size=options.size)
    values = {
        **settings,
        **vars(options.sizes),
        "models": models,
        "asked": options.problems or ", ".join(options.its_workload.tasks) or "the lab's own quantity stories",
        "sampler": options.generation or GenerationSettings.generation,
        "finding": finding(measured),
        "ratios": table(measured),
        "parts": parts_table(measured),
        "missed": missed_table(measured),
        "rates": rates_table(measured, names),
        "answers": options.sizes.prompts * options.sizes.group_size,
        "command": shell_line(["python", "tools/benchmark_llm.py", *option_words(settings, Options().settings())]),
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
        ),
        "rate_rows": ROWS,
        "threads": torch.get_num_threads(),
    }
    return fill(Path(__file__).with_name("page.md"), values, published=False)


def finding(measured: Measured) -> str:
    """What a step takes here, in words."""
    rounds = measured.rounds
    return " ".join(
        f"A {label(side)} step of both models takes {whole:.2f} ({least:.2f} to {largest:.2f}) of the time of a step "
        f"of two TRL trainers; its matrix products alone would take {floor:.2f}."
        for side in rounds
        if not side.startswith(TRL)
        for whole, least, largest in [ratio(rounds, side)]
        for floor in [measured.whole_floor(side) / _median_total(rounds, TRL)]
    )


def label(side: str) -> str:
    """A side in tables."""
    if side.startswith(TRL):
        return ", ".join(["two TRL trainers, GSPO", *side.split()[1:]])
    return get_method(side).label


def _median_total(rounds: Rounds, side: str) -> float:
    return median(step.total for step in rounds[side])


def _beyond(measured: Measured, side: str, part: str) -> float:
    floor = measured.floor(side, part) if part in COUNTED else 0.0
    return seconds(measured.rounds, side, part) - floor


def _part(measured: Measured, side: str, part: str) -> str:
    floor = f", {measured.floor(side, part):.3f} s" if part in COUNTED else ""
    return f"{seconds(measured.rounds, side, part):.3f} s, {shares(measured.rounds, side)[part]:.1%}{floor}"


def _row(measured: Measured, side: str) -> list[str]:
    steps = measured.rounds[side]
    whole, least, largest = ratio(measured.rounds, side)
    compared = ["1", ""] if side == TRL else [f"{whole:.2f}", f"{least:.2f} to {largest:.2f}"]
    floor = measured.whole_floor(side)
    return [
        label(side),
        f"{_median_total(measured.rounds, side):.2f}",
        *compared,
        f"{floor:.2f}",
        f"{floor / _median_total(measured.rounds, TRL):.2f}",
        f"{sum(step.response_tokens for step in steps) / len(steps):.1f}",
        f"{steps[0].updates}",
    ]
