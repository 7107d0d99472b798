"""The paper's side of the comparison, by its own printed numbers."""

import numpy as np
import pytest
from results import OURS, PAPER_PAIRS, Row, ablation_difference, alpha_difference, paper_difference, read_paper


def test_every_pair_of_the_paper_is_counted() -> None:
    lines = [line for line in read_paper("paper_results.csv") if line["table"] in ("1", "7")]
    assert {line["pair"] for line in lines} == set(PAPER_PAIRS)
    assert {line["method"] for line in lines} == {"initial", *OURS}


def test_differences_are_means_over_the_agents_of_a_kind() -> None:
    # the only pair that differs in state, Table 1's average: each agent's HACPO minus GSPO
    lines = {
        (line["agent"], line["method"]): float(line["avg"])
        for line in read_paper("paper_results.csv")
        if line["pair"] == "Qwen3-4B + Qwen3-4B-Instruct"
    }
    by_hand = [lines[agent, "HACPO"] - lines[agent, "GSPO"] for agent in ("4B", "4B-Instruct")]
    assert paper_difference("HACPO", "GSPO", "state") == pytest.approx(sum(by_hand) / 2)
    assert lines["4B", "GSPO"] == 0.684  # as printed


def test_alpha_differences_are_means_over_table_four() -> None:
    lines = read_paper("paper_alpha.csv")
    one, zero = ([float(line["math500"]) for line in lines if line["alpha"] == a] for a in ("1", "0"))
    assert len(one) == len(zero) == 4
    assert alpha_difference("1", "0") == pytest.approx(sum(one) / 4 - sum(zero) / 4)


def test_ablation_differences_are_hacpo_minus_the_ablation() -> None:
    # Table 2 against Table 1, MATH-500: HACPO 0.69 and 0.808, without the advantage 0.696 and 0.774
    assert ablation_difference("2", "math500") == pytest.approx((0.69 + 0.808 - 0.696 - 0.774) / 2)


@pytest.mark.parametrize(
    ("paper", "low", "high", "verdict"),
    [
        (0.1, 0.01, 0.02, "agrees"),
        (-0.1, -0.02, -0.01, "agrees"),
        (0.1, -0.02, -0.01, "**disagrees**"),
        (-0.1, 0.01, 0.02, "**disagrees**"),
        (0.1, -0.01, 0.02, "not resolved"),
    ],
)
def test_the_verdict_is_by_sign_and_interval(paper: float, low: float, high: float, verdict: str) -> None:
    assert Row("", "", paper, np.zeros(2)).verdict(low, high) == verdict
