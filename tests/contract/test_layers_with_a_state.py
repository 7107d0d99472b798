"""Models whose layers keep a state instead of keys and values: trained like others, or refused with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from kinds import SETTINGS, G
from pools import pool_log_probs
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from hacrl_lab.errors import ModelLoadError
from hacrl_lab.language_models.loading import load_agent
from hacrl_lab.language_models.scoring import keeps_keys_and_values
from hacrl_lab.seeding import RandomStream
from hacrl_lab.worlds import TextPrompts

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 48,
}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
"""Of linear attention."""
PROMPTS = TextPrompts(["8+8", "10+12 =", "9"], [()] * 3)


def folder_of(model_type: str, tokenizer: str, folder: Path, **settings: Any) -> str:
    """A model folder with random weights and a tokenizer of the adders."""
    its = AutoTokenizer.from_pretrained(tokenizer)
    config = AutoConfig.for_model(
        model_type,
        **SHAPE,
        **settings,
        vocab_size=len(its),
        eos_token_id=its.eos_token_id,
        pad_token_id=its.pad_token_id,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    its.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("qwen3_5_text", LINEAR),
        ("lfm2", {"layer_types": ["conv", "full_attention"] * 2}),
    ],
    ids=["linear attention", "convolution"],
)
def test_what_they_sample_is_what_they_score(
    adders: list[str], tmp_path: Path, model_type: str, settings: dict[str, Any]
) -> None:
    agent = load_agent(folder_of(model_type, adders[0], tmp_path, **settings), "a", SETTINGS)
    assert not keeps_keys_and_values(agent.model)
    batch = agent.generate(PROMPTS, G, RandomStream(0))
    scores = pool_log_probs(agent, agent.encode(PROMPTS, [batch]))[0]
    mask = batch.own_tokens[1]
    assert batch.engine_log_probs is not None
    torch.testing.assert_close(batch.engine_log_probs[mask], scores.detach()[mask], rtol=0, atol=1e-4)
    torch.where(mask, scores, 0).sum().backward()
    assert float(agent.apply_gradients()) > 0


def test_a_model_that_cannot_sample_beside_longer_prompts_is_refused(adders: list[str], tmp_path: Path) -> None:
    folder = folder_of("recurrent_gemma", adders[0], tmp_path, lru_width=32, attention_window_size=8)
    with pytest.raises(ModelLoadError, match=r"^agent 'a' cannot be trained: [^\n]*$"):
        load_agent(folder, "a", SETTINGS)


def test_attention_alone_reads_prompts_once(adders: list[str]) -> None:
    for folder in adders:
        assert keeps_keys_and_values(load_agent(folder, "a", SETTINGS).model)
