"""Entries that are no problems: all of them in one message, or left out and counted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from hacrl_envs.data import load_data
from hacrl_envs.records import Unusable
from hacrl_envs.sources import Columns, Reading, read_problems
from hacrl_envs.text import Problem
from hacrl_envs.usable import left_out, with_readable_answers
from hacrl_lab.errors import LabError
from hacrl_lab.verification.exact_answers import is_mathematics, is_plain_number
from hacrl_lab.verification.verifier import MathVerifier

PUBLISHED = Path(os.environ.get("HACRL_LAB_TEST_SETS", "no such folder"))
"""Eight published test sets as JSON Lines, where they are available; the project carries none of them."""
LONG = "a word " * 20


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier() as verifier:
        yield verifier


def jsonl(path: Path, *entries: dict[str, Any]) -> str:
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return str(path)


def words(answers: Sequence[str]) -> list[str]:
    """Stands in for the verifier, which reads no words."""
    return [answer for answer in answers if "word" in answer]


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    """A file with eight entries that are no problems among thirty that are."""
    path = Path(jsonl(tmp_path / "mixed.jsonl", *({"problem": f"{n} + 1?", "solution": n + 1} for n in range(30))))
    faulty: list[Any] = [
        {"problem": "a", "solution": None},
        {"problem": "b", "solution": LONG},
        {"problem": " ", "solution": 3},
        {"solution": 3},
        {"problem": "twice?", "solution": 3},
        {"problem": "twice?", "solution": 4},
        "text",
    ]
    path.write_text(path.read_text() + "".join(f"{json.dumps(entry)}\n" for entry in faulty) + "{no JSON\n")
    return str(path)


def test_all_of_them_stand_in_one_message_with_file_line_and_column(mixed: str) -> None:
    with pytest.raises(LabError) as error:
        load_data(mixed, unreadable=words)
    head, *lines = str(error.value).splitlines()
    assert head == (
        f"8 of 38 entries of '{mixed}' cannot be used (question_column was guessed to be 'problem' and answer_column "
        "was guessed to be 'solution'); put them right, or leave them out with skip_unusable:"
    )
    assert lines == [
        f"    {mixed}, line {line}"
        for line in (
            "31: 'solution' is neither text nor a number: None",
            f"32: 'solution' is not mathematics that the verifier can read: {LONG[:59]}…",
            "33: 'problem' is empty",
            "34 has no 'problem'",
            "35 has another answer than the same question elsewhere: '3' to 'twice?'",
            "36 has another answer than the same question elsewhere: '4' to 'twice?'",
            '37 is not a JSON object like {"question": "...", "answer": "..."}',
            '38 is not a JSON object like {"question": "...", "answer": "..."}',
        )
    ]


def test_they_are_left_out_and_counted_where_that_is_wanted(mixed: str) -> None:
    data = load_data(mixed, unreadable=words, skip_unusable=True)
    assert len(data.training) + len(data.evaluation) == 30
    assert data.notes[-1] == (
        f"8 of 38 entries of '{mixed}' were left out: "
        '2 × is not a JSON object like {"question": "...", "answer": "..."}, '
        "2 × has another answer than the same question elsewhere, 1 × 'solution' is neither text nor a number, "
        "1 × 'problem' is empty, 1 × has no 'problem', "
        "1 × 'solution' is not mathematics that the verifier can read."
    )


def test_those_of_all_sources_stand_in_the_message(mixed: str, tmp_path: Path) -> None:
    tests = jsonl(tmp_path / "tests.jsonl", *({"question": f"{n}!", "answer": "a word" if n else 1} for n in range(3)))
    with pytest.raises(LabError) as error:
        load_data(mixed, tests, unreadable=words)
    assert "8 of 38 entries of" in str(error.value)
    assert "2 of 3 entries of" in str(error.value)
    assert len(str(error.value).splitlines()) == 1 + 8 + 1 + 2


def test_what_a_hub_holds_is_always_left_out(mixed: str, tmp_path: Path) -> None:
    problems = [Problem("1?", "1"), Problem("2?", "a word"), Problem("3?", "3")]
    hub = with_readable_answers(Reading("math", problems, [Unusable("math, row 4", "is empty", "problem")]), words)
    assert [problem.question for problem in hub.problems] == ["1?", "3?"]
    (note,) = left_out([hub], skip_unusable=False)
    assert note.startswith("2 of 4 entries of 'math' were left out: ")
    with pytest.raises(LabError, match=r"^8 of 38 entries"):
        left_out([hub, with_readable_answers(read_problems(mixed), words)], skip_unusable=False)


def test_a_source_of_which_nothing_can_be_used_is_refused_by_its_first_entry(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "all.jsonl", *({"question": f"{n}?", "answer": f"a word {n}"} for n in range(500)))
    reading = with_readable_answers(read_problems(source), words)
    with pytest.raises(LabError) as error:
        left_out([reading], skip_unusable=False)
    assert str(error.value).splitlines()[1:] == [
        f"    {source}, line 1: 'answer' is not mathematics that the verifier can read: a word 0, and so on"
    ]
    with pytest.raises(LabError, match=rf"^no entry of '{source}' is a problem, beginning with {source}, line 1: 'an"):
        left_out([reading], skip_unusable=True)


def test_answers_are_read_by_the_verifier(verifier: MathVerifier) -> None:
    answers = ["7", "no idea", r"\frac{1}{2}", "no idea", "it depends", r"\text{no idea}"]
    assert verifier.unreadable(answers) == ["no idea", "it depends"]
    reading = Reading("a.jsonl", [Problem(f"{n}", answer) for n, answer in enumerate(answers)])
    assert [one.question for one in with_readable_answers(reading, verifier.unreadable).problems] == ["0", "2", "5"]


@pytest.mark.parametrize("answer", ["0", "-0", "007", "1.50", "-12.25", "9" * 18, f"-{'9' * 18}.{'0' * 17}1"])
def test_numbers_in_digits_are_mathematics_without_a_parser(answer: str) -> None:
    assert is_plain_number(answer)
    assert is_mathematics(answer)


@pytest.mark.parametrize("answer", ["", "-", ".", "5.", ".5", "1e5", "1,000", "+1", "1 2", "9" * 19, "٣", "nan"])
def test_what_is_not_in_plain_digits_is_left_to_the_parser(answer: str) -> None:
    assert not is_plain_number(answer)


def test_a_hundred_thousand_plain_answers_start_no_process() -> None:
    before = set(psutil.Process().children())
    with MathVerifier() as verifier:
        assert verifier.unreadable([f"{n}.25" for n in range(100_000)]) == []
        assert set(psutil.Process().children()) == before


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="set HACRL_LAB_TEST_SETS to a folder of published test sets")
@pytest.mark.parametrize(
    ("name", "entries", "most_left_out", "columns"),
    [
        ("aime24", 30, 0, None),
        ("amc23", 40, 0, None),
        ("minerva_math", 272, 5, None),
        ("olympiadbench", 675, 3, None),
        ("svamp", 1000, 0, Columns("{Body} {Question}")),
        ("gaokao2023en", 385, 7, None),
        ("gsm8k", 1319, 0, None),
        ("college_math", 2818, 60, None),
    ],
)
def test_published_test_sets_are_read(
    name: str, entries: int, most_left_out: int, columns: Columns | None, verifier: MathVerifier
) -> None:
    reading = with_readable_answers(read_problems(str(PUBLISHED / f"{name}.jsonl"), columns), verifier.unreadable)
    assert len(reading.problems) + len(reading.unusable) == entries
    assert len(reading.unusable) <= most_left_out
