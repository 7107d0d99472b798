"""Log-probabilities of responses under a causal language model, in two ways that differ in what they cost.

``shared_prompts`` reads every prompt once for all of its responses and is fast for short responses. ``in_chunks`` keeps
logits of a few tokens at a time, may recompute activations in the backward pass, and is what large models need, and
models with layers that keep something else than keys and values (:func:`keeps_keys_and_values`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, LinearAttentionCacheLayerMixin

from hacrl_lab.rollouts import EncodedRollouts

ChunkedScorer = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(ids, keep, targets) → log-probabilities, as :func:`chunked_log_probs` of a model gives them."""

CHUNK = 1024
"""Tokens whose logits are in memory at the same time."""


def shared_prompts(model: Any, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
    """Two forward passes: the rows' prompts once each, then all rows on their prompts' keys and values.

    The last prompt token and the responses but for their last tokens are what predicts the responses. float32
    log-softmax over the vocabulary.

    Args:
        model: a causal language model.
        encoded: a pool in its token space.
        rows: of the pool, (R,).

    Returns:
        (R, T), differentiable, nats; finite and arbitrary outside the mask.
    """
    taken = encoded.take(rows)
    length = max(1, int(taken.mask.sum(-1).max()))  # no further than the longest response of the pass
    tokens, mask = taken.tokens[:, :length], taken.mask[:, :length]
    prompts, prompt_of_row = taken.prompts.unique(return_inverse=True)
    context_mask = encoded.context_mask[prompts]
    width = int(context_mask.sum(-1).max())
    contexts, context_mask = encoded.contexts[prompts, -width:], context_mask[:, -width:]  # (U, C)
    whole_mask = torch.cat([context_mask[prompt_of_row], mask[:, :-1]], -1)  # (R, C+T−1)
    positions = (whole_mask.cumsum(-1) - 1).clamp_min(0)
    logits = model(
        input_ids=torch.cat([contexts[prompt_of_row, -1:], tokens[:, :-1]], -1),
        attention_mask=whole_mask.long(),
        position_ids=positions[:, -length:],
        past_key_values=_read_prompts(model, contexts[:, :-1], context_mask[:, :-1], prompt_of_row),
    ).logits  # (R, T, V)
    log_probs = -cross_entropy(logits.float().flatten(0, 1), tokens.flatten(), reduction="none")
    return pad(log_probs.unflatten(0, (-1, length)), (0, encoded.tokens.shape[-1] - length))


@torch.no_grad()
def keeps_keys_and_values(model: Any) -> bool:
    """Whether attention's keys and values are all that a model keeps of a prompt, which :func:`shared_prompts` needs.

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


def _read_prompts(model: Any, contexts: Tensor, mask: Tensor, prompt_of_row: Tensor) -> DynamicCache:
    """Keys and values of prompt tokens (U, C), each prompt's for all of its rows: (R,) positions of prompts."""
    cache = DynamicCache(config=model.config)
    if contexts.shape[1] > 0:
        model(
            input_ids=contexts,
            attention_mask=mask.long(),
            position_ids=(mask.cumsum(-1) - 1).clamp_min(0),
            past_key_values=cache,
            logits_to_keep=1,
        )
        layers: Any = cache.layers
        for layer in layers:  # indexing with [...] would add gradients up in an order that differs between runs
            layer.keys, layer.values = (both.index_select(0, prompt_of_row) for both in (layer.keys, layer.values))
    return cache


def chunked_log_probs(model: Any, ids: Tensor, keep: Tensor, targets: Tensor) -> Tensor:
    """Log-probabilities of some tokens, with the logits of CHUNK of them in memory at the same time.

    Rows are padded on the right and need no attention mask: in causal attention no token sees what follows it.

    Args:
        model: a causal language model whose logits are its output layer applied to its decoder's last states.
        ids: prompts and responses, (R, L).
        keep: true where the next token's log-probability is wanted, (R, L), N in all.
        targets: these next tokens, (N,).

    Returns:
        (N,), differentiable, nats, in float32.
    """
    states = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    hidden = states[keep.nonzero(as_tuple=True)]  # places, not a mask: their number is then known without values
    weight = model.get_output_embeddings()
    parts = zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True)
    return torch.cat([checkpoint(_log_probs, weight, h, t, use_reentrant=False) for h, t in parts])


def _log_probs(output_layer: torch.nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    return -cross_entropy(output_layer(hidden).float(), targets, reduction="none")


def in_chunks(score: ChunkedScorer, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
    """See :func:`shared_prompts`; by :func:`chunked_log_probs` of a model."""
    taken = encoded.take(rows)
    whole = [
        torch.cat([context[context_mask], tokens[mask]])
        for context, context_mask, tokens, mask in zip(
            taken.contexts, taken.context_mask, taken.tokens, taken.mask, strict=True
        )
    ]
    ids = pad_sequence(whole, batch_first=True)
    before, lengths = taken.context_mask.sum(-1, keepdim=True), taken.mask.sum(-1, keepdim=True)  # (R, 1)
    position = torch.arange(ids.shape[-1], device=ids.device)
    keep = (position >= before - 1) & (position < before + lengths - 1)
    log_probs = score(ids, keep, ids.roll(-1, -1)[keep])
    return torch.zeros(taken.mask.shape, device=ids.device).masked_scatter(taken.mask, log_probs)
