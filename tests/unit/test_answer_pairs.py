"""The table of pairs: exact answer, given answer, what a teacher says, and what the verifier says.

``verdict`` differs from ``teacher`` where the verifier is known to be wrong; ``docs/verifier.md`` lists those pairs.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_lab.verification.verifier import MathVerifier

ROOT = Path(__file__).parents[2]
PAIRS = list(
    csv.DictReader(
        (ROOT / "tests/data/answer_pairs.tsv").read_text(encoding="utf-8").splitlines(),
        delimiter="\t",
        quoting=csv.QUOTE_NONE,
    )
)


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier(timeout=60, answer_rule=ANSWER_RULES["whole"]) as started:
        yield started


def test_every_verdict_is_the_recorded_one(verifier: MathVerifier) -> None:
    rewards = verifier.rewards([pair["answer"] for pair in PAIRS], [pair["gold"] for pair in PAIRS])
    wrong = [
        (pair["gold"], pair["answer"], reward)
        for pair, reward in zip(PAIRS, rewards, strict=True)
        if reward != (pair["verdict"] == "yes")
    ]
    assert not wrong


def test_every_exact_answer_of_the_table_is_mathematics(verifier: MathVerifier) -> None:
    verifier.check_answers([pair["gold"] for pair in PAIRS])


def test_the_table_is_large_and_has_both_verdicts() -> None:
    assert len({(pair["gold"], pair["answer"]) for pair in PAIRS}) == len(PAIRS) >= 300
    assert {pair["verdict"] for pair in PAIRS} == {pair["teacher"] for pair in PAIRS} == {"yes", "no"}


def test_the_documentation_lists_the_pairs_in_which_the_verifier_is_no_teacher() -> None:
    page = (ROOT / "docs/verifier.md").read_text(encoding="utf-8")
    differing = [pair for pair in PAIRS if pair["teacher"] != pair["verdict"]]
    listed = [line for line in page.splitlines() if line.endswith((" | accepted |", " | refused |"))]
    assert listed == [
        f"| `{pair['gold']}` | `{pair['answer']}` | {'accepted' if pair['verdict'] == 'yes' else 'refused'} |"
        for pair in differing
    ]
