"""Tables in Markdown and CSV, and how numbers are written in them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hacrl_lab.files import write_text

Csv = tuple[Sequence[str], Iterable[Sequence[Any]]]
"""The header and the rows of a CSV file."""


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown; cells are written with ``str``.

    >>> print(markdown_table(["a", "b"], [[1, ""]]))
    | a | b |
    |---|---|
    | 1 |  |
    """
    lines = [_line(header), f"|{'---|' * len(header)}"]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row of a table with {len(header)} columns has {len(row)} cells: {list(row)}")
        lines.append(_line(row))
    return "\n".join(lines)


def _line(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def write_csv(path: Path, table: Csv) -> None:
    """Write a header and rows."""
    header, rows = table
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def decimals(values: Iterable[float], digits: int = 6) -> list[str]:
    """Numbers as CSV files have them.

    >>> decimals([0.5, 1])
    ['0.500000', '1.000000']
    """
    return [f"{value:.{digits}f}" for value in values]


def by_agent(success: np.ndarray) -> str:
    """Each agent's mean over seeds.

    Args:
        success: (agents, S).

    >>> by_agent(np.array([[0.0, 0.5], [1.0, 1.0]]))
    '0.250 / 1.000'
    """
    return " / ".join(f"{value:.3f}" for value in success.mean(-1))


def with_interval(mean: float, interval: tuple[float, float], form: str = ".3f") -> str:
    """A number and its interval, each in the given format.

    >>> with_interval(0.5, (0.25, 1), "+.2f")
    '+0.50 [+0.25, +1.00]'
    """
    low, high = interval
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]"


def with_bounds(mean: float, low: float, high: float) -> str:
    """A number and the ends of its interval, as :func:`hacrl_lab.evaluation.accuracy_interval` gives them.

    >>> with_bounds(0.5, 0.25, 0.75), with_bounds(0.0, 0.0, 0.25)
    ('0.500 ± 0.250', '0.000 [0.000, 0.250]')
    """
    is_symmetric = abs((high - mean) - (mean - low)) < 1e-9
    return with_half_width(mean, high - mean) if is_symmetric else with_interval(mean, (low, high))


def with_half_width(mean: float, half: float, form: str = ".3f") -> str:
    """A number and the half-width of its interval, as :func:`hacrl_lab.evaluation.mean_interval` gives them.

    Args:
        mean: the number.
        half: the half-width.
        form: format of both; a sign that it asks for is the number's only.

    >>> with_half_width(0.5, 0.25, "+.2f")
    '+0.50 ± 0.25'
    """
    return f"{mean:{form}} ± {half:{form.removeprefix('+')}}"
