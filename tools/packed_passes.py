"""Time and memory of a forward and backward pass that reads a prompt once, over those of reading it for every answer.

    python tools/packed_passes.py

The model is a Qwen3 with random weights, trained whole or as an adapter (extra ``lora``), with ``--checkpointing`` as
large models are. The two ways take turns; times are medians, memory is the largest sum of bytes of all tensors that are
alive at the same time, parameters excluded. Prints a Markdown table.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
import tyro
from tqdm.auto import tqdm
from transformers import Qwen3Config, Qwen3ForCausalLM

from hacrl_lab.language_models.causal_lm import CausalLMSettings
from hacrl_lab.language_models.live_bytes import LiveBytes
from hacrl_lab.language_models.loading import prepared
from hacrl_lab.language_models.prompting import Prompting
from hacrl_lab.language_models.scorer import Scorer
from hacrl_lab.language_models.sharding import Ranks
from hacrl_lab.language_models.sources import Source
from hacrl_lab.rollouts import EncodedRollouts
from hacrl_runs.tables import markdown_table

VOCABULARY = 8192


@dataclass(frozen=True)
class Options:
    """Compare the two ways of reading prompts."""

    prompt: int = 200
    """Tokens of the prompt."""
    answers: int = 16
    """Answers to it."""
    length: int = 60
    """Tokens of an answer."""
    hidden_size: int = 512
    """Width of the model."""
    layers: int = 8
    """Its layers."""
    rounds: int = 8
    """Passes of each way."""


def model_of(options: Options, lora_rank: int) -> Any:
    """A model in training, with checkpointed activations."""
    heads = options.hidden_size // 64
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=options.hidden_size,
        intermediate_size=3 * options.hidden_size,
        num_hidden_layers=options.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        head_dim=64,
    )
    torch.manual_seed(0)
    plain = CausalLMSettings(options.length, 1e-4, 1.0, Prompting(), "cpu", "float32", 0, checkpointing=True)
    return prepared(Qwen3ForCausalLM(config), replace(plain, lora_rank=lora_rank), Source("model")).train()


def made_up(options: Options) -> EncodedRollouts:
    """One prompt and its answers, all of the same length."""
    shape = (1, 1, options.answers, options.length)
    contexts, tokens = (torch.randint(VOCABULARY, size) for size in ((1, options.prompt), shape))
    return EncodedRollouts(contexts, torch.ones_like(contexts, dtype=torch.bool), tokens, torch.ones(shape).bool())


def forward_and_backward(model: Any, scorer: Scorer, pool: EncodedRollouts) -> float:
    """The seconds that it takes."""
    model.zero_grad()
    started = time.perf_counter()
    scorer.log_probs(pool, pool.rows()).mean().backward()
    return time.perf_counter() - started


def compare(options: Options, lora_rank: int) -> list[str]:
    """A row of the table."""
    model, pool = model_of(options, lora_rank), made_up(options)
    once, each = (Scorer("model", model, Ranks()) for _ in range(2))
    each.packs = False
    peaks, seconds = [], []
    for scorer in (once, each):
        forward_and_backward(model, scorer, pool)  # the first pass compares
        with LiveBytes() as live:
            forward_and_backward(model, scorer, pool)
        peaks.append(live.peak)
    for _ in tqdm(range(options.rounds), desc="Rounds", unit="round", leave=False):
        seconds.append([forward_and_backward(model, scorer, pool) for scorer in (once, each)])
    times = [median(column) for column in zip(*seconds, strict=True)]
    trained = f"an adapter of rank {lora_rank}" if lora_rank else "all weights"
    mib = [f"{peak / 2**20:.0f}" for peak in peaks]
    return [trained, *(f"{value:.2f}" for value in (*times, times[0] / times[1])), *mib, f"{peaks[0] / peaks[1]:.2f}"]


def run(options: Options) -> str:
    """The table."""
    head = ["trained", "once, s", "for each answer, s", "ratio", "once, MiB", "for each answer, MiB", "ratio"]
    return markdown_table(head, [compare(options, lora_rank) for lora_rank in (0, 16)])


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(run(tyro.cli(Options, description=__doc__)))
