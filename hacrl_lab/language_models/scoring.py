"""Log-probabilities of responses under a causal language model.

What the model reads in a pass is a :class:`Pass`: of rows that are filled up (:func:`padded`), which every model can
read, or of prompts that are read once (:mod:`hacrl_lab.language_models.packed`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, LinearAttentionCacheLayerMixin

from hacrl_lab.rollouts import EncodedRows

CHUNK = 1024
"""Tokens whose logits are in memory at the same time."""


@dataclass(frozen=True)
class Pass:
    """Some rollouts as a model reads them; M tokens of responses in all."""

    inputs: Mapping[str, Any]
    """Arguments of the model, ``input_ids`` (B, L) among them."""
    predicting: Tensor
    """Places in the flattened B·L tokens whose next token's log-probability is wanted, response by response: (M,)."""
    targets: Tensor
    """These next tokens: (M,)."""


MakePass = Callable[[EncodedRows], Pass]
ReadPass = Callable[[Any, Pass], Tensor]
"""(model, pass) → log-probabilities (M,), differentiable, nats, in float32."""


def padded(rows: EncodedRows) -> Pass:
    """Prompt and response of every rollout in a row of its own, filled up on the right.

    That needs no attention mask: in causal attention no token sees what follows it.

    Args:
        rows: some rollouts.
    """
    whole = [
        torch.cat([context[context_mask], tokens[mask]])
        for context, context_mask, tokens, mask in zip(
            rows.contexts, rows.context_mask, rows.tokens, rows.mask, strict=True
        )
    ]
    ids = pad_sequence(whole, batch_first=True)
    before, lengths = rows.context_mask.sum(-1, keepdim=True), rows.mask.sum(-1, keepdim=True)  # (R, 1)
    position = torch.arange(ids.shape[-1], device=ids.device)
    predicting = (position >= before - 1) & (position < before + lengths - 1)
    return Pass({"input_ids": ids}, predicting.flatten().nonzero()[:, 0], ids.roll(-1, -1)[predicting])


def chunked_log_probs(model: Any, rollouts: Pass) -> Tensor:
    """A :data:`ReadPass` with the logits of CHUNK tokens in memory at the same time.

    Args:
        model: a causal language model whose logits are its output layer applied to its decoder's last states.
        rollouts: what it reads.
    """
    states = model.get_decoder()(**rollouts.inputs, use_cache=False).last_hidden_state
    hidden = states.flatten(0, 1).index_select(0, rollouts.predicting)
    weight = model.get_output_embeddings()
    parts = zip(hidden.split(CHUNK), rollouts.targets.split(CHUNK), strict=True)
    return torch.cat([checkpoint(_log_probs, weight, h, t, use_reentrant=False) for h, t in parts])


def whole_log_probs(model: Any, rollouts: Pass) -> Tensor:
    """A :data:`ReadPass` for models that scale or cap their logits; those of all tokens are in memory.

    Args:
        model: a causal language model.
        rollouts: what it reads.
    """
    logits = model(**rollouts.inputs, use_cache=False).logits.flatten(0, 1).index_select(0, rollouts.predicting)
    return -cross_entropy(logits.float(), rollouts.targets, reduction="none")


def _log_probs(output_layer: torch.nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    return -cross_entropy(output_layer(hidden).float(), targets, reduction="none")


@torch.no_grad()
def keeps_keys_and_values(model: Any) -> bool:
    """Whether attention's keys and values are all that a model keeps of a prompt.

    Layers of linear attention, convolutions and state-space layers keep a state instead.

    Args:
        model: a causal language model; it reads two tokens.
    """
    cache = DynamicCache(config=model.config)
    try:
        model(input_ids=torch.zeros(1, 2, dtype=torch.int64, device=model.device), past_key_values=cache)
    except (AttributeError, TypeError, ValueError):  # some have a cache of their own, and do not take this one
        return False
    layers: Any = cache.layers
    return all(
        isinstance(layer, DynamicLayer)
        and not isinstance(layer, LinearAttentionCacheLayerMixin)
        and layer.keys is not None
        for layer in layers
    )
