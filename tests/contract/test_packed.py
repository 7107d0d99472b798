"""Prompts that are read once in a pass: the numbers, gradients, operations and memory of reading each answer alone."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest
import torch
from kinds import LANGUAGE, Kind, P
from test_group_sampler import DOES_NOT, GROUPS, model_of
from test_language_models import model_agent
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hacrl_lab.language_models.live_bytes import LiveBytes
from hacrl_lab.language_models.loading import _checkpoint_activations
from hacrl_lab.language_models.packed import Packing
from hacrl_lab.language_models.scorer import Scorer
from hacrl_lab.language_models.sharding import Ranks
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.seeding import RandomStream

one_family = pytest.mark.parametrize("kind", ["qwen3"], indirect=True)
WARNING = "agent 'a' reads a prompt once for each answer: its attention is of another kind"


def pool_of(vocabulary: int, prompts: int, group: int, longest: tuple[int, int]) -> EncodedRollouts:
    """Made-up rollouts of one sampler; some prompts and responses are shorter than the longest."""
    draw = torch.Generator().manual_seed(3)
    context, response = longest
    shape = (1, prompts, group)
    context_mask = torch.arange(context) >= torch.randint(0, context // 4 + 1, (prompts, 1), generator=draw)
    mask = torch.arange(response) < torch.randint(response // 2, response + 1, (*shape, 1), generator=draw)
    contexts = torch.randint(1, vocabulary, (prompts, context), generator=draw)
    return EncodedRollouts(
        contexts, context_mask, torch.randint(1, vocabulary, (*shape, response), generator=draw), mask
    )


def scored(model: Any, pool: EncodedRollouts, packs: bool | None = None) -> tuple[Tensor, list[Tensor]]:
    """Log-probabilities and the gradient of their weighted sum; packs: not decided by the scorer itself."""
    scorer = Scorer("a", model, Ranks())
    if packs is not None:
        scorer.packs = packs
    model.zero_grad()
    log_probs = scorer.log_probs(pool, pool.rows())
    (log_probs * torch.linspace(-1, 1, log_probs.numel()).view(log_probs.shape)).sum().backward()
    gradients = [torch.zeros(1) if weight.grad is None else weight.grad.clone() for weight in model.parameters()]
    return log_probs.detach(), gradients


def assert_same(one: tuple[Tensor, list[Tensor]], other: tuple[Tensor, list[Tensor]]) -> None:
    torch.testing.assert_close(one[0], other[0], rtol=0, atol=2e-5)
    for mine, theirs in zip(one[1], other[1], strict=True):
        assert float((mine - theirs).abs().max()) <= 1e-5 * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("name", GROUPS)
def test_numbers_and_gradients_are_those_of_reading_each_answer_alone(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = model_of(name)
    pool = pool_of(97, 3, 4, (12, 9))
    with caplog.at_level(logging.WARNING, "hacrl_lab"):
        packed = scored(model, pool)
    assert not [record for record in caplog.records if record.name == "hacrl_lab"]
    assert_same(packed, scored(model, pool, packs=False))


@pytest.mark.parametrize("name", DOES_NOT)
def test_attention_of_another_kind_is_noticed(name: str, caplog: pytest.LogCaptureFixture) -> None:
    model = model_of(name)
    before = model.config._attn_implementation
    with caplog.at_level(logging.WARNING, "hacrl_lab"):
        scorer = Scorer("a", model, Ranks())
    assert WARNING in [record.getMessage() for record in caplog.records]
    assert not scorer.packs
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("name", ["gemma2", "granite", "mistral"])
def test_attention_of_another_kind_is_scored_as_it_is(name: str) -> None:
    """Caps and scales of logits, and windows of attention, beside a plain forward pass of one answer."""
    model, pool = model_of(name), pool_of(97, 2, 2, (12, 9))
    scores = scored(model, pool)[0]
    for row, log_probs in zip(pool.rows(), scores, strict=True):
        taken = pool.take(row[None])
        text = torch.cat([taken.contexts[taken.context_mask], taken.tokens[taken.mask]])
        with torch.no_grad():
            plain = model(input_ids=text[None]).logits[0].log_softmax(-1)
        count = int(taken.mask.sum())
        expected = plain[-count - 1 : -1].gather(-1, text[-count:, None])[:, 0]
        torch.testing.assert_close(log_probs[:count], expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["qwen3", "granite"])
def test_activations_are_computed_again_with_the_attention_that_they_had(name: str) -> None:
    kept, again = model_of(name), model_of(name)
    _checkpoint_activations(again)
    again.train()
    assert_same(scored(again, pool_of(97, 3, 4, (12, 9))), scored(kept, pool_of(97, 3, 4, (12, 9))))


@one_family
def test_what_first_rollouts_show_is_not_passed_over(
    kind: Kind, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention that looks right as long as texts are as short as those that are made up."""
    attend = Packing.attend

    def forgetful(self: Packing, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        seen = attend(self, query, key, value, scale)
        return seen if len(seen) < 16 else torch.zeros_like(seen)

    monkeypatch.setattr(Packing, "attend", forgetful)
    agent, prompts = model_agent(kind, tokens_per_pass=40), kind.prompts()
    assert agent.scorer.packs
    pool = agent.encode(prompts, [agent.generate(prompts, 3, RandomStream(0))])
    with caplog.at_level(logging.WARNING, "hacrl_lab"):
        scores = agent.token_log_probs(pool, pool.rows())
    assert [record.getMessage() for record in caplog.records if record.name == "hacrl_lab"] == [WARNING]
    assert not agent.scorer.packs
    plain = model_agent(kind)
    plain.scorer.packs = False
    torch.testing.assert_close(scores, plain.token_log_probs(pool, pool.rows()), rtol=0, atol=2e-5)


@one_family
def test_first_rollouts_without_tokens_say_nothing_about_the_model(kind: Kind) -> None:
    agent, prompts = model_agent(kind), kind.prompts()
    pool = agent.encode(prompts, [RolloutBatch("b", [[""]] * P, torch.zeros(P, 1, dtype=torch.bool))])
    assert not pool.mask.any()
    agent.token_log_probs(pool, pool.rows())
    assert agent.scorer.packs


@pytest.mark.parametrize("name", LANGUAGE)
def test_it_costs_less_than_half_with_long_prompts(name: str) -> None:
    """One prompt of 200 tokens and 16 answers of at most 60: operations and memory of forward and backward pass."""
    model = model_of(name)
    if name == "gpt2":
        model.transformer.wpe = torch.nn.Embedding(300, 32)
    pool = pool_of(97, 1, 16, (200, 60))
    operations, bytes_ = [], []
    for packs in (True, False):
        measure = partial(scored, model, pool, packs)
        measure()
        with FlopCounterMode(display=False) as counted:
            measure()
        with LiveBytes() as live:
            measure()
        operations.append(counted.get_total_flops())
        bytes_.append(live.peak)
    assert operations[0] < 0.45 * operations[1]
    assert bytes_[0] < bytes_[1]


@one_family
def test_a_budget_counts_a_prompt_once(kind: Kind) -> None:
    agent = model_agent(kind, tokens_per_pass=100)
    pool = pool_of(60, 2, 8, (40, 10))
    rows = pool.rows()
    passes = agent.passes(pool, [rows])
    assert sorted(torch.cat(passes).tolist()) == rows.tolist()
    assert len(passes) < len(list(rows.split(100 // 50)))
    for positions in passes:
        taken = pool.take(rows[positions])
        prompts = pool.context_mask[taken.prompts.unique()].sum()
        assert int(prompts + len(positions) * taken.mask.sum(-1).max()) <= 100
