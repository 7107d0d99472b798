"""The study of pairs out of a real model, from its command line down, with a model of the tests' own in its place.

Needs the extra ``tasks``; skipped where there is none.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from hacrl_runs.cache import LOCKS
from hacrl_runs.own_pair.tokenizers import train_tokenizer
from hacrl_runs.resolve import agent_settings, resolved
from hacrl_runs.settings import train_settings
from hacrl_studies import command as studies
from hacrl_studies.real_pair.build import TEMPLATE, FineTuning, Pair, build
from hacrl_studies.real_pair.pairs import PRODUCTS, RECIPES, SUMS, Recipe
from hacrl_studies.real_pair.study import Options, cells

pytest.importorskip("reasoning_gym")

pytestmark = pytest.mark.extras

QUESTIONS = [
    *(f"State the final answer to the following arithmetic problem: {a} + {a % 7} =" for a in range(100)),
    *(
        f"Solve the following multiplication: {a} * {a % 7}. Give only the result as your final answer."
        for a in range(100)
    ),
]
EASY = tuple(f"{task}:min_terms=2,max_terms=2,min_digits=1,max_digits=1" for task in ("chain_sum", "products"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with an untrained Llama that can read the questions."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(QUESTIONS, "digits", 400)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=cast(int, tokenizer.eos_token_id),
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pairs of the study's kinds that are taught little of easier tasks, built in a folder of the test."""
    monkeypatch.setenv("HACRL_LAB_CACHE", str(tmp_path / "built"))
    monkeypatch.setattr("hacrl_studies.real_pair.study.TASKS", EASY)
    sums = FineTuning(EASY, updates=60, examples=16, learning_rate=5e-3)
    monkeypatch.setitem(RECIPES, "state", Recipe("two states", {"sums": sums, "products": replace(sums, seed=1)}))
    monkeypatch.setitem(
        RECIPES, "model", Recipe("two models", {"sums": sums, "qwen3": replace(sums, start="qwen3")}, (1.0, 2.0))
    )


def page(folder: Path) -> str:
    """The page without its times and memory."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    return text.partition("## Cost")[0] + text.partition("## Untested")[2]


def test_the_study_is_written_whole_and_the_same_after_an_interruption(model: str, small: None, tmp_path: Path) -> None:
    cache, output = tmp_path / "cells", tmp_path / "output"
    arguments = [
        *("real_pair", "--model", model, "--seeds", "2", "--steps", "1", "--arms", "gspo", "hacpo_released"),
        *("--prompts-per-step", "4", "--group-size", "2", "--eval-prompts", "12", "--eval-samples", "1"),
        *("--cache-dir", str(cache), "--output-dir", str(output)),
    ]
    assert studies.main(arguments) == 0
    written = page(output)
    assert "$" not in written
    assert all((output / f"gains_{name}.png").read_bytes()[:4] == b"\x89PNG" for name in RECIPES)
    header, *lines = (output / "real_pair.csv").read_text().splitlines()
    assert len(lines) == 2 * (1 + 2 * 2) * 2 * 2  # pairs × (before; arms × seeds) × agents × tasks
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [LOCKS]
    with np.load(next(cache.glob("real_model-hacpo_released-0-*.npz"))) as run:
        assert run["agents"].tolist() == ["sums", "qwen3"]
        assert run["answers"].shape == run["rewards"].shape == (2, 6)
        assert run["peak_gib"] > 0.1
        assert run["seconds"] > 0
    assert json.loads((output / "score.json").read_text())["state/accuracy/initial"] > 0
    for cell in sorted(cache.glob("*.npz"))[::2]:
        cell.unlink()
    assert studies.main(arguments) == 0
    assert page(output) == written
    assert (output / "real_pair.csv").read_text().splitlines() == [header, *lines]


def test_an_agent_is_built_once_and_known_by_what_it_was_taught(model: str, small: None) -> None:
    first = Pair(model, RECIPES["state"].agents)
    folders = build(first)
    assert {name: folder.name for name, folder in folders.items()} == {"sums": "sums", "products": "products"}
    times = {folder: (folder / "model.safetensors").stat().st_mtime_ns for folder in folders.values()}
    assert build(first) == folders
    assert {folder: (folder / "model.safetensors").stat().st_mtime_ns for folder in times} == times
    more = Pair(model, {name: replace(one, updates=one.updates + 1) for name, one in first.agents.items()})
    assert not set(more.fingerprints().values()) & set(first.fingerprints().values())


def test_a_run_is_known_by_the_weights_not_by_the_folder(model: str, small: None, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in Path(model).iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    here, there = (cells(Options(model=place)) for place in (model, str(copy)))
    assert {key: cell.record for key, cell in here.items()} == {key: cell.record for key, cell in there.items()}
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    (other,) = (cells(Options(model=str(place))) for place in [copy.rename(tmp_path / "other")])
    assert not {cell.record for cell in other.values()} & {cell.record for cell in here.values()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairs": ("size",)}, "pairs must be at least one of state, model"),
        ({"arms": ()}, "arms must be at least one and different"),
        ({"arms": ("gspo", "nonsense")}, "unknown method 'nonsense'"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Options(**options)


def test_each_agent_of_a_pair_has_its_own_learning_rate() -> None:
    pair = {**Options().pair("model", "hacpo", 0, 3.0), "agents": ("a/sums", "a/qwen3")}
    settings = agent_settings(resolved(train_settings(**pair)), ["sums", "qwen3"])
    rates = {name: own.learning_rate for name, own in settings.items()}
    assert rates == pytest.approx({"sums": 3e-5, "qwen3": 6e-4})
    with pytest.raises(ValueError, match="rate_factors must be one for each agent, all > 0"):
        train_settings(**{**pair, "rate_factors": (1.0,)})


def test_a_folder_without_a_model_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert studies.main(["real_pair", "--model", str(tmp_path), "--output-dir", str(tmp_path / "output")]) == 1
    assert "holds no model; python tools/smollm2.py FOLDER makes one" in capsys.readouterr().err


def test_the_tasks_of_the_study_are_what_its_agents_are_taught() -> None:
    taught = {task.partition("*")[0] for one in RECIPES.values() for each in one.agents.values() for task in each.tasks}
    assert taught == {SUMS, PRODUCTS}
    assert all(TEMPLATE.count("{question}") == 1 for _ in RECIPES)
