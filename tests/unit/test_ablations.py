"""What is trained and made of the results in the study of ablations, on results made by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from hacrl_lab.config import TrainingConfig
from hacrl_studies.ablations.analysis import csvs, score, tables
from hacrl_studies.ablations.study import EXCHANGES, METHODS, REFERENCE, Options, cells, variants

OPTIONS = Options(seeds=16, steps=1, exchange_pairs=(2,))


RATES = {"rates": np.array([1.0, 3.0]), "tuning_success": np.array([0.25, 0.5]), "rate": np.array(3.0)}


def arrays(final: float) -> dict[str, np.ndarray]:
    end = final + 0.01 * np.arange(16)
    return {"success": np.stack([np.zeros((2, 16)), np.tile(end, (2, 1))]), "clipped": np.full((2, 16), 0.5), **RATES}


@pytest.fixture
def results() -> dict:
    """Every variant and exchange ends at 0.5, those named here elsewhere."""
    found = {key: arrays(0.5) for key in cells(OPTIONS)}
    found["Naive"] = arrays(0.75)
    found["HACPO − clip"] = arrays(0.25)
    return found | {("bandit", 2, "gspo"): arrays(0.25), ("bandit", 2, "hacpo"): arrays(0.375)}


def test_a_variant_changes_the_method_or_one_setting() -> None:
    usual = TrainingConfig()
    every = {variant.label: variant for variant in variants(usual)}
    assert len(every) == len(variants(usual))
    for label, variant in every.items():
        settings = {**asdict(variant.training), **asdict(variant.training.objective)}
        same = {**asdict(usual), **asdict(usual.objective)}
        changed = [name for name in settings if name != "objective" and settings[name] != same[name]]
        if label == REFERENCE:
            assert (variant.method, changed) == ("hacpo", [])
        elif variant.group in METHODS:
            assert variant.method in METHODS[variant.group]
            assert changed == []
        elif variant.group == "own clip":
            assert changed == ["epsilon_low", "epsilon_high"]
        else:
            assert variant.method == "hacpo"
            assert len(changed) == 1
    assert every["HACPO, δ = 0.5"].training.objective.delta == 0.5
    assert every["HACPO, 4 mini-batches"].training.minibatches == 4
    assert every["HACPO, G = 16"].training.group_size == 16
    assert every["HACPO, K = 20"].training.capability_window == 20


def test_scores_are_variants_minus_hacpo(results: dict) -> None:
    found = score(OPTIONS, results)
    assert REFERENCE not in found
    assert (found["Naive"], found["HACPO − clip"], found["GSPO"]) == pytest.approx((0.25, -0.25, 0))


def test_exchanges_are_compared_with_training_alone(results: dict) -> None:
    lines = tables(OPTIONS, results)["exchanges"].splitlines()
    assert len(lines) == 2 + 2  # a pair in two worlds
    assert lines[2].startswith("| Token chain | small MLP + large MLP | 0.575 | +0.000 [+0.000, +0.000] |")
    bandit = [cell.strip() for cell in lines[3].strip("|").split("|")]
    assert bandit[:4] == ["Contextual bandit", "small MLP + large MLP", "0.325", "+0.125 [+0.125, +0.125] *"]
    assert len(bandit) == 3 + len(EXCHANGES)


def test_the_table_names_the_reference_first_and_compares_it_with_nothing(results: dict) -> None:
    lines = tables(OPTIONS, results)["variants"].splitlines()
    assert lines[2] == "| HACPO | reference | 0.575 / 0.575 |  |  | 50% |"
    assert "| Naive | no mechanism | 0.825 / 0.825 | +0.250 [+0.250, +0.250] * | 100% | 50% |" in lines
    assert "| GSPO | no sharing | 0.575 / 0.575 | +0.000 [+0.000, +0.000] | 50% |  |" in lines


def test_csv_files_have_a_line_for_each_agent_and_seed(results: dict) -> None:
    found = csvs(OPTIONS, results)
    assert len(list(found["ablations.csv"][1])) == len(variants(OPTIONS.training)) * 2 * 16
    exchanged = list(found["exchanges.csv"][1])
    assert len(exchanged) == 2 * (1 + len(EXCHANGES)) * 2 * 16
    assert exchanged[0][:5] == ["chain", "small MLP + large MLP", "gspo", "1: MLP-16", "0"]
