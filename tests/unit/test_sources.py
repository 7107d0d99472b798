import json
import os
import socket
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacrl_envs.benchmarks import NAMED
from hacrl_envs.cells import exact_answer
from hacrl_envs.sources import Columns, read_problems
from hacrl_envs.text import Problem
from hacrl_envs.usable import left_out
from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.extras import extra


def jsonl(folder: Path, *entries: dict[str, Any], name: str = "problems.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return str(path)


def read(source: str, columns: Columns | None = None) -> Sequence[Problem]:
    """The problems of a source in which every entry must be one."""
    reading = read_problems(source, columns)
    left_out([reading], skip_unusable=False)
    return reading.problems


def pairs(problems: Sequence[Problem]) -> list[tuple[str, str]]:
    return [(problem.question, problem.answer) for problem in problems]


def test_problems_keep_their_order_and_their_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(
        '{"question": "½ of 1?", "answer": "\\\\frac{1}{2}", "level": [3, 0.5]}\n{"question": "1+1?", "answer": 2}\n'
    )
    assert read(str(path)) == [
        Problem("½ of 1?", r"\frac{1}{2}", columns={"answer": r"\frac{1}{2}", "level": [3, 0.5]}),
        Problem("1+1?", "2", columns={"answer": 2}),
    ]


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("2+2=4\n#### 4", "4"),
        ("#### 1,234,567.5", "1234567.5"),
        ("#### 1,23", "1,23"),
        ("#### 5\nno: #### 6 ", "6"),
        (r"so \boxed{1} or rather $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        ("(1,234)", "(1,234)"),
        (" 7 ", "7"),
        ("####", None),
        (r"\boxed{1", None),
        ("#### How\n1 + 1 is\n#### So\n$\\boxed{2}$.", "2"),
        ("#### \\boxed{2}", "2"),
        (r"so $\fbox{2}$", "2"),
    ],
)
def test_the_exact_answer_is_taken_out_of_a_solution(solution: str, answer: str | None) -> None:
    assert exact_answer(solution) == answer


@pytest.mark.parametrize("question", ["question", "problem", "prompt", "input"])
@pytest.mark.parametrize("answer", ["answer", "solution", "gold", "target"])
def test_columns_with_usual_names_are_found(tmp_path: Path, question: str, answer: str) -> None:
    source = jsonl(tmp_path, {"id": 1, question: "1+1?", answer: "2"})
    assert pairs(read(source)) == [("1+1?", "2")]


def test_columns_can_be_named(tmp_path: Path) -> None:
    source = jsonl(tmp_path, {"question": "1+1?", "problem": "1+2?", "answer": 2, "solution": 3})
    assert pairs(read(source, Columns("problem", "solution"))) == [("1+2?", "3")]


@pytest.mark.parametrize(
    ("entry", "columns", "message"),
    [
        (
            {"question": "a", "problem": "b", "answer": 1},
            None,
            "has several columns named question, problem, prompt, input; its columns are question, problem, answer: "
            "set question_column to the name of one",
        ),
        (
            {"question": "a", "reply": 1},
            None,
            "has no column named answer, solution, gold, target, final_answer, "
            "expected_answer, ground_truth; its columns are question, reply: "
            "set answer_column to the name of one",
        ),
        (
            {"question": "a", "answer": 1},
            Columns(answer="reply"),
            "has no column 'reply'; its columns are question, answer: set answer_column to the name of one",
        ),
        ({}, None, "its columns are none: set question_column to the name of one"),
    ],
)
def test_columns_that_are_missing_or_ambiguous_are_refused(
    tmp_path: Path, entry: dict[str, Any], columns: Columns | None, message: str
) -> None:
    with pytest.raises(LabError, match=rf"problems\.jsonl, line 1 .*{message}$"):
        read(jsonl(tmp_path, entry), columns)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"question": "b"}, "line 2 has no 'answer'"),
        ({"answer": "b"}, "line 2 has no 'question'"),
        ({"question": "b", "answer": None}, "line 2: 'answer' is neither text nor a number: None"),
        ({"question": "b", "answer": True}, "line 2: 'answer' is neither text nor a number: True"),
        (
            {"question": "b", "answer": {"x": "1"}},
            "line 2: 'answer' holds columns of its own; name one of them, as in 'answer.x'",
        ),
        ({"question": "b", "answer": []}, r"line 2: 'answer' is neither text nor a number: \[\]"),
        ({"question": " ", "answer": "1"}, "line 2: 'question' is empty"),
        ({"question": "b", "answer": ""}, "line 2: 'answer' is empty"),
        ({"question": "b\ud800", "answer": "1"}, r"line 2: 'question' holds half of a character \(a lone surrogate\)"),
        ({"question": "b", "answer": "so ####"}, r"line 2: 'answer' has #### or \\boxed without an answer"),
    ],
)
def test_entry_that_is_no_problem_is_refused_by_line(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=rf"problems\.jsonl, {message}$"):
        read(jsonl(tmp_path, {"question": "a", "answer": "1"}, entry))


def test_numbers_and_lists_are_answers(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"question": "a", "answer": 0.00001}\n{"question": "b", "answer": ["1", 1e16]}\n')
    assert [problem.answer for problem in read(str(path))] == ["0.00001", "1, 1e16"]


def test_a_question_that_has_another_answer_later_is_refused_by_line(tmp_path: Path) -> None:
    entries = [{"question": "1+1?", "answer": "2"}, {"question": "1+1?", "answer": 2}]
    assert pairs(read(jsonl(tmp_path, *entries))) == [("1+1?", "2")] * 2
    source = jsonl(tmp_path, *entries, {"question": "1+1?", "answer": "11"})
    with pytest.raises(LabError) as error:
        read(source)
    head, *lines = str(error.value).splitlines()
    assert head.startswith(f"3 of 3 entries of '{source}' cannot be used")
    assert lines == [
        f"    {source}, line {number} has another answer than the same question elsewhere: '{answer}' to '1+1?'"
        for number, answer in ((1, "2"), (2, "2"), (3, "11"))
    ]


@pytest.mark.parametrize("source", ["missing.jsonl", "./missing", "/missing@test", "~/missing", "missing", "a/b/c", ""])
def test_missing_sources_are_refused_by_name(source: str) -> None:
    with pytest.raises(LabError, match=rf"problem file '{source}' does not exist, and it is not a hub id"):
        read(source)


def test_impossible_paths_are_missing_too() -> None:
    for source in ("a" * 300 + ".jsonl", "a\0b", "~nobody-of-this-name/a"):
        with pytest.raises(LabError, match="does not exist"):
            read(source)


def test_empty_problem_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"problem file '.*problems\.jsonl' holds no problem$"):
        read(jsonl(tmp_path))


def test_a_folder_is_all_of_its_files(tmp_path: Path) -> None:
    jsonl(tmp_path, {"question": "b", "answer": "2"}, name="2.jsonl")
    (tmp_path / "1.csv").write_text("question,answer\na,1\n")
    (tmp_path / "README.md").write_text("not data")
    assert pairs(read(str(tmp_path))) == [("a", "1"), ("b", "2")]
    with pytest.raises(LabError, match="has no splits: save_to_disk of the datasets library did not write it"):
        read(f"{tmp_path}@test")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabError, match=r"empty' holds no file with one of the endings"):
        read(str(tmp_path / "empty"))


def test_a_named_source_knows_which_parts_it_has() -> None:
    with pytest.raises(SettingError, match=r"^'amc23' is for evaluations only; math, gsm8k can be trained on$"):
        read("amc23")
    assert list(NAMED) == ["math500", "math", "gsm8k", "aime2025", "amc23", "minerva", "olympiad"]


@pytest.mark.extras
def test_a_saved_data_set_is_read_by_its_split(tmp_path: Path) -> None:
    datasets = extra("datasets", "data")

    train = datasets.Dataset.from_dict({"problem": ["1/2?", "2?"], "solution": ["#### 0.5", "#### 2"]})
    test = datasets.Dataset.from_dict({"problem": ["3?"], "solution": ["#### 3"]})
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    train.save_to_disk(one)
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(two)
    assert pairs(read(one)) == [("1/2?", "0.5"), ("2?", "2")]
    assert pairs(read(f"{two}@test")) == [("3?", "3")]
    for source in (two, f"{two}@other"):
        with pytest.raises(LabError, match=r"two' has the splits train, test: name one of them, as in SOURCE@SPLIT$"):
            read(source)


@pytest.mark.extras
def test_types_of_a_data_set_are_written_as_mathematics(tmp_path: Path) -> None:
    datasets = extra("datasets", "data")

    table = {"question": ["a", "b", "c"], "answer": [1e-5, 1e16, 27.0]}
    datasets.Dataset.from_dict(table).save_to_disk(str(tmp_path / "data"))
    assert [problem.answer for problem in read(str(tmp_path / "data"))] == [
        "0.00001",
        "10000000000000000",
        "27",
    ]


def test_a_pipe_in_a_folder_is_refused_before_anybody_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "1+1", "answer": "2"}\n')
    os.mkfifo(tmp_path / "b.jsonl")
    with pytest.raises(LabError, match=r"^'.*b\.jsonl' is no file but a pipe or a device; take it out of the folder$"):
        read(str(tmp_path))


@pytest.mark.extras
def test_a_pipe_in_place_of_a_part_of_a_saved_data_set_is_refused(tmp_path: Path) -> None:
    datasets = extra("datasets", "data")
    datasets.Dataset.from_dict({"question": ["1+1"], "answer": ["2"]}).save_to_disk(str(tmp_path / "data"))
    [part] = (tmp_path / "data").glob("*.arrow")
    part.unlink()
    os.mkfifo(part)
    with pytest.raises(LabError, match=r"arrow' is no file but a pipe or a device"):
        read(str(tmp_path / "data"))


@pytest.mark.extras
def test_a_time_zone_that_nobody_knows_is_a_sentence(tmp_path: Path) -> None:
    datasets = extra("datasets", "data")
    kinds = {"question": "string", "answer": "string", "when": "timestamp[us, tz=Mars/Olympus]"}
    features = datasets.Features({name: datasets.Value(kind) for name, kind in kinds.items()})
    rows = {"question": ["1+1"], "answer": ["2"], "when": [0]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "data"))
    with pytest.raises(LabError, match=r"^could not read a value of '.*data': 'Mars/Olympus'$"):
        read(str(tmp_path / "data"))


@pytest.mark.extras
@pytest.mark.parametrize("kind", ["Image", "Audio", "Video"])
def test_what_a_column_of_media_names_is_neither_fetched_nor_decoded(tmp_path: Path, kind: str) -> None:
    datasets = extra("datasets", "data")
    stored = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    text = datasets.Value("string")
    features = datasets.Features({"question": text, "answer": text, "seen": stored})
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.png"
        cells = [{"bytes": None, "path": address}, {"bytes": b"no picture", "path": None}]
        rows = {"question": ["1+1", "1+2"], "answer": ["2", "3"], "seen": cells}
        datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "data"))
        information = tmp_path / "data" / "dataset_info.json"
        described = json.loads(information.read_text())
        described["features"]["seen"] = {"_type": kind}
        information.write_text(json.dumps(described))
        assert pairs(read(str(tmp_path / "data"))) == [("1+1", "2"), ("1+2", "3")]
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()


@pytest.mark.extras
def test_a_hub_that_cannot_be_reached_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(LabError, match=r"^could not load problems from 'nobody/nothing:main@train': "):
        read("nobody/nothing:main@train")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["question", "answer", "x"]), inner),
    max_leaves=6,
)
CONTENT = (
    st.binary(max_size=80)
    | st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(JSON, max_size=3).map(lambda values: "\n".join(map(json.dumps, values)).encode())
    | JSON.map(lambda value: json.dumps([value]).encode())
)


@given(CONTENT, st.sampled_from([".jsonl", ".json", ".csv"]))
def test_whatever_a_file_holds_the_end_is_problems_or_one_sentence(content: bytes, ending: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"problems{ending}"
        path.write_bytes(content)
        with suppress(LabError):
            problems = read(str(path))
            assert all(problem.question.strip() and problem.answer for problem in problems)


@given(st.text(max_size=30))
def test_whatever_is_given_as_a_source_the_end_is_one_sentence(source: str) -> None:
    source = source.replace("/", "|")  # nothing that looks like a hub id
    with pytest.raises(LabError):
        read(source)
