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
    assert sorted(paper_difference("HACPO", "GSPO", "state")) == pytest.approx(sorted(by_hand))
    assert len(paper_difference("HACPO", "GSPO")) == 12
    assert lines["4B", "GSPO"] == 0.684  # as printed


def test_alpha_differences_are_means_over_table_four() -> None:
    lines = read_paper("paper_alpha.csv")
    one, zero = ([float(line["math500"]) for line in lines if line["alpha"] == a] for a in ("1", "0"))
    assert len(one) == len(zero) == 4
    assert alpha_difference("1", "0").mean() == pytest.approx(sum(one) / 4 - sum(zero) / 4)


def test_ablation_differences_are_hacpo_minus_the_ablation() -> None:
    # Table 2 against Table 1, averages of the pair of 1.7B and 4B
    lines = [line for line in read_paper("paper_results.csv") if line["pair"] == "Qwen3-1.7B-Base + Qwen3-4B-Base"]
    without = {line["agent"]: float(line["avg"]) for line in lines if line["table"] == "2"}
    hacpo = [line for line in lines if line["table"] == "1" and line["method"] == "HACPO"]
    whole = {line["agent"].removesuffix("-Base"): float(line["avg"]) for line in hacpo}
    assert without == {"1.7B": 0.465, "4B": 0.586}  # as printed
    assert sorted(ablation_difference("2")) == pytest.approx(sorted(whole[one] - without[one] for one in without))


@pytest.mark.parametrize(
    ("paper", "ours", "verdict"),
    [
        (0.1, 0.01, "agrees"),
        (-0.1, -0.01, "agrees"),
        (0.1, -0.01, "**disagrees**"),
        (-0.1, 0.01, "**disagrees**"),
        (0.1, 0.0, "not resolved (ours)"),
        (0.0, 0.01, "not resolved (paper's)"),
        (0.0, 0.0, "not resolved (both)"),
    ],
)
def test_the_verdict_is_by_sign_where_both_intervals_exclude_0(paper: float, ours: float, verdict: str) -> None:
    spread = np.array([-1e-4, 0, 1e-4])
    assert Row("", "", paper + spread, ours + spread).verdict == verdict
