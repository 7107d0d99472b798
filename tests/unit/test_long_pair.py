"""What makes the long pair long, and leaves the short one as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hacrl_envs.stories import draw_story, write_long_solution
from hacrl_runs.own_pair.recipes import PAIRS, Recipe, recipes
from hacrl_runs.own_pair.tokenizers import train_tokenizer
from hacrl_runs.resolve import resolved
from hacrl_runs.settings import TrainSettings, train_settings


def written(recipe: Recipe, count: int) -> list[str]:
    generator = np.random.default_rng(0)
    assert recipe.first_wording is not None
    how = recipe.misreads, recipe.notation, recipe.first_wording
    return [write_long_solution(draw_story(generator), generator, *how) for _ in range(count)]


@pytest.mark.parametrize("name", recipes("tiny", "long"))
def test_answers_of_the_long_pair_have_128_to_256_tokens(name: str) -> None:
    recipe = recipes("tiny", "long")[name]
    texts = written(recipe, 1500)
    tokenizer = train_tokenizer(texts, recipe.numbers, recipe.vocab_size)
    lengths = [len(tokens) + 1 for tokens in tokenizer(texts)["input_ids"]]  # and the end token
    low, high = np.quantile(lengths, [0.05, 0.999])
    assert low >= 125
    assert high <= 256


def test_the_writers_of_the_long_pair_differ_in_wording_and_in_what_they_misread() -> None:
    first, second = recipes("tiny", "long").values()
    assert first.first_wording == pytest.approx(1 - (second.first_wording or 0))
    assert not set(first.misreads) & set(second.misreads)
    assert [set(one.misreads) for one in (first, second)] == [set(one.misreads) for one in PAIRS["tiny"].values()]


def test_a_recipe_is_another_one_with_every_wording() -> None:
    short = PAIRS["tiny"]["qwen3-digits"]
    fingerprints = {replace(short, first_wording=p).fingerprint() for p in (None, 0.5, 0.7)}
    assert len(fingerprints) == 3
    assert short.answers == "short"
    assert replace(short, first_wording=0.0).answers == "long"


def filled_in(**values: Any) -> TrainSettings:
    return resolved(train_settings(**values))


def test_the_length_limit_follows_from_the_answers() -> None:
    limits = {answers: filled_in(answers=answers).generation.max_new_tokens for answers in ("short", "long")}
    assert limits == {"short": 64, "long": 256}
    assert filled_in(answers="long", max_new_tokens=100).generation.max_new_tokens == 100


@pytest.mark.parametrize("others", [{"size": "small"}, {"agents": ("a", "b")}])
def test_long_answers_are_of_the_tiny_pair_only(others: dict) -> None:
    with pytest.raises(ValueError, match="answers must be 'short': only the lab's own pair of size 'tiny'"):
        train_settings(answers="long", **others)


def test_the_learning_rate_follows_from_the_answers() -> None:
    rates = {answers: filled_in(answers=answers).optimisation.learning_rate for answers in ("short", "long")}
    assert rates == {"short": 2e-4, "long": 3e-4}
