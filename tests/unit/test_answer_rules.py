"""What of a response is its answer, by hand."""

import pytest

from hacrl_lab.verification.answer_rules import ANSWER_RULES, AnswerRuleName


@pytest.mark.parametrize(
    ("rule", "response", "answer"),
    [
        ("boxed", r"so \boxed{3}", "3"),
        ("boxed", "so 3", None),
        ("tag", "<answer>a</answer> no, <answer> b\nc </answer>", "b\nc"),
        ("tag", "<answer>a", None),
        ("tag", "", None),
        ("hashes", "1\n#### 2\n####  17 \nmore", "17"),
        ("hashes", "#### ", None),
        ("hashes", "no", None),
        ("last_number", "from 3 to -4.5.", "-4.5"),
        ("last_number", "3/4 of 1,234,567", "1234567"),
        ("last_number", "it is 3/4", "3/4"),
        ("last_number", "2−1 = −1", "-1"),
        ("last_number", "1,2", "2"),
        ("last_number", "none", None),
        ("last_number", "The answer is $8{,}500.", "8500"),
        ("last_number", r"It is 8\,500.", "8500"),
        ("last_number", r"It is $8,\!500$.", "8500"),
        ("last_number", "It is 1 000.", "1000"),
        ("last_number", "The answer is .5", ".5"),
        ("last_number", "The answer is 1.2e-3", "1.2e-3"),
        ("last_number", r"about 1.5 \times 10^6", r"1.5 \times 10^6"),
        ("last_number", r"so 2 or \frac{1}{2}.", r"\frac{1}{2}"),
        ("last_number", "in the years 2020-2024", "2024"),
        ("last_number", "10 - 7", "7"),
        ("tag", "<answer>$70$.</answer>", "$70$."),
        ("whole", "  yes \n", "yes"),
        ("whole", " \n", None),
    ],
)
def test_each_rule_finds_its_answer(rule: AnswerRuleName, response: str, answer: str | None) -> None:
    assert ANSWER_RULES[rule].answer(response) == answer


@pytest.mark.parametrize("rule", ANSWER_RULES)
def test_only_what_follows_the_thinking_can_hold_the_answer(rule: AnswerRuleName) -> None:
    said = {"boxed": r"\boxed{%s}", "tag": "<answer>%s</answer>", "hashes": "#### %s"}.get(rule, "%s")
    find = ANSWER_RULES[rule].answer
    assert find(f"<think>{said % 1}</think>{said % 2}") == "2"
    assert find(f"{said % 1}</think>{said % 2}") == "2"  # opened by the chat template
    assert find(f"<think>{said % 1}</think>") is None
    assert find(f"<think>{said % 1}") is None  # cut off
    assert find(f"{said % 0}</think>{said % 2}<think>{said % 3}") is None
