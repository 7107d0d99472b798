"""Sampling by transformers' generate: from the distribution that is asked for, by the seed, in bounded batches."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from test_group_sampler import SETTING, model_of, prompts
from transformers import GenerationConfig

from hacrl_lab.language_models.group_sampler import drawn_from
from hacrl_lab.language_models.transformers_sampler import TransformersSampler
from hacrl_lab.sampling import Sampling

DRAWS = 4000
RATE = 1e-6
"""Chance that a test of frequencies fails although the sampler is right; the seeds are fixed."""


@pytest.mark.parametrize(
    "sampling",
    [Sampling(), Sampling(top_p=0.5), Sampling(temperature=3.0), Sampling(top_k=2)],
    ids=["as-in-training", "top-p", "hot", "top-k"],
)
def test_tokens_come_from_the_distribution_that_is_asked_for(sampling: Sampling) -> None:
    """By Hoeffding the share of any set differs by more than sqrt(ln(2/RATE)/(2N)) with a chance of at most RATE."""
    model, (ids, mask) = model_of("qwen3"), prompts()
    model.generation_config = GenerationConfig(do_sample=True, min_p=0.99)  # its own defaults, which are not used
    one_token = replace(SETTING, max_new_tokens=1, sampling=sampling)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(0.5)
        logits = model(input_ids=ids[:1], attention_mask=mask[:1].long()).logits[:, -1]
    tokens = TransformersSampler(model).sample(ids[:1], mask[:1], DRAWS, one_token, 0).tokens.flatten()
    frequencies = torch.bincount(tokens, minlength=logits.shape[-1]).double() / DRAWS
    expected = drawn_from(logits, sampling)[0].double().exp()
    likely = logits[0].softmax(-1) > 1 / logits.shape[-1]
    assert logits.softmax(-1).max() < 0.5
    bound = math.sqrt(math.log(2 / RATE) / (2 * DRAWS))
    assert abs(float((frequencies - expected)[likely].sum())) < bound
    assert not frequencies[expected == 0].any()


def test_the_seed_alone_decides_and_the_global_random_state_stays() -> None:
    model, (ids, mask) = model_of("qwen3"), prompts()
    sampled = []
    for state, seed in ((1, 0), (2, 0), (1, 3)):
        torch.manual_seed(state)
        before = torch.random.get_rng_state()
        sampled.append(TransformersSampler(model).sample(ids, mask, 4, SETTING, seed).tokens)
        assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(sampled[0], sampled[1])
    assert sampled[2].shape != sampled[0].shape or not torch.equal(sampled[2], sampled[0])


def test_no_more_rows_than_asked_for_are_sampled_at_once() -> None:
    model, (ids, mask) = model_of("qwen3"), prompts()
    rows: list[int] = []
    model.register_forward_pre_hook(lambda _, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True)
    sampled = TransformersSampler(model, 3).sample(ids, mask, 4, SETTING, 0)
    assert max(rows) == 3
    assert sampled.tokens.shape[:2] == (5, 4)
