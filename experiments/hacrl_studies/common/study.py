"""The one shape of all studies: cells are computed, each once; tables, figures and the page are made from them.

A study is a folder of ``experiments/hacrl_studies/`` with

    __init__.py   docstring: the question, then how it is answered; MINUTES: how long it takes on two cores
    study.py      Options, PUBLISHED, cells(options)
    analysis.py   score(options, results), tables(...), figures(..., folder), csvs(...)
    page.md       the page's template, see :mod:`hacrl_runs.page`

``python experiments/run.py <folder>`` finds it and runs it. ``docs/extending.md`` has a whole study.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from hacrl_lab.config import save_config
from hacrl_lab.files import write_text
from hacrl_runs.cache import Cell, computed
from hacrl_runs.own_folder import own_folder
from hacrl_runs.page import fill
from hacrl_runs.tables import Csv, write_csv
from hacrl_studies.common.cli import command
from hacrl_studies.common.options import OutputOptions, output_folder

Results = Mapping[Any, Mapping[str, Any]]
"""Key of a cell -> its arrays."""


@dataclass(frozen=True)
class Study:
    """A study's parts, from its modules."""

    name: str
    folder: Path
    """Where its page's template is."""
    description: str
    """The text of ``--help``; its first paragraph is the question."""
    options: type[OutputOptions]
    """What can be chosen."""
    published: tuple[OutputOptions, ...]
    """The settings for which the page's sentences were written."""
    cells: Callable[[Any], Mapping[Hashable, Cell]]
    score: Callable[[Any, Results], Mapping[str, float]]
    """The numbers that answer the question."""
    tables: Callable[[Any, Results], Mapping[str, str]]
    """What the page's placeholders stand for, beside the options; the first is printed at the end."""
    figures: Callable[[Any, Results, Path], None]
    csvs: Callable[[Any, Results], Mapping[str, Csv]]
    """Tables of CSV files by file name."""


def study_names(roots: Iterable[str]) -> list[str]:
    """The studies: folders that have the modules of a study.

    Args:
        roots: where to look, ``hacrl_studies.__path__``.
    """
    analyses = (path for root in roots for path in Path(root).glob("*/analysis.py"))
    return sorted(path.parent.name for path in analyses if path.with_name("study.py").exists())


def question_and_minutes(name: str) -> tuple[str, float]:
    """What a study asks, and how many minutes it takes; imports no more than its ``__init__.py``."""
    package = import_module(f"hacrl_studies.{name}")
    question, *_ = (package.__doc__ or "").split("\n\n")
    return " ".join(question.split()), package.MINUTES


def load(name: str) -> Study:
    """A study from its modules."""
    package, study, analysis = (import_module(f"hacrl_studies.{name}{part}") for part in ("", ".study", ".analysis"))
    return Study(
        name=name,
        folder=Path(str(study.__file__)).parent,
        description=package.__doc__ or "",
        options=study.Options,
        published=study.PUBLISHED,
        cells=study.cells,
        score=analysis.score,
        tables=analysis.tables,
        figures=analysis.figures,
        csvs=analysis.csvs,
    )


def run(study: Study, options: OutputOptions) -> str:
    """Compute the cells, write CSV files, figures, the page and the score; returns the first table.

    Args:
        study: what to run.
        options: of the study.

    Raises:
        LabError: the folder holds what this study did not write.
    """
    folder = output_folder(options, study.name)
    with own_folder(folder, f"experiments/run.py {study.name}"):  # before anything is computed
        results = compute(study.cells(options), Path(options.cache_dir), study.name, options.workers)
        for name, table in study.csvs(options, results).items():
            write_csv(folder / name, table)
        study.figures(options, results, folder)
        tables = dict(study.tables(options, results))
        write_text(folder / "README.md", page(study, options, tables))
        _write_score(folder / "score.json", study.score(options, results))
        save_config(options, folder / "config.json")
    return f"{next(iter(tables.values()))}\n\nWritten to {folder}."


def compute(cells: Mapping[Hashable, Cell], cache: Path, description: str, workers: int = 1) -> Results:
    """Every cell, computed or read, with a progress bar.

    Args:
        cells: by key.
        cache: folder of all cells.
        description: of the progress bar.
        workers: processes that compute side by side, each with one thread: results are the same for any number.
    """
    torch.set_num_threads(1)
    if workers > 1:
        kept = [cell for cell in cells.values() if cell.settings is not None]
        _compute_side_by_side(kept, cache, description, workers)
    with tqdm(cells.items(), desc=description, unit="cell") as bar:  # which ends before an error is printed
        return {key: computed(cell, cache) for key, cell in bar}


def _compute_side_by_side(cells: Sequence[Cell], cache: Path, description: str, workers: int) -> None:
    """Put cells into the cache; the workers' own progress bars are off."""
    os.environ["TQDM_DISABLE"] = "1"  # which a worker reads when it imports tqdm; here it has been imported
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        futures = [pool.submit(_fill, cell, cache) for cell in cells]
        try:
            with tqdm(as_completed(futures), total=len(futures), desc=description, unit="cell") as bar:
                for future in bar:
                    future.result()
        finally:
            pool.shutdown(cancel_futures=True)
            del os.environ["TQDM_DISABLE"]


def _fill(cell: Cell, cache: Path) -> None:
    computed(cell, cache)


def page(study: Study, options: OutputOptions, tables: Mapping[str, str]) -> str:
    """The filled page; its placeholders are the options, ``command`` and what ``tables`` gives."""
    settings = options.settings()
    published = any(settings == others.settings() for others in study.published)
    values = {**settings, "command": command(study.name, options), **tables}
    return fill(study.folder / f"page{options.suffix}.md", values, published)


def _write_score(path: Path, score: Mapping[str, float]) -> None:
    """Write the score as JSON, in which a number that is not finite is null."""
    values = {name: float(value) if math.isfinite(value) else None for name, value in score.items()}
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
