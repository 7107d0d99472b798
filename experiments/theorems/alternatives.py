"""Alternatives with exact statements, trained on bandits: many seeds, paired differences from HACPO, the same loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from bandit.analysis import with_half_width
from bandit.study import Options as BanditOptions
from bandit.study import cell, train
from common.cache import Cell
from common.study import Results
from common.tables import markdown_table
from hacrl_lab.methods import get_method

WORLDS = {
    "2 actions of 4": BanditOptions(length=2, actions=4),
    "4 actions of 3": BanditOptions(length=4, actions=3, right_share=0.05),
    "1 action of 12": BanditOptions(length=1, actions=12),
}
FIRST = next(iter(WORLDS))
REFERENCE = "hacpo"
COMBINED = "hacpo_lagged_loo_capped"
ALTERNATIVES = ("hacpo_lagged", "hacpo_loo", "hacpo_calibrated", "hacpo_capped", COMBINED)
OTHERS = ("gspo", "gspo_x2", "naive", "hacpo_no_clip")
LEARNING_RATES = (0.5, 1.0, 2.0, 4.0, 8.0)
ADAM_RATES = (0.03, 0.1)
SWEPT = ("gspo", "hacpo", "hacpo_loo", "hacpo_capped", COMBINED)
REPEATS = 5

Run = tuple[str, str]
"""(name of the setting, method)."""


def longer_step(options: BanditOptions) -> float:
    """By how much leaving the own reward out lengthens a self gradient: 1/(1 − 1/(nG)) for two agents."""
    return 1 / (1 - 1 / (2 * options.training.group_size))


def lengthened(world: str) -> str:
    """The setting of a world with the learning rate that leave-one-out implies."""
    return f"{world}, longer step"


def swept(rate: float) -> str:
    """The setting of the first world with another learning rate."""
    return f"{FIRST}, learning rate {rate:g}"


def with_adam(world: str, rate: float) -> str:
    """The setting of a world with Adam, whose steps do not depend on the gradient's length."""
    return f"{world}, Adam, rate {rate:g}"


def training_cells(seeds: int, sweep_seeds: int, steps: int) -> dict[Run, Cell]:
    """Every setting with every method of it, as cells of the bandit study."""
    return {
        (setting, method): cell(replace(options, steps=steps), method)
        for setting, options, methods in _settings(seeds, sweep_seeds)
        for method in methods
    }


def _settings(seeds: int, sweep_seeds: int) -> Iterator[tuple[str, BanditOptions, Sequence[str]]]:
    """Name, options and methods of every setting."""
    for world, usual in WORLDS.items():
        options = replace(usual, seeds=seeds)
        yield world, options, (REFERENCE, *ALTERNATIVES, *OTHERS)
        longer = replace(options, learning_rate=options.learning_rate * longer_step(options))
        yield lengthened(world), longer, (REFERENCE,)
        for rate in ADAM_RATES:
            few = replace(usual, seeds=sweep_seeds, optimizer="adam", learning_rate=rate)
            yield with_adam(world, rate), few, SWEPT
    for rate in LEARNING_RATES:
        yield swept(rate), replace(WORLDS[FIRST], seeds=sweep_seeds, learning_rate=rate), SWEPT


def time_cell(seeds: int, steps: int) -> Cell:
    """Time of training with the combination over that with HACPO: ratio of medians, runs taken in turn."""

    def measure() -> dict[str, np.ndarray]:
        options = replace(WORLDS[FIRST], seeds=seeds, steps=steps)
        times: dict[str, list[float]] = {REFERENCE: [], COMBINED: []}
        for _ in range(REPEATS):
            for method, seconds in times.items():
                started = time.perf_counter()
                train(options, method)
                seconds.append(time.perf_counter() - started)
        return {"ratio": np.array(median(times[COMBINED]) / median(times[REFERENCE]))}

    return Cell("theorems-time", measure, {"study": "theorems", "timed": COMBINED, "seeds": seeds, "steps": steps})


def final(results: Results, run: Run) -> np.ndarray:
    """Exact success after training, mean over the agents: (S,)."""
    return results[run]["success"][-1].mean(0)


def gain(results: Results, run: Run, world: str) -> np.ndarray:
    """Against HACPO in that world (or setting) on the same seeds: (S,)."""
    return final(results, run) - final(results, (world, REFERENCE))


def alternatives_table(results: Results, steps: int) -> str:
    """Final success of every method and its paired difference from HACPO, by world."""
    header = ["method", "rollouts"]
    for world in WORLDS:
        header += [f"{world}: final", "− HACPO's", "clipped"]
    step = longer_step(WORLDS[FIRST])
    rows = [
        _row(results, steps, get_method(method).label, method, {world: (world, method) for world in WORLDS})
        for method in (REFERENCE, *ALTERNATIVES, *OTHERS)
    ]
    longer = {world: (lengthened(world), REFERENCE) for world in WORLDS}
    rows.append(_row(results, steps, f"HACPO, learning rate × {step:.3f}", REFERENCE, longer))
    return markdown_table(header, rows)


def _row(results: Results, steps: int, label: str, method: str, runs: dict[str, Run]) -> list[str]:
    """Label, rollouts by each agent, and three cells for each world's run."""
    training, parts = WORLDS[FIRST].training, get_method(method)
    cells = [label, f"{steps * training.prompts_per_step * training.group_size * parts.rollout_factor:,}"]
    for world, run in runs.items():
        clipped = f"{results[run]['clipped'].mean():.0%}" if parts.shares else "—"
        cells += [with_half_width(final(results, run)), _gain(results, run, world), clipped]
    return cells


def _gain(results: Results, run: Run, world: str) -> str:
    return "—" if run == (world, REFERENCE) else with_half_width(gain(results, run, world), "+.4f")


def adam_table(results: Results) -> str:
    """With Adam: HACPO's final success and the others' paired differences from it, by world and learning rate."""
    settings = [(world, rate) for world in WORLDS for rate in ADAM_RATES]
    rows = [["HACPO", *(with_half_width(final(results, (with_adam(*one), REFERENCE))) for one in settings)]]
    for method in SWEPT:
        if method != REFERENCE:
            runs = [(with_adam(*one), method) for one in settings]
            rows.append([get_method(method).label, *(_gain(results, run, run[0]) for run in runs)])
    return markdown_table(["method", *(f"{world}, rate {rate:g}" for world, rate in settings)], rows)
