import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hacrl_runs.cache import Cell, computed


def cell(name: str, settings: dict[str, int] | None, value: float) -> Cell:
    return Cell(name, lambda: {"x": np.array([value, 0.1])}, settings)


def value_of(folder: Path, cell: Cell) -> float:
    return float(computed(cell, folder)["x"][0])


def test_a_cell_is_computed_once_for_each_settings(tmp_path: Path) -> None:
    settings = {"seeds": 2}, {"seeds": 2}, {"seeds": 3}, {"seeds": 2}
    values = [value_of(tmp_path, cell("a", settings_of_cell, value)) for value, settings_of_cell in enumerate(settings)]
    assert values == [0, 0, 2, 0]
    again = computed(cell("a", {"seeds": 2}, 9), tmp_path)
    assert list(again) == ["x"]
    assert again["x"].tolist() == [0, 0.1]


def test_the_order_of_settings_does_not_matter(tmp_path: Path) -> None:
    value_of(tmp_path, cell("a", {"seeds": 2, "steps": 1}, 1))
    assert value_of(tmp_path, cell("a", {"steps": 1, "seeds": 2}, 2)) == 1


def test_cells_of_other_code_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value_of(tmp_path, cell("a", {}, 1))
    monkeypatch.setattr("hacrl_runs.cache.RESULTS_VERSION", -1)
    assert value_of(tmp_path, cell("a", {}, 2)) == 2


def test_a_broken_cell_is_computed_anew(tmp_path: Path) -> None:
    value_of(tmp_path, cell("a", {}, 1))
    (path,) = tmp_path.glob("*.npz")
    for content in (b"", path.read_bytes()[:50], b"not an archive"):
        path.write_bytes(content)
        assert value_of(tmp_path, cell("a", {}, 2)) == 2


def test_cells_of_other_names_are_apart(tmp_path: Path) -> None:
    values = [value_of(tmp_path, cell(name, {}, value)) for value, name in enumerate(("a a", "b", "a a"))]
    assert values == [0, 1, 0]
    assert sorted(path.name[:4] for path in tmp_path.glob("*.npz"))[0] == "a_a-"


def test_a_cell_without_settings_is_computed_in_every_run(tmp_path: Path) -> None:
    assert [value_of(tmp_path, cell("a", None, value)) for value in (1, 2)] == [1, 2]
    assert not list(tmp_path.iterdir())


PROGRAM = """
import sys, time
from pathlib import Path
import numpy as np
from hacrl_runs.cache import Cell, computed

def compute():
    print("computed", flush=True)
    time.sleep(0.5)
    return {"x": np.array([len(sys.argv)])}

print(computed(Cell("a", compute, {}), Path(sys.argv[1]))["x"])
"""


def test_of_processes_that_want_one_cell_one_computes_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0] * 4
    assert sorted(said) == ["[2]\n"] * 3 + ["computed\n[2]\n"]
