"""The cells of studies of several methods on a pair of language models: what they are called and what they train."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hacrl_lab.config import TrainingConfig
from hacrl_runs.cache import Cell, cell_path
from hacrl_runs.figures import INITIAL
from hacrl_studies.common.arm_cells import arm_cells, arm_run, own_pair_fingerprints
from hacrl_studies.common.arm_tables import run_ends
from hacrl_studies.common.arms import ArmOptions, RunValues, run_cell, run_key
from hacrl_studies.common.tuning import Sweep

BEST_RATE = 3.0


def accuracy_of(pair: RunValues, steps: int) -> dict[str, np.ndarray]:
    """Accuracy of two agents on three problems, largest for the best multiple of 1e-4."""
    value = 1 - abs(pair["learning_rate"] / 1e-4 - BEST_RATE) / 100 + pair["seed"] / 1e6 if steps else 0.0
    return {"accuracy": np.full((2, 3), value), "agents": np.array(["a", "b"])}


def options_of(cache: Path) -> ArmOptions:
    return ArmOptions(
        seeds=2,
        steps=7,
        training=TrainingConfig(prompts_per_step=6),
        learning_rate=1e-4,
        sweep=Sweep(0.5),
        arms=("gspo", "hacpo/mixed_2u"),
        cache_dir=str(cache),
    )


def one_run(cache: Path, pair: RunValues, steps: int) -> Cell:
    name = f"run-{pair['method']}-{pair['seed']}"
    settings = {"method": pair["method"], "rate": pair["learning_rate"], "seed": pair["seed"], "steps": steps}
    return Cell(name, partial(accuracy_of, pair, steps), settings)


def test_a_run_has_the_settings_of_its_study_and_of_its_arm(tmp_path: Path) -> None:
    pair = {"prompt_template": ("{question}!",), "max_new_tokens": 9}
    run = arm_run(options_of(tmp_path), pair, "hacpo/mixed_2u", seed=5, rate=3.0)
    expected = {"method": "hacpo", "compare": "none", "steps": 7, "seed": 5, "device": "cpu", **pair}
    assert {name: run[name] for name in expected} == expected
    assert (run["training"].schedule, run["training"].prompts_per_step) == ("mixed_2u", 6)
    assert run["learning_rate"] == pytest.approx(3e-4)


def test_a_run_is_known_by_the_settings_that_are_not_at_their_defaults() -> None:
    training = TrainingConfig(prompts_per_step=32, minibatches=1)
    pair = {
        "seed": 4,
        "steps": 20,
        "training": training,
        "problems": ("a.jsonl",),
        "agents": ("a", "b"),
        "device": "cpu",
    }
    known = {"seed": 4, "minibatches": 1, "problems": "a.jsonl", "agents": ("a", "b"), "device": "cpu"}
    assert run_key({**pair, "generation": "transformers"}) == known
    known["generation"] = "grouped"
    assert run_key(pair) == known


def test_every_arm_is_trained_with_the_rate_that_is_best_for_it(tmp_path: Path) -> None:
    options = options_of(tmp_path)
    run_options = partial(arm_run, options, {})
    cells = arm_cells(options, "some", run_options, partial(one_run, tmp_path), {"built": "x"})
    assert list(cells) == [INITIAL, "gspo", "hacpo/mixed_2u"]
    assert [cell.name for cell in cells.values()] == ["run-gspo-0", "some-gspo", "some-hacpo-mixed_2u"]
    assert cells["gspo"].settings == {"built": "x", "arms": "gspo"}
    pickle.dumps(list(cells.values()))  # workers are sent them
    assert cells[INITIAL].compute()["accuracy"].max() == 0
    results = {key: cell.compute() for key, cell in cells.items()}
    assert results["hacpo/mixed_2u"]["rate"] == BEST_RATE
    assert results["hacpo/mixed_2u"]["accuracy"].shape == (2, 2, 3)  # (agents, seeds, problems)
    ends = [(arm, rate, seed, float(accuracy[0, 0])) for arm, rate, seed, accuracy in run_ends(options, results)]
    assert ends[0] == (INITIAL, "", "", 0.0)
    assert ends[1:3] == [("gspo", "0.0003", 0, 1.0), ("gspo", "0.0003", 1, pytest.approx(1 + 1e-6))]
    assert len(ends) == 1 + 2 * 2


def test_the_folder_of_a_run_is_called_like_its_file(tmp_path: Path) -> None:
    pair = {"compare": "none", "seed": 4}
    folders = []
    for steps, method in ((3, "hacpo"), (0, INITIAL)):
        cell = run_cell("some", pair, steps, {"built": "x"}, lambda *_: {}, tmp_path)
        assert cell.name == f"some-{method}-4"
        assert cell.path(tmp_path) == cell_path(tmp_path, cell.name, cell.settings or {})
        assert isinstance(cell.compute, partial)
        folders.append(cell.compute.args[-1])
        assert folders[-1] == cell.path(tmp_path).with_suffix("")
    assert len(set(folders)) == 2


def test_only_the_labs_own_pair_is_known_by_its_recipes() -> None:
    assert own_pair_fingerprints(("a", "b"), "short") == {}
    short, long = (own_pair_fingerprints((), answers) for answers in ("short", "long"))
    assert set(short) == set(long) == {"qwen3-digits", "llama-groups"}
    assert all(short[name] != long[name] for name in short)
