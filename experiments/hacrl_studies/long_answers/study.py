"""What is trained and measured: the parts of the study, each of which says what it needs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

from hacrl_runs.cache import Cell
from hacrl_studies.long_answers import by_length, crossing, law, networks, parts, schedules, teams, width
from hacrl_studies.long_answers.options import PUBLISHED, Options, Part
from hacrl_studies.long_answers.runs import Run, run_cell

__all__ = ["PUBLISHED", "Options", "cells"]

RUNS: Mapping[Part, Callable[[Options], list[Run]]] = {
    "lengths": by_length.runs,
    "schedules": schedules.runs,
    "ablations": parts.runs,
    "teams": teams.runs,
    "widths": width.runs,
}
"""Linear agents by part."""


def tuned_runs(options: Options) -> list[Run]:
    """Every run of linear agents whose learning rate is swept, once."""
    return list(dict.fromkeys(run for part, runs in RUNS.items() if part in options.parts for run in runs(options)))


def cells(options: Options) -> dict[Hashable, Cell]:
    """The runs; what passes the clip on a grid, and trainings there; networks."""
    by_key: dict[Hashable, Cell] = {
        run: run_cell(run, options.steps, options.seeds, options.sweep) for run in tuned_runs(options)
    }
    if "law" in options.parts:
        by_key |= {**law.cells(options.seeds), **crossing.cells(options)}
    if "networks" in options.parts:
        by_key |= networks.cells(options)
    return by_key
