"""Alternatives with exact statements, trained on bandits: many seeds, paired differences from HACPO, the same loop."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

import numpy as np

from bandit.analysis import with_half_width
from bandit.study import Options as BanditOptions
from bandit.study import cell, train
from common.cache import Cell
from common.study import Results
from common.tables import markdown_table
from common.tuning import Sweep, sweep_section
from hacrl_lab.methods import get_method

ONE = 1e-6
"""A share so small that one response is right."""
WORLDS = {
    "3 actions of 4": BanditOptions(length=3, actions=4, right_share=ONE),
    "4 actions of 3": BanditOptions(length=4, actions=3, right_share=ONE),
    "1 action of 64": BanditOptions(length=1, actions=64, right_share=ONE),
}
FIRST = next(iter(WORLDS))
REFERENCE = "hacpo"
COMBINED = "hacpo_lagged_loo_capped"
ALTERNATIVES = ("hacpo_lagged", "hacpo_loo", "hacpo_calibrated", "hacpo_capped", COMBINED)
OTHERS = ("gspo", "gspo_x2", "naive", "hacpo_no_clip")
METHODS = (REFERENCE, *ALTERNATIVES, *OTHERS)
REPEATS = 5

Run = tuple[str, str]
"""(name of the world, method)."""


def training_cells(seeds: int, steps: int, sweep: Sweep) -> dict[Run, Cell]:
    """Every world with every method, as cells of the bandit study."""
    return {
        (world, method): cell(replace(options, seeds=seeds, steps=steps, sweep=sweep), method)
        for world, options in WORLDS.items()
        for method in METHODS
    }


def time_cell(seeds: int, steps: int) -> Cell:
    """Time of training with the combination over that with HACPO: ratio of medians, runs taken in turn."""

    def measure() -> dict[str, np.ndarray]:
        options = replace(WORLDS[FIRST], steps=steps)
        times: dict[str, list[float]] = {REFERENCE: [], COMBINED: []}
        for _ in range(REPEATS):
            for method, seconds in times.items():
                started = time.perf_counter()
                train(options, method, range(seeds), rate=1.0)
                seconds.append(time.perf_counter() - started)
        return {"ratio": np.array(median(times[COMBINED]) / median(times[REFERENCE]))}

    return Cell("theorems-time", measure, {"study": "theorems", "timed": COMBINED, "seeds": seeds, "steps": steps})


def final(results: Results, run: Run) -> np.ndarray:
    """Exact success after training, mean over the agents: (S,)."""
    return results[run]["success"][-1].mean(0)


def gain(results: Results, run: Run) -> np.ndarray:
    """Against HACPO in the same world on the same seeds: (S,)."""
    world, _ = run
    return final(results, run) - final(results, (world, REFERENCE))


def alternatives_table(results: Results, steps: int) -> str:
    """Final success of every method and its paired difference from HACPO, by world."""
    header = ["method", "rollouts of each agent", "updates of each agent"]
    for world in WORLDS:
        header += [f"{world}: final", "− HACPO's", "clipped"]
    return markdown_table(header, [_row(results, steps, method) for method in METHODS])


def _row(results: Results, steps: int, name: str) -> list[str]:
    """Label, cost, and three cells for each world."""
    training, method = WORLDS[FIRST].training, get_method(name)
    rollouts = steps * training.prompts_per_step * training.group_size * method.rollout_factor
    cells = [method.label, f"{rollouts:,}", str(steps * training.updates(name, agents=2))]
    for world in WORLDS:
        run = world, name
        difference = "—" if name == REFERENCE else with_half_width(gain(results, run), "+.3f")
        clipped = f"{results[run]['clipped'].mean():.0%}" if method.shares else "—"
        cells += [with_half_width(final(results, run)), difference, clipped]
    return cells


def sweep_table(results: Results, tuning_seeds: int) -> str:
    """The learning rates that were tried in every world for every method."""
    rows = (([world, get_method(method).label], results[world, method]) for world in WORLDS for method in METHODS)
    return sweep_section(["responses", "method"], rows, tuning_seeds)
