"""What the cells of a record say: nested columns, templates and conversations."""

from __future__ import annotations

from typing import Any

import pytest

from hacrl_envs.cells import exact_answer_of, has_cell, python_value, text_of
from hacrl_envs.records import Number, Record, Unusable


def record(**values: Any) -> Record:
    return Record("a.jsonl, line 3", values)


DAPO = record(
    prompt=[{"role": "user", "content": "1 + 1?"}],
    reward_model={"ground_truth": "2", "style": "rule", "scores": [{"x": Number("0.50")}]},
)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("prompt", "1 + 1?"),
        ("prompt.0.content", "1 + 1?"),
        ("reward_model.ground_truth", "2"),
        ("reward_model.scores.0.x", "0.50"),
        ("{prompt} So: {reward_model.ground_truth}", "1 + 1? So: 2"),
    ],
)
def test_what_is_nested_is_named_by_a_path(column: str, text: str) -> None:
    assert has_cell(DAPO, column)
    assert text_of(DAPO, column) == text


@pytest.mark.parametrize("column", ["reward", "reward_model.x", "prompt.1.content", "prompt.-1", "{prompt} {x}"])
def test_a_path_that_leads_nowhere_is_told(column: str) -> None:
    assert not has_cell(DAPO, column)
    with pytest.raises(Unusable, match=r"^a\.jsonl, line 3 has no '"):
        text_of(DAPO, column)


def test_a_column_whose_name_looks_like_a_path_or_a_template_is_a_column() -> None:
    odd = record(**{"a.b": "dots", "{a}": "braces", "a": {"b": "nested"}})
    assert [text_of(odd, column) for column in ("a.b", "{a}")] == ["dots", "braces"]


def test_a_template_puts_columns_together_and_leaves_out_what_is_not_there() -> None:
    story = record(Body="Mia has 3 pears.", Question="How many?", context=None, n=Number("3.0"))
    assert text_of(story, "{Body} {Question}") == "Mia has 3 pears. How many?"
    assert text_of(story, "{context}\n{Question} ({n})") == "How many? (3.0)"
    with pytest.raises(Unusable, match=r": '\{context\}' is empty$"):
        text_of(story, "{context}")


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([{"role": "user", "content": "1?"}], "1?"),
        ([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1?"}], "Be brief.\n\n1?"),
        ([{"role": "user", "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "?"}]}], "1?"),
        ([{"role": "assistant", "content": r"so \boxed{2}"}], r"so \boxed{2}"),
    ],
)
def test_a_conversation_of_one_turn_is_its_text(messages: list[dict[str, Any]], text: str) -> None:
    assert text_of(record(prompt=messages), "prompt") == text


def test_an_answer_that_an_assistant_gives_is_one() -> None:
    assert exact_answer_of(record(completion=[{"role": "assistant", "content": r"so \boxed{2}"}]), "completion") == "2"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "1"}],
            r"is a conversation of several turns; name one of them, as in 'x\.0\.content'$",
        ),
        ([{"role": "system", "content": "Be brief."}], "is a conversation of several turns"),
        ([{"role": "user", "content": [{"type": "image", "url": "a.png"}]}], "has a message that is not text$"),
        ([{"role": "user", "content": None}], "has a message that is not text$"),
        ({"ground_truth": "2"}, r"holds columns of its own; name one of them, as in 'x\.ground_truth'$"),
        ([["1"]], r"is neither text nor a number: \['1'\]$"),
        ({}, r"is neither text nor a number: \{\}$"),
    ],
)
def test_what_says_no_text_is_told_with_what_to_do(value: Any, message: str) -> None:
    with pytest.raises(Unusable, match=rf"^a\.jsonl, line 3: 'x' {message}"):
        text_of(record(x=value), "x")


def test_reward_functions_get_numbers_wherever_they_stand() -> None:
    assert python_value([{"x": Number("0.50"), "y": Number("3")}, "3"]) == [{"x": 0.5, "y": 3}, "3"]
