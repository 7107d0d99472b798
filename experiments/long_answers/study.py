"""What is trained and measured: the parts of the study, each of which says what it needs."""

from __future__ import annotations

from collections.abc import Hashable

from common.cache import Cell
from long_answers import by_length, crossing, law, networks, parts, schedules, teams, width
from long_answers.options import PUBLISHED, Options
from long_answers.runs import Run, run_cell

__all__ = ["PUBLISHED", "Options", "cells"]


def tuned_runs(options: Options) -> list[Run]:
    """Every run whose learning rate is swept, once."""
    parted = [part.runs(options) for part in (by_length, schedules, parts, teams, width)]
    return list(dict.fromkeys(run for some in parted for run in some))


def cells(options: Options) -> dict[Hashable, Cell]:
    """The runs; what passes the clip on a grid, and trainings there; networks."""
    trained = {run: run_cell(run, options.steps, options.seeds, options.sweep) for run in tuned_runs(options)}
    return {**trained, **law.cells(options.seeds), **crossing.cells(options), **networks.cells(options)}
