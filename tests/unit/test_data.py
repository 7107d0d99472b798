import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from hacrl_envs.data import Data, fingerprint, load_data, within_context
from hacrl_envs.held_out import is_for_validation, is_held_out, normalised, part_of
from hacrl_envs.sources import Columns, is_remote
from hacrl_envs.text import Problem
from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.seeding import RandomStream


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
    with pytest.raises(LabError, match=r"^2 problems are left for training and 1 for evaluation, .* as eval_problems$"):
        load_data(two, one)
    with pytest.raises(LabError, match=r"^0 problems are left for training and 2 for evaluation, at least 1 and 2 are"):
        load_data(two, two)
    with pytest.raises(LabError, match=r"^0 problems are left for training and 2 for evaluation"):
        load_data(two, test_share=1.0)


def as_read(question: str, answer: str) -> Problem:
    """A problem as it is read from a file of questions and answers."""
    return Problem(question, answer, columns={"answer": int(answer)})


def test_the_fingerprint_is_of_problems_with_all_columns_in_their_order(tmp_path: Path) -> None:
    pairs = [Problem("a", "1"), Problem("b", "2", columns={"level": 3})]
    assert fingerprint(pairs) == hashlib.sha256(b'["a", "1", {}]["b", "2", {"level": 3}]').hexdigest()
    training, evaluation = write(tmp_path / "a.jsonl", ["a", "b"]), write(tmp_path / "b.jsonl", ["b", "c"])
    data = load_data(training, evaluation)
    assert data.fingerprint == fingerprint([as_read(one, "1") for one in ("a", "b", "b", "c")])


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


def test_a_bar_moves_while_many_prompts_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hacrl_envs.data.MEASURED_AT_ONCE", 2)
    questions = list("abcde")
    data = Data([Problem(one, "1") for one in questions], [Problem("y", "1"), Problem("z", "1")], [], "mark")
    seen: list[list[str]] = []

    def fit(some: Sequence[str]) -> list[bool]:
        seen.append(list(some))
        return [one != "c" for one in some]

    kept = within_context(data, {"agent": fit})
    assert [len(some) for some in seen] == [2, 2, 2, 1]
    assert sorted(one for some in seen for one in some) == sorted([*questions, "y", "z"])
    assert asked(kept.training) == ["a", "b", "d", "e"]


def test_if_no_prompt_fits_the_limit_of_responses_is_named() -> None:
    data = Data([Problem("a", "1")], [Problem("b", "1"), Problem("c", "1")], [], "")
    with pytest.raises(LabError, match=r"^0 problems are left for training and 0 for .* lower max_new_tokens, or"):
        within_context(data, {"agent": lambda questions: [False] * len(questions)})


@pytest.mark.parametrize(("source", "remote"), [("math", True), ("a/b:c@d", True), ("{}", False), ("{}@train", False)])
def test_hub_ids_and_names_are_remote(source: str, remote: bool, tmp_path: Path) -> None:
    assert is_remote(source.format(tmp_path)) == remote


def mixture(folder: Path) -> tuple[str, str, str]:
    """Three questions, two of which another file asks too, and an evaluation that asks one of each."""
    few = write(folder / "few.jsonl", ["a?", "b?", "both?"])
    many = write(folder / "many.csv.jsonl", ["c?", "d?", "BOTH?", "e?", "f?", "g?"])
    return few, many, write(folder / "tests.jsonl", ["b?", "c?"])


def test_several_sources_are_joined_and_counted(tmp_path: Path) -> None:
    few, many, tests = mixture(tmp_path)
    data = load_data([few, many], tests)
    assert asked(data.training) == ["a?", "both?", "d?", "e?", "f?", "g?"]
    assert asked(data.evaluation) == ["b?", "c?"]
    assert data.weights == {}
    assert data.notes == [
        f"2 problems for training, from {few}.",
        f"4 problems for training, from {many}.",
        f"2 problems for evaluation, {tests}.",
        "2 training problems are also asked in the evaluation and were left out.",
        "1 training problems repeat a question of an earlier source and were left out.",
    ]
    weighted = load_data([few, f"{many}*0.5"], tests)
    assert weighted.notes[:2] == [
        f"2 problems for training, from {few}, drawn with weight 1.",
        f"4 problems for training, from {many}, drawn with weight 0.5.",
    ]


def test_of_several_sources_a_share_of_each_is_held_out(tmp_path: Path) -> None:
    names = ("plus", "minus")
    sources = [write(tmp_path / f"{name}.jsonl", [f"{n} {name} 1?" for n in range(40)]) for name in names]
    data = load_data(sources)
    alone = [load_data(source) for source in sources]
    assert asked(data.training) == asked([*alone[0].training, *alone[1].training])
    assert asked(data.evaluation) == asked([*alone[0].evaluation, *alone[1].evaluation])
    assert f"a share of 0.2 of {sources[0]}, {sources[1]}, chosen by the questions' text." in data.notes[2]


def test_one_source_stays_what_it_is_without_others(tmp_path: Path) -> None:
    source = write(tmp_path / "sums.jsonl", [f"{n} + 1?" for n in range(40)])
    alone = load_data(source)
    drawn = alone.draw(RandomStream(3), 20)
    for written in ([source], [f"{source}*3"]):
        data = load_data(written)
        assert data == alone
        assert data.draw(RandomStream(3), 20) == drawn


def test_the_fingerprint_of_several_sources_is_of_each_in_order_with_its_weight(tmp_path: Path) -> None:
    few, many, tests = mixture(tmp_path)
    written = ([few, many], [many, few], [few, f"{many}*2"], [f"{few}*2", many], [few], [f"{few}*1", f"{many}*2"])
    marks = [load_data(problems, tests).fingerprint for problems in written]
    assert len(set(marks)) == 5
    assert marks[2] == marks[5]
    before = [fingerprint([as_read(one, str(len(one))) for one in ("a?", "b?", "both?")]), 1.0]
    after = [fingerprint([as_read(one, str(len(one))) for one in ("c?", "d?", "BOTH?", "e?", "f?", "g?")]), 2.0]
    last = fingerprint([as_read(one, "2") for one in ("b?", "c?")])
    assert marks[2] == hashlib.sha256(json.dumps([before, after, last]).encode()).hexdigest()
    write(tmp_path / "few.jsonl", ["a?", "b?", "other?"])
    assert load_data([few, many], tests).fingerprint not in marks


def test_sources_are_drawn_by_their_weights_and_without_any_all_problems_alike(tmp_path: Path) -> None:
    few, many, tests = mixture(tmp_path)
    for weight, share in (("", 2 / 6), ("*1", 1 / 2), ("*3", 3 / 4)):
        data = load_data([f"{few}{weight}", many], tests)
        drawn = [problem.question for problem in data.draw(RandomStream(0), 4000)]
        for question in ("a?", "both?"):  # half of the draws of their source; six standard deviations: below 1e-8
            deviation = (4000 * share / 2 * (1 - share / 2)) ** 0.5
            assert abs(drawn.count(question) - 4000 * share / 2) < 6 * deviation, weight


def test_impossible_mixtures_are_refused(tmp_path: Path) -> None:
    few, many, tests = mixture(tmp_path)
    for problems, message in [
        ([], r"^problems must name at least one source$"),
        ([few, many, f"{few}*2"], r"^problems name '.*few.jsonl' twice; write .*few.jsonl\*2 to draw it more often"),
        ([f"{few}*0", many], r"^the weight of '.*few.jsonl' must be a number > 0, got 0$"),
        ([f"{few}*-1", many], r"^the weight of '.*few.jsonl' must be a number > 0, got -1$"),
        ([f"{few}*nan", many], r"must be a number > 0, got nan$"),
        ([f"{few}*inf", many], r"must be a number > 0, got inf$"),
        ([f"{few}*often", many], r"^problems '.*few.jsonl\*often': there is no such file, and a weight is a number"),
    ]:
        with pytest.raises(SettingError, match=message):
            load_data(problems, tests)
    with pytest.raises(SettingError, match=r"weights must be .* with a finite sum"):
        _ = load_data([f"{few}*1e308", f"{many}*1e308"], tests).draw


def test_a_source_with_a_weight_must_keep_a_problem(tmp_path: Path) -> None:
    few, many, tests = mixture(tmp_path)
    assert load_data([tests, many], few, Columns("question")).notes[0] == f"1 problems for training, from {tests}."
    with pytest.raises(LabError, match=r"^no problem of '.*tests.jsonl' is left for training: leave it out, or give"):
        load_data([f"{tests}*2", many], write(tmp_path / "all.jsonl", ["b?", "c?"]))
    data = load_data([f"{few}*2", many], tests)
    with pytest.raises(LabError, match=r"^no problem of '.*few.jsonl' is left for training: .* prompts are too long"):
        within_context(data, {"agent": lambda questions: [one not in ("a?", "both?") for one in questions]})


def test_a_star_in_a_files_name_is_no_weight(tmp_path: Path) -> None:
    source = write(tmp_path / "a*b.jsonl", [f"{n}?" for n in range(20)])
    assert load_data(source) == load_data([source])
    other = write(tmp_path / "c.jsonl", [f"{n}!" for n in range(20)])
    assert load_data([f"{source}*2", other]).weights == {source: 2.0, other: 1.0}


def test_a_share_is_for_validation_by_other_bytes_of_the_hash_than_the_tests() -> None:
    # sha256("abc") = ba7816bf 8f01cfea 414140de ...: 0x414140de / 2^32 = 0.25490...
    assert (is_for_validation("abc", 0.2549), is_for_validation("abc", 0.255)) == (False, True)
    assert (part_of("abc", 0.2549), part_of("abc", 0.255)) == ("training", "validation")
    parts = [part_of(f"question {number}", 0.25) for number in range(10_000)]
    # 2000, 2000 and 6000 of 10,000, each ± 40 or ± 49; six standard deviations are passed with less than 1e-6
    for part, count, deviation in (("test", 2000, 40), ("validation", 2000, 40), ("training", 6000, 49)):
        assert abs(parts.count(part) - count) < 6 * deviation
    assert all((part == "test") == is_held_out(f"question {number}") for number, part in enumerate(parts))


def test_a_share_of_the_training_problems_is_kept_apart_for_validation(tmp_path: Path) -> None:
    questions = [f"{a} + {b}?" for a in range(10) for b in range(10)]
    source = write(tmp_path / "sums.jsonl", questions)
    whole, data = load_data(source), load_data(source, validation=0.3)
    assert whole.validation == []
    assert data.evaluation == whole.evaluation
    assert data.fingerprint == whole.fingerprint
    chosen = [question for question in asked(whole.training) if is_for_validation(question, 0.3)]
    assert 10 < len(chosen) < 40
    assert asked(data.validation) == chosen
    assert asked(data.training) == [question for question in asked(whole.training) if question not in chosen]
    assert data.notes == [
        f"{len(data.training)} problems for training, from {source}.",
        *whole.notes[1:],
        f"{len(chosen)} problems for validation, a share of 0.3 of those that the evaluation does not ask, chosen by "
        "the questions' text.",
    ]


def test_validation_asks_nothing_of_training_or_evaluation_in_any_letters(tmp_path: Path) -> None:
    questions = [f"What is {number}?" for number in range(60)]
    training = write(tmp_path / "training.jsonl", [*questions, *(one.upper() for one in questions)])
    evaluation = write(tmp_path / "evaluation.jsonl", [one.upper() for one in questions[:20]])
    data = load_data(training, evaluation, validation=0.5)
    parts = [{normalised(one) for one in asked(part)} for part in (data.training, data.evaluation, data.validation)]
    assert set.union(*parts) == {normalised(one) for one in questions}
    assert sum(map(len, parts)) == 60
    assert len(data.validation) == len(parts[2])  # each once
    assert len(data.training) == 2 * len(parts[0])


def test_problems_for_validation_are_checked_like_those_for_training() -> None:
    tests = [Problem("y", "1"), Problem("z", "1")]
    some = [Problem("v", "1"), Problem("vv", "7"), Problem("vvv", "7")]
    data = Data([Problem("x", "1")], tests, ["read."], "", validation=some)
    kept = within_context(data, {"agent": lambda questions: [len(one) < 3 for one in questions]})
    assert asked(kept.validation) == ["v", "vv"]
    assert kept.notes[1].startswith("1 of 6 questions were left out")
    with pytest.raises(LabError, match=r"^1 problems are left for validation, at least 2 are needed: prompts are too"):
        within_context(data, {"agent": lambda questions: [len(one) < 2 for one in questions]})


def test_impossible_shares_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", [f"{number}?" for number in range(20)])
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(SettingError, match=rf"^validation must be in \[0, 1\), got {share}$"):
            load_data(source, validation=share)
    with pytest.raises(SettingError, match=r"^test_share must be in \[0, 1\], got 1\.5$"):
        load_data(source, test_share=1.5)
    with pytest.raises(LabError, match=r"^0 problems are left for validation, at least 2 are needed: give other"):
        load_data(source, validation=1e-6)
