from collections.abc import Mapping
from pathlib import Path

import numpy as np
from cells import cell


def test_a_cell_is_computed_once_for_each_settings(tmp_path: Path) -> None:
    calls = []

    def compute() -> Mapping[str, np.ndarray]:
        calls.append(1)
        return {"values": np.array([len(calls), 0.1])}

    first = cell(tmp_path, "a", {"seeds": 2}, compute)
    again = cell(tmp_path, "a", {"seeds": 2}, compute)
    other = cell(tmp_path, "a", {"seeds": 3}, compute)
    assert (first["values"][0], again["values"][0], other["values"][0]) == (1, 1, 2)
    assert list(again) == ["values"]
    assert again["values"][1] == 0.1


def test_cells_of_other_names_are_apart(tmp_path: Path) -> None:
    one = cell(tmp_path, "a", {}, lambda: {"x": np.array(1)})
    two = cell(tmp_path, "b", {}, lambda: {"x": np.array(2)})
    assert (int(one["x"]), int(two["x"]), int(cell(tmp_path, "a", {}, dict)["x"])) == (1, 2, 1)
