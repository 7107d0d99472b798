"""The paper's side of the comparison, by its own printed numbers; ours by results made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hacrl_envs.benchmarks import NAMED
from hacrl_lab.errors import LabError
from hacrl_runs.paper import PAIRS as PAPER_PAIRS
from hacrl_runs.paper import ablation_difference, alpha_difference, method_difference, read, reported
from hacrl_studies.common.teams import PAIRS
from hacrl_studies.paper_comparison.analysis import Row, ablation_rows, world_rows
from hacrl_studies.paper_comparison.study import METHODS, SUCCESS, VARIANTS, by_seed


def test_every_pair_of_the_paper_is_counted() -> None:
    lines = [line for line in read("paper_results.csv") if line["table"] in ("1", "7")]
    assert {line["pair"] for line in lines} == set(PAPER_PAIRS)
    assert {line["method"] for line in lines} == {"initial", *METHODS}


def test_differences_are_means_over_the_agents_of_a_kind() -> None:
    # the only pair that differs in state, Table 1's average: each agent's HACPO minus GSPO
    lines = {
        (line["agent"], line["method"]): float(line["avg"])
        for line in read("paper_results.csv")
        if line["pair"] == "Qwen3-4B + Qwen3-4B-Instruct"
    }
    by_hand = [lines[agent, "HACPO"] - lines[agent, "GSPO"] for agent in ("4B", "4B-Instruct")]
    assert sorted(method_difference("HACPO", "GSPO", "state")) == pytest.approx(sorted(by_hand))
    assert len(method_difference("HACPO", "GSPO")) == 12
    assert lines["4B", "GSPO"] == 0.684  # as printed


def test_alpha_differences_are_means_over_table_four() -> None:
    lines = read("paper_alpha.csv")
    one, zero = ([float(line["math500"]) for line in lines if line["alpha"] == a] for a in ("1", "0"))
    assert len(one) == len(zero) == 4
    assert alpha_difference("1", "0").mean() == pytest.approx(sum(one) / 4 - sum(zero) / 4)


def test_ablation_differences_are_hacpo_minus_the_ablation() -> None:
    # Table 2 against Table 1, averages of the pair of 1.7B and 4B
    lines = [line for line in read("paper_results.csv") if line["pair"] == "Qwen3-1.7B-Base + Qwen3-4B-Base"]
    without = {line["agent"]: float(line["avg"]) for line in lines if line["table"] == "2"}
    hacpo = [line for line in lines if line["table"] == "1" and line["method"] == "HACPO"]
    whole = {line["agent"].removesuffix("-Base"): float(line["avg"]) for line in hacpo}
    assert without == {"1.7B": 0.465, "4B": 0.586}  # as printed
    assert sorted(ablation_difference("2")) == pytest.approx(sorted(whole[one] - without[one] for one in without))


def constant(success: float) -> dict[str, np.ndarray]:
    """Three seeds that end at some success."""
    return {SUCCESS: np.full(3, success)}


def test_our_differences_are_means_over_the_pairs_of_a_kind() -> None:
    # the number of a pair plus that of the method: every pair has the same difference, method by method
    numbers = {method: 10 * (m + 1) ** 2 for m, method in enumerate(METHODS.values())}  # grpo 10, gspo 40, x2 90, ...
    results = {
        ("chain", pair.name, method): constant(number * (1 + (pair.heterogeneity == "size")))
        for pair in PAIRS
        for method, number in numbers.items()
    }
    ours = {row.claim: row.ours.tolist() for row in world_rows(results, "chain")}
    by_kind = [ours[f"HACPO − GSPO, {kind}"] for kind in ("state", "size", "model")]
    assert by_kind == [[210] * 3, [420] * 3, [210] * 3]  # 250 − 40, twice as much in two of the six pairs
    assert ours["HACPO − GSPO"] == [280] * 3
    assert ours["GRPO − GSPO"] == pytest.approx([-40] * 3)  # (10 − 40)·4/3


def test_ablations_are_hacpo_minus_the_variant_and_alpha_three_minus_one() -> None:
    results = {label: constant(value) for label, value in zip(VARIANTS, (1.0, 0.75, 0.5, 1.5, 2.0), strict=True)}
    assert [row.ours[0] for row in ablation_rows(results)] == [0.25, 0.5, -0.5, 1]


@pytest.mark.parametrize(
    ("paper", "ours", "verdict"),
    [
        (0.1, 0.01, "agrees"),
        (-0.1, -0.01, "agrees"),
        (0.1, -0.01, "disagrees"),
        (-0.1, 0.01, "disagrees"),
        (0.1, 0.0, "not resolved (ours)"),
        (0.0, 0.01, "not resolved (paper's)"),
        (0.0, 0.0, "not resolved (both)"),
    ],
)
def test_the_verdict_is_by_sign_where_both_intervals_exclude_0(paper: float, ours: float, verdict: str) -> None:
    spread = np.array([-1e-4, 0, 1e-4])
    assert Row("", "", paper + spread, ours + spread, "", "").verdict == verdict


def test_success_is_read_by_seed_whatever_the_order_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "heterogeneity.csv"
    path.write_text("team,method,agent,seed,final\na,x,1,0,0.5\na,x,1,1,1.0\na,x,2,1,0.0\na,x,2,0,0.25\na,y,1,0,0.75\n")
    assert by_seed(path, "team", "method") == {("a", "x"): {0: [0.5, 0.25], 1: [1.0, 0.0]}, ("a", "y"): {0: [0.75]}}
    assert by_seed(path, "method")["y",] == {0: [0.75]}


@pytest.mark.parametrize("content", [None, "team,method\na,x\n", "team,method,seed,final\na,x,0,high\n"])
def test_other_files_are_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "heterogeneity.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(LabError, match="is not the output of a study"):
        by_seed(path, "team", "method")


@pytest.mark.parametrize(
    ("model", "method", "partners", "numbers"),
    [
        ("Qwen/Qwen3-1.7B-Base", "initial", (), [0.5]),
        ("Qwen/Qwen3-4B-Base", "hacpo", ("models/Qwen3-1.7B-Base",), [0.808]),
        ("Qwen/Qwen3-4B-Base", "hacpo", ("meta-llama/Llama-3.2-3B-Instruct",), [0.786]),
        ("Qwen/Qwen3-4B-Instruct-2507", "initial", (), [0.938]),
        ("meta-llama/Llama-3.2-3B-Instruct", "gspo_x2", ("Qwen/Qwen3-4B-Base",), [0.488]),
        ("Qwen/Qwen3-4B-Base", "hacpo_ppo_clip", (), []),
        ("smollm2", "initial", (), []),
    ],
)
def test_the_papers_numbers_are_found_by_hub_id(
    model: str, method: str, partners: tuple[str, ...], numbers: list[float]
) -> None:
    assert reported("math500", model, method, partners) == numbers


def test_the_numbers_of_all_pairs_are_given_once_each() -> None:
    assert reported("aime2025", "Qwen3-4B-Base", "initial") == [0.1]
    assert reported("amc23", "Qwen3-4B-Base", "hacpo")[:2] == [0.575, 0.6]


def test_every_named_benchmark_has_a_column() -> None:
    for name in NAMED:
        assert len(reported(name, "Qwen3-1.7B-Base", "initial")) == 1
