"""Sample answers of a run as a summary shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hacrl_lab.errors import LabError
from hacrl_runs.sample_answers import as_text, first_and_last


def record(step: int) -> str:
    responses = {"a": {"text": "so 3", "reward": 1.0}}
    return json.dumps({"step": step, "question": "1+2", "answer": "3", "responses": responses}) + "\n"


@pytest.mark.parametrize(("steps", "shown"), [([1], [1]), ([1, 2, 3], [1, 3])])
def test_the_first_and_the_last_step_are_shown(tmp_path: Path, steps: list[int], shown: list[int]) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(record(step) for step in steps))
    expected = [f"Step {step}, for instance: 1+2  (answer: 3)\n  a, reward 1: so 3" for step in shown]
    assert first_and_last(path) == expected


def test_partial_credit_is_shown_beside_the_reward() -> None:
    answered = json.loads(record(1))
    answered["responses"]["a"]["credit"] = 0.5
    assert as_text(answered).endswith("a, reward 1, with partial credit 0.5: so 3")


def test_a_response_in_which_no_answer_was_found_is_marked() -> None:
    responses = {"a": {"text": "so 3", "extracted": None, "reward": 0.0}}
    text = as_text({"step": 1, "question": "1+2", "answer": "3", "responses": responses})
    assert text.endswith("\n  a, reward 0, no answer found: so 3")


@pytest.mark.parametrize("text", ["", "{\n", "[]\n", "3\n", '{"step": 1}\n', record(1).replace("1.0", '"x"')])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(text)
    with pytest.raises(LabError, match=r"samples\.jsonl' is damaged: "):
        first_and_last(path)
