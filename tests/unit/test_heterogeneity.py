"""What is made of the results of the study heterogeneity, on results made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hacrl_studies.common.teams import PAIRS, TEAMS
from hacrl_studies.heterogeneity.analysis import csvs, score, tables
from hacrl_studies.heterogeneity.study import SECONDS, Options, cells

METHODS = ("gspo", "naive", "hacpo")
SEEDS = 16


@pytest.fixture
def options() -> Options:
    return Options(methods=METHODS, seeds=SEEDS, steps=1)


def arrays(agents: int, final: float) -> dict[str, np.ndarray]:
    """Everyone starts at 0.25; in seed s everyone ends 0.01·s above a final success."""
    end = final + 0.01 * np.arange(SEEDS)
    success = np.stack([np.full((agents, SEEDS), 0.25), np.tile(end, (agents, 1))])
    rates = {"rates": np.array([1.0, 3.0]), "tuning_success": np.array([0.25, 0.5]), "rate": np.array(3.0)}
    return {"success": success, "clipped": np.full((agents, SEEDS), 0.75), "seconds": np.array(30.0), **rates}


@pytest.fixture
def results(options: Options) -> dict:
    """Naive gains 0.125 everywhere; HACPO loses 0.05 on the first pair, and on the second 0.16 in one of 16 seeds."""
    found: dict = {SECONDS: {"seconds": np.array([2.0, 3.0, 3.5, 4.0, 5.0])}}
    for team in (*PAIRS, *TEAMS[1:]):
        final = {"gspo": 0.5, "naive": 0.625, "hacpo": 0.45 if team is PAIRS[0] else 0.5}
        found |= {(team.name, method): arrays(len(team.agents), value) for method, value in final.items()}
    found[PAIRS[1].name, "hacpo"]["success"][-1, :, 0] -= 0.16
    return found


def test_gains_are_means_over_the_pairs_and_losses_count_minus_one(options: Options, results: dict) -> None:
    expected = {"gain/naive": 0.125, "pairs/naive": 6, "gain/hacpo": -0.06 / 6, "pairs/hacpo": -1}
    assert score(options, results) == pytest.approx(expected)


def test_the_page_has_its_numbers(options: Options, results: dict) -> None:
    found = tables(options, results)
    assert found["summary"].splitlines()[2:] == [
        "| Naive | +0.125 | 6 of 6 pairs | 0 of 6 pairs | +0.125, +0.125 |",
        "| HACPO | -0.010 | 0 of 6 pairs | 1 of 6 pairs | -0.050, +0.000 |",
    ]
    first = found["pairs"].splitlines()[2:6]
    assert first[0] == "| **MLP + MLP** (state) | initial | 0.250 / 0.250 | 0.250 |  |  |  |  |"
    assert first[1].endswith("|  |  |  |")  # the reference is not compared, and does not share
    assert first[3].endswith("| -0.050 [-0.050, -0.050] * | 0% | 75% |")
    assert (found["last"], found["ratio"], found["minutes"]) == ("16", "2.5", "9.0")  # 6 pairs × 3 methods × 30 s
    assert found["rollouts"] == "128"  # one step of 16 questions × 8 answers
    assert found["updates"] == "2"  # its two mini-batches
    assert "| MLP + MLP | HACPO | 0.250 | **0.500** |" in found["sweep"].splitlines()


def test_the_csv_file_has_a_line_for_each_agent_and_seed(options: Options, results: dict) -> None:
    (name, (header, rows)), *_ = csvs(options, results).items()
    lines = list(rows)
    assert name == "heterogeneity.csv"
    assert len(lines) == (6 * 2 + 3 + 4) * len(METHODS) * SEEDS
    assert all(len(line) == len(header) for line in lines)
    assert lines[1] == ["MLP + MLP", "state", "gspo", "1: MLP-32", "1", "0.250000", "0.510000", "0.750000"]


def test_every_team_is_trained_with_every_method_and_seeds_are_timed(options: Options) -> None:
    keys = set(cells(options))
    assert len(keys) == 8 * len(METHODS) + 1
    assert options.seed_counts == [1, 2, 4, 8, 16]
    bandit = Options(world="bandit", methods=METHODS, seeds=SEEDS, steps=1)
    assert bandit.suffix == "_bandit"
    in_chain, in_bandit = ({cell.record for cell in cells(one).values()} for one in (options, bandit))
    assert not in_chain & in_bandit
