"""What enumeration costs: exact gradients and both sides of Theorem D.11 against the number of responses."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from hacrl_lab.plotting import AGENT_COLOURS, new_figure, save
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.gradients import CrossWeight
from hacrl_lab.theory.problems import draw_problems
from hacrl_studies.theorems.gradients import align

SYMBOLS, LENGTHS, REPEATS = 4, (1, 2, 3, 4, 5, 6), 3


@dataclass(frozen=True)
class Cost:
    """The time of one size."""

    length: int
    responses: int
    seconds: float
    """Median over repeats, drawing the problems included."""


def enumeration_costs(problems: int) -> list[Cost]:
    """All strings of four symbols up to each length, with both gradients, for many problems at once."""
    costs = []
    for length in LENGTHS:
        space = ResponseSpace(SYMBOLS, length, stops=True)
        times = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            align(draw_problems(problems, space, correlation=0.5), CrossWeight(1.0))
            times.append(time.perf_counter() - started)
        costs.append(Cost(length, space.size, median(times)))
    return costs


def plot_costs(costs: list[Cost], problems: int, path: Path) -> None:
    """Seconds against responses, both logarithmic."""
    figure = new_figure(4.4)
    axes = figure.subplots()
    axes.loglog([c.responses for c in costs], [c.seconds for c in costs], color=AGENT_COLOURS[0], marker="o")
    for cost in costs:
        label = f"length ≤ {cost.length}"
        axes.annotate(label, (cost.responses, cost.seconds), xytext=(8, -12), textcoords="offset points")
    axes.set(
        title=f"Both exact gradients of {problems} problems, one table row for every prefix",
        xlabel="responses enumerated (all strings of 4 symbols up to a length)",
        ylabel=f"seconds, median of {REPEATS}",
        xlim=(3, 3e4),
        ylim=(costs[0].seconds / 2, costs[-1].seconds * 2),
    )
    axes.grid(alpha=0.25, which="both")
    save(figure, path)
