"""What the records say: a row for each model and set, with intervals over problems, beside the paper's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hacrl_envs.benchmarks import NAMED
from hacrl_lab.evaluation import accuracy_interval, pass_at_k
from hacrl_runs.evaluation.models import Model
from hacrl_runs.evaluation.records import Record
from hacrl_runs.paper import reported
from hacrl_runs.tables import Csv, decimals, markdown_table, with_bounds

Estimate = tuple[float, float, float]
"""A mean over problems and the ends of its 95 % interval."""
ABOUT_THE_PAPER = (
    "The paper's numbers are as printed there (Tables 1 and 7; on AIME 2025 what it calls the best of 30 responses), "
    "several if its pairs have several."
)
_LATEX = str.maketrans({character: f"\\{character}" for character in "&%$#_{}"} | {"±": "$\\pm$"})


@dataclass(frozen=True)
class Row:
    """A model's results on a set."""

    model: Model
    set_name: str
    problems: int
    estimates: Mapping[str, Estimate]
    """By measure: greedy, avg@n, best@n, pass@k."""
    finished: float
    """Share of sampled responses that ended before the length limit."""
    answered: float
    """Share of sampled responses in which the answer rule found an answer."""
    unread: int
    """Problems whose prompt leaves no room for a response."""
    credit: float | None = None
    """Mean of what a task's verifier gave to sampled responses, partial credit included; None for other problems."""


def row_of(model: Model, set_name: str, records: Sequence[Record], ks: Sequence[int]) -> Row:
    """Summarise the records of one model on one set.

    Args:
        model: who answered.
        set_name: what was asked.
        records: what was said.
        ks: those of pass@k.

    Raises:
        ValueError: fewer than two problems, which have no interval.
    """
    greedy = np.array([record["greedy"][0]["reward"] for record in records])  # (P,)
    rewards = np.array([[one["reward"] for one in record["samples"]] for record in records])  # (P, n)
    samples, right = rewards.shape[1], (rewards >= 1).sum(-1)
    values = {
        "greedy": (greedy, 1),
        f"avg@{samples}": (rewards.mean(-1), samples),
        f"best@{samples}": (rewards.max(-1), 1),
        **{f"pass@{k}": (pass_at_k(right.tolist(), samples, k), samples // k) for k in ks},
    }
    responses = [one for record in records for one in record["samples"]]
    finished = float(np.mean([one["finished"] for one in responses]))
    answered = float(np.mean([one["extracted"] is not None for one in responses]))
    unread = sum(record["greedy"][0]["tokens"] == 0 for record in records)
    estimates = {name: accuracy_interval(value, independent) for name, (value, independent) in values.items()}
    verified_by_task = any("credit" in one for one in responses)
    credit = float(np.mean([one.get("credit", 0.0) for one in responses])) if verified_by_task else None
    return Row(model, set_name, len(records), estimates, finished, answered, unread, credit)


def table(rows: Sequence[Row]) -> str:
    """All rows in Markdown."""
    return markdown_table(*_cells(rows))


def latex(rows: Sequence[Row]) -> str:
    """All rows as a LaTeX table of the package booktabs."""
    header, cells = _cells(rows)
    head, *body = [" & ".join(cell.translate(_LATEX) for cell in line) + r" \\" for line in (header, *cells)]
    columns = "ll" + "r" * (len(header) - 2)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def scores_csv(rows: Sequence[Row]) -> Csv:
    """A line for each model, set and measure."""
    header = ("model", "set", "problems", "measure", "mean", "low", "high")
    lines = [
        [row.model.name, row.set_name, row.problems, measure, *decimals(estimate)]
        for row in rows
        for measure, estimate in row.estimates.items()
    ]
    return header, lines


def notes(rows: Sequence[Row], remarks: Sequence[str]) -> str:
    """What the table does not say by itself, a line each, between empty lines.

    Args:
        rows: of the table.
        remarks: to stand before the others.
    """
    lines = [f"- {remark}" for remark in remarks]
    lines += [
        f"- {row.model.name} on {row.set_name}: {row.unread} of {row.problems} problems count as not solved, since "
        "their prompts leave no room for a response."
        for row in rows
        if row.unread
    ]
    lines += [
        f"- {row.model.name} on {row.set_name}: with partial credit the task's verifier gives {row.credit:.3f} on "
        "average; the table counts answers with the full reward only."
        for row in rows
        if row.credit is not None
    ]
    if any(map(_paper, rows)):
        lines.append(f"- {ABOUT_THE_PAPER}")
    return "".join(f"\n{line}" for line in lines) + ("\n" if lines else "")


def _cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The header and the cells; the paper's numbers have a column if there are any."""
    papers = [_paper(row) for row in rows]
    shows_paper = any(papers)
    header = [
        "model",
        "set",
        "problems",
        *rows[0].estimates,
        "finished",
        "answer found",
        *(["paper"] if shows_paper else []),
    ]
    cells = [
        [
            row.model.name,
            title(row.set_name),
            str(row.problems),
            *(with_bounds(*estimate) for estimate in row.estimates.values()),
            f"{row.finished:.2f}",
            f"{row.answered:.2f}",
            *([paper] if shows_paper else []),
        ]
        for row, paper in zip(rows, papers, strict=True)
    ]
    return header, cells


def title(set_name: str) -> str:
    """A set's name as tables write it."""
    return NAMED[set_name].title if set_name in NAMED else set_name


def _paper(row: Row) -> str:
    """The paper's number for this model, method and benchmark; several if its pairs have different ones."""
    if row.set_name not in NAMED:
        return ""
    model = row.model
    return " / ".join(f"{value:g}" for value in reported(row.set_name, model.base, model.method, model.partners))
