from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from cells import cell


def test_a_cell_is_computed_once_for_each_settings(tmp_path: Path) -> None:
    calls = []

    def compute() -> Mapping[str, np.ndarray]:
        calls.append(1)
        return {"values": np.array([len(calls), 0.1])}

    settings = {"seeds": 2}, {"seeds": 2}, {"seeds": 3}, {"seeds": 2}
    first, again, other, back = (cell(tmp_path, "a", one, compute) for one in settings)
    assert [one["values"][0] for one in (first, again, other, back)] == [1, 1, 2, 1]
    assert list(again) == ["values"]
    assert again["values"][1] == 0.1


def test_cells_of_other_code_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell(tmp_path, "a", {}, lambda: {"x": np.array(1)})
    monkeypatch.setattr("cells.RESULTS_VERSION", -1)
    assert int(cell(tmp_path, "a", {}, lambda: {"x": np.array(2)})["x"]) == 2


def test_a_broken_cell_is_computed_anew(tmp_path: Path) -> None:
    cell(tmp_path, "a", {}, lambda: {"x": np.array(1)})
    (path,) = (tmp_path / "cells").iterdir()
    for content in (b"", path.read_bytes()[:50], b"not an archive"):
        path.write_bytes(content)
        assert int(cell(tmp_path, "a", {}, lambda: {"x": np.array(2)})["x"]) == 2


def test_cells_of_other_names_are_apart(tmp_path: Path) -> None:
    one = cell(tmp_path, "a", {}, lambda: {"x": np.array(1)})
    two = cell(tmp_path, "b", {}, lambda: {"x": np.array(2)})
    assert (int(one["x"]), int(two["x"]), int(cell(tmp_path, "a", {}, dict)["x"])) == (1, 2, 1)
