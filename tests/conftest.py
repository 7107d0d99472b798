"""Models that the tests make themselves: small, of three families, able to add a little and often wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from hacrl_runs.own_pair.recipes import NumberSplit
from hacrl_runs.own_pair.tokenizers import train_tokenizer

CONTEXT = 48

if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores, and so do the processes that tests start
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def one_thread_everywhere() -> Iterator[None]:
    """For processes that tests start: one thread, so that sums are added up in the same order, and no model hub.

    Ray's workers have the priority of other processes, in place of a low one at which other tests would starve them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("RAY_worker_niceness", "0")
        yield


@pytest.fixture(scope="session")
def adders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Folders of three ordinary transformers checkpoints that answer ``a+b`` rightly now and then."""
    folder = tmp_path_factory.mktemp("adders")
    return [_make_adder(folder / name, name, seed) for seed, name in enumerate(("qwen3", "llama", "gpt2"))]


@pytest.fixture(scope="session")
def sums(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A problem file for them."""
    path = tmp_path_factory.mktemp("problems") / "sums.jsonl"
    lines = [f'{{"question": "{a}+{b}", "answer": "{a + b}"}}' for a in range(8, 13) for b in range(8, 13)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def _make_adder(folder: Path, name: str, seed: int) -> str:
    rng = np.random.default_rng(seed)
    numbers: NumberSplit = "digits" if name == "qwen3" else "groups"
    texts = [f"{a}+{b}\n\\boxed{{{a + b}}}" for a in range(8, 13) for b in range(8, 13)]
    tokenizer = train_tokenizer(texts * 5, numbers, 300 + 20 * seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _new_model(name, len(tokenizer), cast(int, tokenizer.eos_token_id)).eval()  # no dropout
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):
        pairs = rng.integers(8, 13, size=(32, 2))
        slips = rng.integers(0, 2, size=32)  # half of the answers are one too large
        rows = [f"{a}+{b}\n\\boxed{{{a + b + slip}}}<|end|>" for (a, b), slip in zip(pairs, slips, strict=True)]
        encoded = tokenizer(rows, return_tensors="pt", padding=True)
        labels = encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, -100)
        model(**encoded, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def _new_model(name: str, vocab_size: int, end_token: int) -> PreTrainedModel:
    common = {"vocab_size": vocab_size, "eos_token_id": end_token, "bos_token_id": None}
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,  # the least that vLLM has on a CPU
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
    }
    if name == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**common, **shape))
    if name == "llama":
        return LlamaForCausalLM(LlamaConfig(**common, **shape))
    return GPT2LMHeadModel(GPT2Config(**common, n_embd=48, n_layer=2, n_head=2, n_positions=CONTEXT))
