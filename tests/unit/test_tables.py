from pathlib import Path

import numpy as np
import pytest

from hacrl_runs.tables import by_agent, decimals, markdown_table, with_half_width, with_interval, write_csv


def test_a_table_has_a_line_for_the_header_and_one_a_row() -> None:
    assert markdown_table(["a", "b"], [[1, "x"], ["", 2.5]]).splitlines() == [
        "| a | b |",
        "|---|---|",
        "| 1 | x |",
        "|  | 2.5 |",
    ]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 columns has 1 cells"):
        markdown_table(["a", "b"], [[1]])


def test_csv_files_have_the_header_first(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", (["x", "y"], [[1, "a, b"], [2, ""]]))
    assert (tmp_path / "a.csv").read_bytes() == b'x,y\r\n1,"a, b"\r\n2,\r\n'


def test_numbers_are_rounded_and_not_cut() -> None:
    assert decimals([0.1234567, -1 / 3, float("nan")]) == ["0.123457", "-0.333333", "nan"]
    assert decimals([0.999999], digits=5) == ["1.00000"]


def test_means_are_over_seeds_and_not_over_agents() -> None:
    assert by_agent(np.array([[0.0, 1.0], [0.25, 0.25], [1.0, 1.0]])) == "0.500 / 0.250 / 1.000"


def test_an_interval_has_the_format_of_its_number() -> None:
    assert with_interval(0.5, (-0.25, 1)) == "0.500 [-0.250, 1.000]"
    assert with_interval(0.5, (-0.25, 1), "+.1f") == "+0.5 [-0.2, +1.0]"


def test_only_the_number_has_a_sign_and_not_its_half_width() -> None:
    assert with_half_width(0.12345, 0.0156) == "0.123 ± 0.016"
    assert with_half_width(0.5, 0.25, "+.1f") == "+0.5 ± 0.2"
    assert with_half_width(-0.5, 0.25, "+.2f") == "-0.50 ± 0.25"
