"""The page above those of the workloads: every workload that has been measured, in one table."""

from __future__ import annotations

import csv
from pathlib import Path

from hacrl_lab.files import write_text
from hacrl_runs.page import fill
from hacrl_runs.tables import markdown_table
from language_benchmark.options import TRL
from language_benchmark.report import label
from language_benchmark.workloads import WORKLOADS


def write_overview(folder: Path) -> None:
    """Write it from the ratios in the folders of the workloads."""
    header = ["workload", "", "median, s", "beside TRL", "least to largest", "floor beside TRL"]
    rows = [row for name in WORKLOADS for row in _rows(folder, name)]
    values = {"ratios": markdown_table(header, rows)}
    write_text(folder / "README.md", fill(Path(__file__).with_name("overview.md"), values, published=False))


def _rows(folder: Path, workload: str) -> list[list[str]]:
    path = folder / workload / "ratios.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        [
            f"[{workload}]({workload}/README.md)",
            label(row["side"]),
            *(f"{float(row[column]):.2f}" for column in ("median", "ratio")),
            f"{float(row['least']):.2f} to {float(row['largest']):.2f}",
            f"{float(row['floor_ratio']):.2f}",
        ]
        for row in rows
        if row["side"] != TRL
    ]
