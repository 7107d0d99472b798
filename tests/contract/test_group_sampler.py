"""Our own sampler: what transformers' generate and a plain forward pass say, with every prompt read once."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from kinds import LANGUAGE, SETTINGS, Kind
from pools import pool_log_probs
from scipy.stats import chisquare
from test_layers_with_a_state import PROMPTS, folder_of
from transformers import AutoConfig, AutoModelForCausalLM

from hacrl_lab.errors import NonFiniteError
from hacrl_lab.language_models.group_sampler import GroupSampler, choose_tokens, drawn_from
from hacrl_lab.language_models.grouped_attention import _attention, can_group
from hacrl_lab.language_models.loading import load_agent
from hacrl_lab.language_models.sampler import Generation, SamplingSettings
from hacrl_lab.language_models.transformers_sampler import TransformersSampler
from hacrl_lab.sampling import Sampling
from hacrl_lab.seeding import RandomStream

every_family = pytest.mark.parametrize("kind", LANGUAGE, indirect=True)
BY_GENERATE = replace(SETTINGS, generation="transformers")
VOCABULARY, STOP = 97, 2
SETTING = SamplingSettings(max_new_tokens=9, stop_tokens=(STOP, 5), pad_token=0, agent="a")
SHAPE: dict[str, Any] = {
    **{"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0},
    **{"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    **{"bos_token_id": 1, "eos_token_id": STOP, "ffn_dim": 64, "word_embed_proj_dim": 32, "lru_width": 32},
    **{"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "rotary_dim": 4},
}
"""Of all architectures; each takes what it has."""
GROUPS = (
    *("gpt2", "llama", "qwen2", "qwen3", "qwen3_moe", "gemma", "phi", "phi3", "gpt_neox", "opt", "mixtral", "olmo2"),
    *("starcoder2", "smollm3", "granite", "cohere", "glm4", "ernie4_5"),
)
DOES_NOT = ("gemma2", "gemma3_text", "mistral", "gpt_oss", "gptj", "bloom", "gpt_neo", "lfm2", "mamba", "qwen3_next")
"""Caps and sinks in attention, sliding windows, attention of their own, layers that keep a state."""


def model_of(name: str) -> Any:
    """An architecture with random weights, large enough for decided answers."""
    known = AutoConfig.for_model(name).to_dict()
    always = ("pad_token_id", "bos_token_id", "eos_token_id")
    settings = {key: value for key, value in SHAPE.items() if key in known or key in always}
    if name == "lfm2":
        settings["layer_types"] = ["conv", "full_attention"]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **settings), dtype=torch.float32).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(4)
    return model


def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    """Five left-padded prompts of one to six tokens."""
    lengths = torch.tensor([6, 1, 3, 6, 2])
    ids = torch.randint(6, VOCABULARY, (5, 6), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(6) >= 6 - lengths[:, None]
    return ids * mask, mask


def plain_log_probs(model: Any, generation: Generation) -> torch.Tensor:
    """Of what was sampled after :func:`prompts`, by one forward pass of whole texts, in its shape."""
    ids, mask = (one.repeat_interleave(generation.tokens.shape[1], 0) for one in prompts())
    tokens, said = (one.flatten(0, 1) for one in (generation.tokens, generation.mask))
    whole = torch.cat([mask, said], -1)
    positions = (whole.cumsum(-1) - 1).clamp_min(0)
    with torch.no_grad():
        output = model(input_ids=torch.cat([ids, tokens], -1), attention_mask=whole.long(), position_ids=positions)
    logits = output.logits[:, ids.shape[1] - 1 : -1]
    return logits.float().log_softmax(-1).gather(-1, tokens[..., None])[..., 0].view(generation.tokens.shape)


@pytest.mark.parametrize("name", GROUPS)
def test_it_says_what_generate_says_and_knows_how_likely_that_was(name: str) -> None:
    model, (ids, mask) = model_of(name), prompts()
    assert can_group(model)
    greedy = replace(SETTING, greedy=True)
    ours, theirs = (kind(model).sample(ids, mask, 1, greedy, 0) for kind in (GroupSampler, TransformersSampler))
    assert torch.equal(ours.mask, theirs.mask)
    assert torch.equal(ours.tokens[ours.mask], theirs.tokens[theirs.mask])
    assert torch.equal(ours.finished, theirs.finished)
    sampled = GroupSampler(model).sample(ids, mask, 4, SETTING, 0)
    assert 0 < int(sampled.finished.sum()) < sampled.finished.numel()
    difference = (sampled.log_probs - plain_log_probs(model, sampled))[sampled.mask].abs()
    assert float(difference.mean()) < 1e-6
    assert float(difference.max()) < 2e-5
    assert bool((sampled.log_probs[~sampled.mask] == 0).all())
    assert bool((sampled.tokens[~sampled.mask] == SETTING.pad_token).all())


@pytest.mark.parametrize("name", DOES_NOT)
def test_an_attention_of_another_kind_is_noticed(name: str) -> None:
    model = model_of(name)
    before = model.config._attn_implementation
    assert not can_group(model)
    assert model.config._attn_implementation == before


def test_a_cap_of_scores_is_not_passed_over() -> None:
    one = torch.ones(1, 1, 1, 1)
    with pytest.raises(NotImplementedError, match=r"^attention with softcap$"):
        _attention(None, one, one, one, None, groups=cast(Any, None), scaling=1.0, softcap=50.0)


def test_what_is_sampled_does_not_depend_on_what_is_sampled_beside_it() -> None:
    model, (ids, mask) = model_of("qwen3"), prompts()
    state = torch.random.get_rng_state()
    whole = GroupSampler(model).sample(ids, mask, 4, SETTING, 0)
    assert torch.equal(torch.random.get_rng_state(), state)
    again = GroupSampler(model).sample(ids, mask, 4, SETTING, 0)
    assert torch.equal(whole.tokens, again.tokens)
    assert torch.equal(whole.log_probs, again.log_probs)
    for rows in (1, 3, 7):
        part = GroupSampler(model, rows).sample(ids, mask, 4, SETTING, 0)
        assert torch.equal(whole.tokens, part.tokens)
        torch.testing.assert_close(whole.log_probs, part.log_probs, rtol=0, atol=2e-5)
    other = GroupSampler(model).sample(ids, mask, 4, SETTING, 1)
    assert other.tokens.shape != whole.tokens.shape or not torch.equal(other.tokens, whole.tokens)
    assert any(len({tuple(row) for row in group.tolist()}) > 1 for group in whole.tokens)


def test_answers_that_ended_leave() -> None:
    model, (ids, mask) = model_of("qwen3"), prompts()
    rows = []
    model.register_forward_pre_hook(lambda _, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True)
    sampled = GroupSampler(model).sample(ids, mask, 4, replace(SETTING, stop_tokens=tuple(range(60))), 0)
    lengths = sampled.mask.sum(-1).flatten()
    going = [int((lengths > place).sum()) for place in range(1, int(lengths.max()))]
    assert rows[0] == len(ids)
    assert len(rows) == 1 + len(going)
    assert all(left <= count <= left / (1 - 1 / 16) + 1 for left, count in zip(going, rows[1:], strict=True))
    assert rows[-1] < rows[1]


def test_tokens_are_drawn_with_their_probabilities() -> None:
    logits = torch.tensor([[0.0, 1.0, -2.0, -torch.inf, 0.5]]).expand(20_000, -1)
    chances = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tokens, log_probs = choose_tokens(logits, chances, SETTING)
    expected = logits[0].softmax(-1).double().numpy()
    counts = np.bincount(tokens.numpy(), minlength=5)
    assert counts[3] == 0
    possible = expected > 0
    assert chisquare(counts[possible], 20_000 * expected[possible] / expected.sum()).pvalue > 0.001
    torch.testing.assert_close(log_probs, logits[0].log_softmax(-1)[tokens])


def test_chances_at_the_borders_give_tokens_that_can_be() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(4, -1)
    tokens, _ = choose_tokens(logits, torch.tensor([0.0, 0.5, 1 - 2**-53, 0.25], dtype=torch.float64), SETTING)
    assert tokens.tolist() == [1, 3, 3, 1]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=0.5), [16 / 21, 4 / 21, 1 / 21, 0]),
        (Sampling(top_k=2), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(top_p=0.5), [1, 0, 0, 0]),
        (Sampling(top_p=0.8), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(temperature=0.5, top_k=2), [4 / 5, 1 / 5, 0, 0]),
    ],
)
def test_an_evaluation_draws_from_the_tokens_that_it_keeps(sampling: Sampling, expected: list[float]) -> None:
    logits = torch.tensor([[4.0, 2.0, 1.0, 0.0]]).log()
    torch.testing.assert_close(drawn_from(logits, sampling).exp()[0], torch.tensor(expected, dtype=torch.float32))
    places = torch.linspace(0, 1, 101, dtype=torch.float64)[:-1]
    tokens, log_probs = choose_tokens(logits.expand(100, -1), places, replace(SETTING, sampling=sampling))
    assert {int(token) for token in tokens} == {token for token, chance in enumerate(expected) if chance > 0}
    torch.testing.assert_close(log_probs, logits[0].log_softmax(-1)[tokens])  # of the whole distribution


def test_logits_that_are_not_finite_are_an_error() -> None:
    model, (ids, mask) = model_of("llama"), prompts()
    with torch.no_grad():
        model.get_output_embeddings().weight[3] = torch.nan
    with pytest.raises(NonFiniteError, match="the logits of agent 'a' are not finite"):
        GroupSampler(model).sample(ids, mask, 2, SETTING, 0)
    assert model.config._attn_implementation == "sdpa"


@every_family
def test_an_agent_samples_with_it_and_scores_what_it_said(kind: Kind) -> None:
    folder = kind.folders[LANGUAGE.index(kind.name)]
    agent, plain = (load_agent(folder, "a", settings) for settings in (SETTINGS, BY_GENERATE))
    asked = kind.prompts()
    assert agent.generate_greedily(asked).responses == plain.generate_greedily(asked).responses
    batch = agent.generate(asked, 3, RandomStream(0))
    assert batch.engine_log_probs is not None
    said = batch.own_tokens[1]
    scores = pool_log_probs(plain, plain.encode(asked, [batch]))[0].detach()
    torch.testing.assert_close(batch.engine_log_probs[said], scores[said], rtol=0, atol=2e-5)
    again = agent.generate(asked, 3, RandomStream(0))
    assert again.responses == batch.responses
    assert torch.equal(again.engine_log_probs, batch.engine_log_probs)  # type: ignore[arg-type]


def test_an_agent_that_cannot_is_sampled_by_transformers(
    adders: list[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    folder = folder_of("lfm2", adders[0], tmp_path, layer_types=["conv", "full_attention"] * 2)
    with caplog.at_level(logging.WARNING, "hacrl_lab"):
        agent = load_agent(folder, "a", SETTINGS)
    [said] = [record.getMessage() for record in caplog.records if record.name == "hacrl_lab"]
    assert said == "agent 'a' is sampled by transformers: its attention is of another kind than grouped's"
    plain = load_agent(folder, "a", BY_GENERATE)
    ours, theirs = (one.generate(PROMPTS, 2, RandomStream(0)).responses for one in (agent, plain))
    assert ours == theirs
