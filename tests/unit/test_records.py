import json
from decimal import Decimal
from pathlib import Path

import pytest

from hacrl_envs.records import LONGEST_LINE, LONGEST_SHOWN, Number, Record, Unusable, read_records
from hacrl_lab.errors import LabError
from hacrl_lab.extras import extra


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def records(path: Path) -> list[Record]:
    """The records of a file that holds nothing else."""
    found = read_records(path)
    assert all(isinstance(one, Record) for one in found)
    return [one for one in found if isinstance(one, Record)]


def faults(path: Path) -> list[str]:
    """What a file holds that is no record, in words."""
    return [str(one) for one in read_records(path) if isinstance(one, Unusable)]


def values(path: Path) -> list[dict[str, object]]:
    return [dict(record.values) for record in records(path)]


def test_records_of_json_lines_name_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"question": "½?", "level": [3, {"x": 0.50}]}\n\n{"question": "c"}\n')
    first, second = records(path)
    assert (first.location, second.location) == (f"{path}, line 1", f"{path}, line 3")
    assert first.values == {"question": "½?", "level": ["3", {"x": "0.50"}]}
    assert second.values == {"question": "c"}


@pytest.mark.parametrize("number", ["7", "-0.00001", "1e16", "0.50", "1E400", "9" * 5000])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_numbers_stay_as_they_are_written(tmp_path: Path, name: str, number: str) -> None:
    content = f'{{"answer": {number}}}'
    (record,) = records(write(tmp_path, name, content if name == "a.jsonl" else f"[{content}]"))
    assert record.values["answer"] == number
    assert isinstance(record.values["answer"], Number)


def test_marks_carriage_returns_and_unusual_separators_are_no_problem(tmp_path: Path) -> None:
    lines = '{"question": "a\u2028b"}\r\n \u2028\r\n{"question": "c\x85d"}\r\n'
    assert values(write(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + lines.encode())) == [
        {"question": "a\u2028b"},
        {"question": "c\x85d"},
    ]
    assert values(write(tmp_path, "a.json", b"\xef\xbb\xbf[{}]")) == [{}]
    assert values(write(tmp_path, "a.csv", b"\xef\xbb\xbfquestion\r\na\r\n")) == [{"question": "a"}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "is not a JSON object like"),
        ('["1+1?", "2"]', "is not a JSON object like"),
        ("3", "is not a JSON object like"),
        ("null", "is not a JSON object like"),
        ('"text"', "is not a JSON object like"),
        ("[" * 200_000, "is not a JSON object like"),
        ('{"answer": NaN}', "holds NaN, which is not JSON"),
        ('{"answer": [-Infinity]}', "holds -Infinity, which is not JSON"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "has the key 'c' twice"),
    ],
)
def test_line_that_is_no_record_is_told_by_number(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path, "a.jsonl", f'{{"question": "1+1?"}}\n{line}\n{{"question": "1+2?"}}\n')
    (fault,) = faults(path)
    assert fault.startswith(f"{path}, line 2 {message}")
    assert len(read_records(path)) == 3


def test_lines_that_are_not_text_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", b'{"a": "b"}\n{"a": "\xff"}\n')
    assert faults(path) == [f"{path}, line 2 is not text in UTF-8"]
    path = write(tmp_path, "a.jsonl", '{"a": "b"}'.encode("utf-16"))
    assert faults(path) == [f"{path}, line 1 is not text in UTF-8"]
    with pytest.raises(LabError, match=r"a\.csv is not CSV in UTF-8"):
        read_records(write(tmp_path, "a.csv", b"question\n\xff\n"))


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    line = json.dumps({"question": "a" * (LONGEST_LINE - 17)})
    assert len(line) == LONGEST_LINE - 1
    assert len(read_records(write(tmp_path, "a.jsonl", f"{line}\n"))) == 1
    with pytest.raises(LabError, match=r"a\.jsonl, line 1 is longer than 16 MiB$"):
        read_records(write(tmp_path, "a.jsonl", f"{line}   \n"))


def test_a_json_file_is_a_list_of_objects(tmp_path: Path) -> None:
    assert values(write(tmp_path, "a.json", '[{"a": "b"}, {"a": "c"}]')) == [{"a": "b"}, {"a": "c"}]
    for content in ('{"a": "b"}', '{"a": "b"}\n{"a": "c"}', ""):
        with pytest.raises(LabError, match=r"a\.json is not a JSON list of objects .* in each line is named \.jsonl$"):
            read_records(write(tmp_path, "a.json", content))
    (fault,) = faults(write(tmp_path, "a.json", '[{"a": "b"}, "c"]'))
    assert "a.json, entry 2 is not a JSON object like" in fault


def test_a_json_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(2**30 + 1)  # a file of holes
    with pytest.raises(LabError, match=r"a\.json is larger than 1 GiB; write it as JSON Lines$"):
        read_records(path)


def test_cells_of_csv_stay_as_they_are_written(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'question,answer\n"one,\ntwo?",007\n\nthree?,0.00001\n')
    assert values(path) == [{"question": "one,\ntwo?", "answer": "007"}, {"question": "three?", "answer": "0.00001"}]
    assert [record.location for record in records(path)] == [f"{path}, line 3", f"{path}, line 5"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,a\n1,2,3\n", r"line 1 has the column 'a' twice$"),
        ('a\n"b\n', r"is not CSV in UTF-8: unexpected end of data$"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(LabError, match=message):
        read_records(write(tmp_path, "a.csv", content))


def test_rows_that_do_not_fit_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "a,b\n1\n1,2\n1,2,3\n")
    expected = [f"{path}, line {line} has {cells} cells and the header has 2" for line, cells in ((2, 1), (4, 3))]
    assert faults(path) == expected


def test_of_a_long_value_a_message_shows_the_beginning_on_one_line() -> None:
    fault = Unusable("a.jsonl, line 7", "is too long", "answer", "1\n2" + "x" * 100)
    assert str(fault) == f"a.jsonl, line 7: 'answer' is too long: 1 2{'x' * (LONGEST_SHOWN - 4)}…"


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"a\.txt' has none of the endings \.jsonl, \.json, \.csv, \.parquet$"):
        read_records(write(tmp_path, "a.txt", "{}"))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(LabError, match=r"folder\.jsonl' cannot be read: Is a directory$"):
        read_records(tmp_path / "folder.jsonl")


@pytest.mark.extras
def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    pyarrow, parquet = extra("pyarrow", "data"), extra("pyarrow.parquet", "data")

    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"question": ["a", "b"], "answer": [1, 2], "n": [[0.5], None]}), path)
    assert values(path) == [{"question": "a", "answer": 1, "n": [0.5]}, {"question": "b", "answer": 2, "n": None}]
    assert [record.location for record in records(path)] == [f"{path}, row 1", f"{path}, row 2"]
    with pytest.raises(LabError, match=r"b\.parquet is not a Parquet file that pyarrow can read: "):
        read_records(write(tmp_path, "b.parquet", "PAR1 no"))


@pytest.mark.extras
def test_narrow_numbers_and_decimals_of_parquet_are_as_they_were_written(tmp_path: Path) -> None:
    pyarrow, parquet = extra("pyarrow", "data"), extra("pyarrow.parquet", "data")

    written = ["0.1", "-2.5", "0.00001", "1234567"]
    columns = {
        "float32": pyarrow.array(map(float, written), pyarrow.float32()),
        "float64": pyarrow.array(map(float, written), pyarrow.float64()),
        "decimal": pyarrow.array([Decimal("0.10"), Decimal("-2.50"), Decimal("7"), None], pyarrow.decimal128(9, 2)),
        "list": pyarrow.array([[0.1], [], None, [0.3, 0.7]], pyarrow.list_(pyarrow.float32())),
        "struct": pyarrow.array([{"x": 0.1}] * 4, pyarrow.struct([("x", pyarrow.float16())])),
    }
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    rows = values(path)
    assert [row["float32"] for row in rows] == written
    assert [row["float64"] for row in rows] == [0.1, -2.5, 0.00001, 1234567.0]
    assert [row["decimal"] for row in rows] == ["0.10", "-2.50", "7.00", None]
    assert [row["list"] for row in rows] == [["0.1"], [], None, ["0.3", "0.7"]]
    assert [row["struct"] for row in rows] == [{"x": "0.1"}] * 4
    assert isinstance(rows[0]["float32"], Number)


@pytest.mark.extras
def test_a_parquet_file_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    pyarrow, parquet = extra("pyarrow", "data"), extra("pyarrow.parquet", "data")

    table = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["answer", "answer"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(LabError, match=r"has the column 'answer' twice$"):
        read_records(tmp_path / "a.parquet")
