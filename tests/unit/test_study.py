"""The one shape of studies: what ``run`` computes, keeps and writes, on a study without training."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial
from operator import truediv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hacrl_lab.errors import LabError
from hacrl_runs.cache import Cell
from hacrl_runs.page import NOTE
from hacrl_studies.common.options import OutputOptions
from hacrl_studies.common.study import Results, Study, compute, run, study_names

PAGE = """# Squares

Written by `$command`.

<!-- published settings -->
The square of 2 is $first.
<!-- end -->

$squares
"""


@dataclass(frozen=True)
class Options(OutputOptions):
    """Square some numbers."""

    numbers: tuple[int, ...] = (2, 3)


@pytest.fixture
def calls() -> list[int]:
    """The numbers that were squared."""
    return []


@pytest.fixture
def squares(tmp_path: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")

    def cells(options: Options) -> dict[Hashable, Cell]:
        def square(number: int) -> dict[str, Any]:
            calls.append(number)
            return {"square": np.array(number**2)}

        return {n: Cell("square", lambda n=n: square(n), {"number": n}) for n in options.numbers}

    def figures(options: Options, results: Results, folder: Path) -> None:
        (folder / "squares.png").write_bytes(b"picture")

    def tables(options: Options, results: Results) -> dict[str, str]:
        return {"squares": " ".join(str(results[n]["square"]) for n in options.numbers), "first": "4"}

    return Study(
        name="squares",
        folder=tmp_path,
        description="",
        options=Options,
        published=(Options(),),
        cells=cells,
        score=lambda options, results: {"last": float(results[options.numbers[-1]]["square"]), "none": float("inf")},
        tables=tables,
        figures=figures,
        csvs=lambda options, results: {"squares.csv": (["square"], [[results[n]["square"]] for n in options.numbers])},
    )


def test_a_folder_that_is_deleted_while_cells_are_computed_is_not_made_anew(squares: Study) -> None:
    def cells(options: Options) -> dict[Hashable, Cell]:
        shutil.rmtree("runs/squares")
        return dict(squares.cells(options))

    with pytest.raises(LabError, match=r"^'runs/squares' was renamed or deleted"):
        run(replace(squares, cells=cells), Options())
    assert not Path("runs/squares").exists()


def test_a_run_writes_everything_into_one_folder(squares: Study) -> None:
    assert run(squares, Options()) == "4 9\n\nWritten to runs/squares."
    folder = Path("runs/squares")
    names = {"README.md", "squares.csv", "squares.png", "score.json", "config.json"}
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == names
    assert (folder / "squares.csv").read_bytes() == b"square\r\n4\r\n9\r\n"
    assert json.loads((folder / "score.json").read_text()) == {"last": 9, "none": None}
    assert json.loads((folder / "config.json").read_text())["numbers"] == [2, 3]


def test_sentences_about_results_stand_in_runs_with_published_settings_only(squares: Study) -> None:
    run(squares, Options())
    run(squares, Options(output_dir="there", cache_dir="elsewhere"))
    pages = [Path(folder, "README.md").read_text(encoding="utf-8") for folder in ("runs/squares", "there")]
    assert pages[0] == pages[1]  # the places make no difference
    assert "The square of 2 is 4." in pages[0]
    assert NOTE not in pages[0]

    run(squares, Options(numbers=(2, 5)))
    page = Path("runs/squares/README.md").read_text(encoding="utf-8")
    assert "The square of 2" not in page
    assert NOTE in page
    assert "Written by `python experiments/run.py squares --numbers 2 5`." in page


def test_cells_are_computed_once_whatever_the_options(squares: Study, calls: list[int]) -> None:
    run(squares, Options())
    run(squares, Options(numbers=(3, 4), publish=True))
    assert calls == [2, 3, 4]
    assert Path("results/squares/squares.csv").read_bytes() == b"square\r\n9\r\n16\r\n"


def test_an_interrupted_run_goes_on_where_it_was(squares: Study, calls: list[int]) -> None:
    def interrupted() -> dict[str, Any]:
        raise KeyboardInterrupt

    whole = squares.cells(Options())
    broken = {2: whole[2], 3: replace(whole[3], compute=interrupted)}
    with pytest.raises(KeyboardInterrupt):
        run(replace(squares, cells=lambda options: broken), Options())
    assert not Path("runs/squares/README.md").exists()
    run(squares, Options())
    assert calls == [2, 3]


def test_a_study_of_several_worlds_has_a_page_for_each(squares: Study, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Worlds(Options):
        @property
        def suffix(self) -> str:
            return "_bandit"

    (tmp_path / "page_bandit.md").write_text("Bandits: $squares\n", encoding="utf-8")
    run(squares, Worlds())
    assert Path("runs/squares_bandit/README.md").read_text(encoding="utf-8") == "Bandits: 4 9\n"


def test_studies_are_folders_with_both_modules(tmp_path: Path) -> None:
    for name, files in {
        "b": ("study", "analysis"),
        "a": ("study", "analysis"),
        "c": ("study",),
        "d": ("analysis",),
    }.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / f"{file}.py").touch()
    assert study_names([str(tmp_path)]) == ["a", "b"]


def numbers(count: int) -> dict[Hashable, Cell]:
    """Cells that another process can be sent."""
    return {n: Cell("number", partial(dict, value=np.array(n)), {"number": n}) for n in range(count)}


def test_workers_compute_the_same_and_keep_it(tmp_path: Path) -> None:
    one, two = (compute(numbers(5), tmp_path / str(workers), "numbers", workers) for workers in (1, 2))
    assert {key: int(arrays["value"]) for key, arrays in two.items()} == {n: n for n in range(5)}
    assert one.keys() == two.keys()
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == sorted(
        p.name for p in (tmp_path / "2").iterdir()
    )
    assert "TQDM_DISABLE" not in os.environ


def test_an_error_in_a_worker_stops_the_study(tmp_path: Path) -> None:
    broken = {**numbers(2), "broken": Cell("broken", partial(truediv, 1, 0), {})}  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        compute(broken, tmp_path, "numbers", workers=2)
    assert {key: int(arrays["value"]) for key, arrays in compute(numbers(2), tmp_path, "numbers").items()} == {
        0: 0,
        1: 1,
    }
