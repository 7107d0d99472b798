"""What is found out about one result: how exactly it holds, and what happens without each thing that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from hacrl_runs.tables import markdown_table

NOTICEABLE = 1e-9
"""A violation smaller than this is rounding."""


@dataclass(frozen=True)
class Violation:
    """A result without one of the things that it needs, over many problems."""

    without: str
    """What is dropped."""
    measure: str
    """What is measured: 0 where the result still holds."""
    fraction: float
    """Share of the problems where it does not."""
    mean: float
    """Mean size over all problems."""
    worst: float
    """Largest size."""


@dataclass(frozen=True)
class Finding:
    """One result of the paper."""

    name: str
    statement: str
    needs: str
    max_error: float
    """Largest error of the statement where everything that it needs is given; of gradients the relative error."""
    cases: int
    """Problems behind that number."""
    violations: tuple[Violation, ...]


def violation(without: str, measure: str, sizes: Tensor) -> Violation:
    """Summarise the sizes of a violation, one for each problem, all ≥ 0."""
    return Violation(
        without,
        measure,
        float((sizes > NOTICEABLE).double().mean()),
        float(sizes.mean()),
        float(sizes.max()),
    )


def findings_table(findings: Sequence[Finding]) -> str:
    """Markdown: result × holds under its assumptions × without each of them."""
    rows = []
    for finding in findings:
        holds = [
            f"**{finding.name}**: {finding.statement}",
            finding.needs,
            f"{finding.max_error:.0e} ({finding.cases})",
        ]
        for broken in finding.violations:
            sizes = [f"{broken.fraction:.0%}", _short(broken.mean), _short(broken.worst)]
            rows.append([*holds, broken.without, broken.measure, *sizes])
            holds = ["", "", ""]
    header = ["result", "given", "largest error (problems)", "without", "measured", "affected", "mean", "worst"]
    return markdown_table(header, rows)


def _short(number: float) -> str:
    return f"{number:.3f}" if abs(number) >= 5e-4 or number == 0 else f"{number:.0e}"
