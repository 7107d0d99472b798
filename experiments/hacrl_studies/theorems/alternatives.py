"""Alternatives with exact statements, trained on bandits: many seeds, paired differences from HACPO, the same loop."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from statistics import median

import numpy as np

from hacrl_lab.evaluation import mean_interval
from hacrl_lab.methods import get_method
from hacrl_runs.cache import Cell
from hacrl_runs.tables import markdown_table, with_half_width
from hacrl_studies.bandit.study import Options as BanditOptions
from hacrl_studies.bandit.study import cell, train
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.common.study import Results
from hacrl_studies.common.tuning import sweep_section

CONTEXTS = 32
LEARNING_RATE = 1.5
WORLDS = {
    name: BanditOptions(
        length=length, actions=actions, right_share=1 / actions**length, contexts=CONTEXTS, learning_rate=LEARNING_RATE
    )
    for name, length, actions in (("2 actions of 4", 2, 4), ("4 actions of 3", 4, 3), ("1 action of 12", 1, 12))
}
"""Bandits with one right response a context."""
FIRST = next(iter(WORLDS))
REFERENCE = "hacpo"
COMBINED = "hacpo_lagged_loo_capped"
ALTERNATIVES = ("hacpo_lagged", "hacpo_loo", "hacpo_calibrated", "hacpo_capped", COMBINED)
OTHERS = ("gspo", "gspo_x2", "naive", "hacpo_no_clip")
METHODS = (REFERENCE, *ALTERNATIVES, *OTHERS)
REPEATS = 5

Run = tuple[str, str]
"""(world, method)."""


def training_cells(options: ComparisonOptions) -> dict[Run, Cell]:
    """Every method in every world, with its best learning rate, as cells of the bandit study."""
    return {(world, method): cell(trained(options, world), method) for world in WORLDS for method in METHODS}


def trained(options: ComparisonOptions, world: str) -> BanditOptions:
    """A world with this study's seeds, steps, training settings and sweep."""
    return replace(
        WORLDS[world], seeds=options.seeds, steps=options.steps, training=options.training, sweep=options.sweep
    )


def time_cell(options: ComparisonOptions) -> Cell:
    """The cell of :func:`time_ratio`."""
    world = trained(options, FIRST)
    settings = {"study": "theorems", "timed": COMBINED, **world.settings()}
    return Cell("theorems-time", partial(time_ratio, world), settings)


def time_ratio(world: BanditOptions) -> dict[str, np.ndarray]:
    """Time of training with the combination over that with HACPO: ratio of medians, runs taken in turn."""
    times: dict[str, list[float]] = {REFERENCE: [], COMBINED: []}
    for _ in range(REPEATS):
        for method, seconds in times.items():
            started = time.perf_counter()
            train(world, method, range(world.seeds), rate=1.0)
            seconds.append(time.perf_counter() - started)
    return {"ratio": np.array(median(times[COMBINED]) / median(times[REFERENCE]))}


def final(results: Results, run: Run) -> np.ndarray:
    """Exact success after training, mean over the agents: (S,)."""
    return results[run]["success"][-1].mean(0)


def gain(results: Results, run: Run) -> np.ndarray:
    """Against HACPO in the same world on the same seeds: (S,)."""
    world, _ = run
    return final(results, run) - final(results, (world, REFERENCE))


def alternatives_table(results: Results, options: ComparisonOptions) -> str:
    """Final success of every method and its paired difference from HACPO, by world."""
    header = ["method", "rollouts"]
    for world in WORLDS:
        header += [f"{world}: final", "− HACPO's", "clipped"]
    rollouts = options.steps * options.training.prompts_per_step * options.training.group_size
    rows = []
    for method in METHODS:
        parts = get_method(method)
        row = [parts.label, f"{rollouts * parts.rollout_factor:,}"]
        for world in WORLDS:
            run = (world, method)
            clipped = f"{results[run]['clipped'].mean():.0%}" if parts.shares else "—"
            paired = "—" if method == REFERENCE else with_half_width(*mean_interval(gain(results, run)), "+.4f")
            row += [with_half_width(*mean_interval(final(results, run))), paired, clipped]
        rows.append(row)
    return markdown_table(header, rows)


def rates_section(results: Results, tuning_seeds: int) -> str:
    """How learning rates were chosen, and all that were tried."""
    rows = (([world, get_method(method).label], results[world, method]) for world in WORLDS for method in METHODS)
    return sweep_section(["bandit", "method"], rows, tuning_seeds)
