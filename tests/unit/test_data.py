import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hacrl_envs.data import Data, fingerprint, load_data, verifiable, with_verifiable_answers, within_context
from hacrl_envs.held_out import is_held_out, normalised
from hacrl_envs.sources import Columns, is_remote
from hacrl_envs.text import Problem
from hacrl_lab.errors import LabError
from hacrl_lab.verification.verifier import MathVerifier

ANSWERS = (["7", "no idea", "7"], ["1", "it depends", "2", "no idea"])


def write(path: Path, questions: Sequence[str]) -> str:
    path.write_text("".join(json.dumps({"question": one, "answer": len(one)}) + "\n" for one in questions))
    return str(path)


def asked(problems: Sequence[Problem]) -> list[str]:
    return [problem.question for problem in problems]


def test_a_share_of_questions_is_held_out_by_the_first_bytes_of_their_hash() -> None:
    # sha256("abc") begins with ba7816bf: 0xba7816bf / 2^32 = 0.72839...
    assert (is_held_out("abc", 0.7283), is_held_out("abc", 0.7284)) == (False, True)
    # of 10,000 questions 2000 ± 40 are held out; six standard deviations are passed with less than 1e-6
    assert abs(sum(is_held_out(f"question {number}") for number in range(10_000)) - 2000) < 6 * 40


def test_without_a_source_for_evaluations_a_share_of_the_problems_is_held_out(tmp_path: Path) -> None:
    questions = [f"{a} + {b}?" for a in range(10) for b in range(10)]
    source = write(tmp_path / "sums.jsonl", questions)
    data = load_data(source)
    held_out = [one for one in questions if is_held_out(one)]
    assert asked(data.evaluation) == held_out
    assert asked(data.training) == [one for one in questions if one not in held_out]
    assert data.notes == [
        f"{100 - len(held_out)} problems for training, from {source}.",
        f"{len(held_out)} problems for evaluation, a share of 0.2 of {source}, chosen by the questions' text.",
        "0 training problems are also asked in the evaluation and were left out.",
    ]
    assert len(load_data(source, test_share=0.5).evaluation) > len(held_out)


def test_the_same_question_in_other_letters_is_on_the_same_side(tmp_path: Path) -> None:
    questions = [f"What is {number}?" for number in range(50)]
    data = load_data(write(tmp_path / "a.jsonl", [*questions, *(one.upper() for one in questions)]))
    both = {normalised(one) for one in asked(data.training)} & {normalised(one) for one in asked(data.evaluation)}
    assert both == set()
    assert len(data.training) == 100 - 2 * len(data.evaluation)
    assert data.notes[2:] == [
        "0 training problems are also asked in the evaluation and were left out.",
        f"{len(data.evaluation)} evaluation problems repeat another and were left out.",
    ]


def test_training_problems_that_the_evaluation_asks_are_left_out_and_counted(tmp_path: Path) -> None:
    training = write(tmp_path / "training.jsonl", ["a b?", "c?", "d?", "A  B?"])
    evaluation = write(tmp_path / "evaluation.jsonl", ["A b? ", "e?", "c?"])
    data = load_data(training, evaluation)
    assert asked(data.training) == ["d?"]
    assert asked(data.evaluation) == ["A b? ", "e?", "c?"]
    assert data.notes[2] == "3 training problems are also asked in the evaluation and were left out."


def test_named_columns_hold_in_both_sources(tmp_path: Path) -> None:
    for name in ("training", "evaluation"):
        entries = [{"q": f"{name} {number}", "a": number, "question": "?"} for number in range(2)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    paths = [str(tmp_path / f"{name}.jsonl") for name in ("training", "evaluation")]
    data = load_data(*paths, columns=Columns("q", "a"))
    assert (asked(data.training), asked(data.evaluation)) == (
        ["training 0", "training 1"],
        ["evaluation 0", "evaluation 1"],
    )


def test_too_few_problems_are_refused(tmp_path: Path) -> None:
    two, one = write(tmp_path / "two.jsonl", ["a?", "b?"]), write(tmp_path / "one.jsonl", ["c?"])
    with pytest.raises(LabError, match=r"^2 problems are left for training and 1 for evaluation, .*--eval-problems"):
        load_data(two, one)
    with pytest.raises(LabError, match=r"^0 problems are left for training and 2 for evaluation, at least 1 and 2 are"):
        load_data(two, two)
    with pytest.raises(LabError, match=r"^0 problems are left for training and 2 for evaluation"):
        load_data(two, test_share=1.0)


def test_the_fingerprint_is_of_questions_and_answers_in_their_order(tmp_path: Path) -> None:
    pairs = [Problem("a", "1"), Problem("b", "2", columns={"level": 3})]
    assert fingerprint(pairs) == hashlib.sha256(b'["a", "1"]["b", "2"]').hexdigest()
    training, evaluation = write(tmp_path / "a.jsonl", ["a", "b"]), write(tmp_path / "b.jsonl", ["b", "c"])
    data = load_data(training, evaluation)
    assert data.fingerprint == fingerprint([Problem(one, "1") for one in ("a", "b", "b", "c")])


def test_prompts_that_are_too_long_for_an_agent_are_left_out_and_counted() -> None:
    training = [Problem("x" * length, "1") for length in (1, 2, 3, 4, 4)]
    data = Data(training, [Problem("y" * length, "1") for length in (1, 2, 5)], ["read."], "mark")
    kept = within_context(
        data,
        {
            "small": lambda questions: [len(one) <= 2 for one in questions],
            "large": lambda questions: [len(one) <= 4 for one in questions],
            "larger": lambda questions: [True] * len(questions),
        },
    )
    assert (asked(kept.training), asked(kept.evaluation)) == (["x", "xx"], ["y", "yy"])
    assert kept.notes == [
        "read.",
        "3 of 7 questions were left out: their prompts leave agent 'small' no room for a response.",
        "1 of 7 questions were left out: their prompts leave agent 'large' no room for a response.",
    ]
    assert kept.fingerprint == "mark"


def test_if_no_prompt_fits_the_limit_of_responses_is_named() -> None:
    data = Data([Problem("a", "1")], [Problem("b", "1"), Problem("c", "1")], [], "")
    with pytest.raises(LabError, match=r"^0 problems are left for training and 0 for .* lower --max-new-tokens"):
        within_context(data, {"agent": lambda questions: [False] * len(questions)})


def test_answers_of_a_hub_that_cannot_be_read_are_left_out_and_counted() -> None:
    training, evaluation = ([Problem(f"{place}?", answer) for place, answer in enumerate(some)] for some in ANSWERS)
    data = Data(training, evaluation, ["read."], "mark")
    with MathVerifier() as verifier:
        kept = with_verifiable_answers(data, "math", "minerva", verifier)
        assert ([one.answer for one in kept.training], [one.answer for one in kept.evaluation]) == (
            ["7", "7"],
            ["1", "2"],
        )
        assert kept.notes == ["read.", "3 problems were left out: math-verify cannot read their exact answers."]
        with pytest.raises(LabError, match=r"^0 problems are left for training and 2 for evaluation"):
            with_verifiable_answers(replace(data, training=training[1:2]), "math", None, verifier)


def test_answers_in_a_file_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "own.jsonl", ["?"])
    with MathVerifier() as verifier, pytest.raises(LabError, match="'no idea' is not mathematics"):
        verifiable([Problem("a", "7"), Problem("b", "no idea")], source, verifier)


@pytest.mark.parametrize(("source", "remote"), [("math", True), ("a/b:c@d", True), ("{}", False), ("{}@train", False)])
def test_hub_ids_and_names_are_remote(source: str, remote: bool, tmp_path: Path) -> None:
    assert is_remote(source.format(tmp_path)) == remote
