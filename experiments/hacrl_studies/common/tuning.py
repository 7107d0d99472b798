"""Learning rates: every method gets its own, chosen on seeds of which no result is reported.

A learning rate that suits one method can be wrong for another: pooled rollouts add a term to the gradient for each
sampler, and clips take some away. So each method in each setting is first trained with multiples of the agents' own
learning rates, on seeds kept for that; with the best one it is trained on the seeds that are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from hacrl_lab.errors import DivergedError, SettingError
from hacrl_runs.cache import Cell
from hacrl_runs.tables import markdown_table

FACTOR = 3
"""Multiples of the learning rates are powers of it."""
GRID = (-1, 0, 1)
"""The powers that are always tried."""
EXTENSIONS = 2
"""How many more may be tried on each side, one at a time while the best is the outermost."""
FIRST_SEED = 2_000_000
"""Learning rates are chosen on seeds from here on; training and evaluation of what is reported use smaller ones."""

Arrays = Mapping[str, np.ndarray]
Train = Callable[[Sequence[int], float], Arrays]
"""From seeds and a multiple of all learning rates to the arrays of a training."""
Measure = Callable[[Arrays], np.ndarray]
"""From the arrays of a training to the success of each seed: (S,)."""


@dataclass(frozen=True)
class Sweep:
    """How learning rates are chosen."""

    tuning_share: float = 0.5
    """Seeds on which learning rates are chosen, for each seed that is reported."""

    def __post_init__(self) -> None:
        if not self.tuning_share > 0:
            raise SettingError(f"tuning_share must be > 0, got {self.tuning_share}")

    def seeds(self, reported: int) -> range:
        """The seeds on which learning rates are chosen.

        Args:
            reported: number of seeds that are reported.

        >>> Sweep().seeds(32)
        range(2000000, 2000016)
        """
        return range(FIRST_SEED, FIRST_SEED + max(1, round(self.tuning_share * reported)))


def tuned_cell(
    name: str, train: Train, success: Measure, seeds: int, sweep: Sweep, settings: Mapping[str, Any]
) -> Cell:
    """The cell of :func:`tuned`.

    Args:
        name: see :class:`hacrl_runs.cache.Cell`.
        train, success, seeds, sweep: see :func:`tuned`.
        settings: everything else that the arrays depend on.
    """
    of_sweep = {**asdict(sweep), "factor": FACTOR, "grid": GRID, "extensions": EXTENSIONS, "first_seed": FIRST_SEED}
    compute = partial(tuned, train, success, seeds, sweep)
    return Cell(name, compute, {**settings, "seeds": seeds, "sweep": of_sweep})


def tuned(train: Train, success: Measure, seeds: int, sweep: Sweep) -> dict[str, np.ndarray]:
    """Choose a multiple of the learning rates by mean success on tuning seeds, and train with it on seeds 0, 1, ...

    Args:
        train: one method in one setting.
        success: what is compared; of equally good rates the smallest is taken. A rate with which training stops
            because a number is not finite has success −inf.
        seeds: number of seeds that are reported.
        sweep: how many others the choice is made on.

    Returns:
        The arrays of the training; ``rates``, the multiples tried, ascending, and ``tuning_success`` of each, (R,);
        ``rate``, the one that was chosen, ().
    """
    success_of: dict[int, float] = {}
    power: int | None
    for power in GRID:
        success_of[power] = _mean_success(train, success, sweep.seeds(seeds), power)
    while (power := beyond_the_edge(success_of)) is not None:
        success_of[power] = _mean_success(train, success, sweep.seeds(seeds), power)
    powers, rate = sorted(success_of), multiple(best(success_of))
    return {
        **train(range(seeds), rate),
        "rates": np.array([multiple(power) for power in powers]),
        "tuning_success": np.array([success_of[power] for power in powers]),
        "rate": np.array(rate),
    }


def _mean_success(train: Train, success: Measure, seeds: Sequence[int], power: int) -> float:
    try:
        return float(success(train(seeds, multiple(power))).mean())
    except DivergedError:
        return -np.inf


def multiple(power: int) -> float:
    """The multiple of the learning rates.

    >>> multiple(2), round(multiple(-1), 3)
    (9.0, 0.333)
    """
    return float(FACTOR) ** power


def best(success_of: Mapping[int, float]) -> int:
    """The power with the largest success, the smallest of equals.

    >>> best({0: 0.5, -1: 0.5, 1: 0.25})
    -1
    """
    return max(sorted(success_of), key=lambda power: success_of[power])


def beyond_the_edge(success_of: Mapping[int, float]) -> int | None:
    """The power to be tried next: the one beyond the best if that is the outermost, within the limits; else None.

    >>> beyond_the_edge({-1: 0.1, 0: 0.2, 1: 0.3}), beyond_the_edge({-1: 0.1, 0: 0.3, 1: 0.2})
    (2, None)
    """
    best_power = best(success_of)
    following = best_power - 1 if best_power == min(success_of) else best_power + 1
    within = GRID[0] - EXTENSIONS <= following <= GRID[-1] + EXTENSIONS
    return following if within and following not in success_of else None


def sweep_section(header: Sequence[str], rows: Iterable[tuple[Sequence[Any], Arrays]], tuning_seeds: int) -> str:
    """For a page: how learning rates were chosen, and a folded table of all that were tried.

    Args:
        header: names of the columns that say which training a row is.
        rows: those columns, and the arrays of :func:`tuned`.
        tuning_seeds: number of seeds on which learning rates were chosen.
    """
    trainings = list(rows)
    rates = sorted({float(rate) for _, arrays in trainings for rate in arrays["rates"]})
    lines = [[*names, *_tried(arrays, rates)] for names, arrays in trainings]
    columns = [f"× {Fraction(rate).limit_denominator(FACTOR**6)}" for rate in rates]
    table = markdown_table([*header, *columns], lines)
    return SECTION.format(seeds=tuning_seeds, first=FIRST_SEED, table=table)


def _tried(arrays: Arrays, rates: Sequence[float]) -> list[str]:
    """Success on the tuning seeds by rate, the chosen one in bold, empty where a rate was not tried."""
    success = dict(zip(arrays["rates"].tolist(), arrays["tuning_success"].tolist(), strict=True))
    cells = {rate: f"{value:.3f}" for rate, value in success.items()}
    best_rate = float(arrays["rate"])
    return [f"**{cells[rate]}**" if rate == best_rate else cells.get(rate, "") for rate in rates]


SECTION = """\
Every method has learning rates of its own: a third, one and three times those of the agents were tried, and a factor
of three more while the best was the outermost, at most twice on each side. The one with the best mean success after
training on {seeds} seeds (number {first:,} and following, whose results are not reported) was used on the seeds \
that are
reported. Demonstrations before training, where there are any, are learnt with the agents' own rates.

<details><summary>learning rates tried: success on the tuning seeds by multiple, the chosen one in bold</summary>

{table}

</details>"""
