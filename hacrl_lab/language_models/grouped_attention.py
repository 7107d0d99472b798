"""Attention of answers that grow token by token on prompts that each group shares.

A prompt's keys and values are in memory once for all of its answers, and an answer's own in memory that is there from
the start. With q the query of a new token, (K, V) those of its prompt and (k, v) its own,

    softmax([q Kᵀ, q kᵀ] / √d) [V; v] = w_prompt V + w_own v,

so both parts are computed apart, the prompt's for all of its answers in one product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from hacrl_lab.language_models.attention import DOES_NOT_FIT, attending, refuse_unknown

NAME = "hacrl_grouped"
"""Under which transformers finds :func:`_attention`."""
AGREE = 0.02
"""Largest difference of logits in :func:`can_group`, of the largest logit: above rounding in bfloat16."""


class AnswersLayer(DynamicLayer):
    """One layer's keys and values: of U prompts, and of R answers with room for all of their tokens.

    Args:
        prompts: the layer that has read the prompts, keys (U, H, C, d).
        answers: R.
        room: tokens of an answer.
    """

    def __init__(self, prompts: Any, answers: int, room: int) -> None:
        super().__init__()
        self.prompt_keys, self.prompt_values = prompts.keys, prompts.values
        self._keys, self._values = (
            both.new_empty(answers, both.shape[1], room, both.shape[3]) for both in (prompts.keys, prompts.values)
        )
        self._length = 0
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Keep those of one more token of every answer; returns the answers' own, (R, H, t, d)."""
        start, self._length = self._length, self._length + key_states.shape[-2]
        self._keys[:, :, start : self._length] = key_states
        self._values[:, :, start : self._length] = value_states
        return self._keys[:, :, : self._length], self._values[:, :, : self._length]

    def get_seq_length(self) -> int:
        """Tokens of the longest prompt and of an answer so far."""
        return self.prompt_keys.shape[-2] + self._length

    def keep(self, answers: Tensor, prompts: Tensor | None) -> None:
        """Only these answers and prompts remain; None: all prompts do."""
        self._keys, self._values = self._keys.index_select(0, answers), self._values.index_select(0, answers)
        if prompts is not None:
            self.prompt_keys, self.prompt_values = (
                both.index_select(0, prompts) for both in (self.prompt_keys, self.prompt_values)
            )


class Groups:
    """Answers that are being written, and the prompts that they share.

    Args:
        prompts: that have been read.
        mask: true at their tokens, (U, C).
        prompt_of_answer: in order, (R,).
        room: tokens of an answer.
    """

    def __init__(self, prompts: DynamicCache, mask: Tensor, prompt_of_answer: Tensor, room: int) -> None:
        layers: Any = prompts.layers
        self._layers = [AnswersLayer(layer, len(prompt_of_answer), room) for layer in layers]
        self.cache = Cache(layers=[*self._layers])
        self._bias = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -torch.inf)
        self._arrange(prompt_of_answer, len(mask))

    def _arrange(self, prompt_of_answer: Tensor, prompts: int) -> None:
        """Places of answers in a table of prompts × the largest number of answers to one."""
        self._prompt_of_answer = prompt_of_answer
        counts = prompt_of_answer.bincount(minlength=prompts)
        self._width = int(counts.max())
        first = counts.cumsum(0) - counts
        places = prompt_of_answer * self._width - first[prompt_of_answer]
        places += torch.arange(len(places), device=places.device)
        self._places = None if len(places) == prompts * self._width else places
        """None: every place is taken."""

    def keep(self, answers: Tensor) -> None:
        """Only these answers are continued, in this order; prompts without any are forgotten."""
        left = self._prompt_of_answer[answers]
        prompts, prompt_of_answer = left.unique_consecutive(return_inverse=True)
        some = len(prompts) < len(self._bias)
        for layer in self._layers:
            layer.keep(answers, prompts if some else None)
        if some:
            self._bias = self._bias[prompts]
        self._arrange(prompt_of_answer, len(prompts))

    def attend(self, layer: int, query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
        """Attention of one new token of every answer.

        Args:
            layer: number.
            query: (R, H, 1, d).
            keys, values: of the answers' own tokens, (R, h, t, d), of which each serves H/h heads.
            scale: of scores.

        Returns:
            (R, H, d).
        """
        memory = self._layers[layer]
        grouped = query.view(len(query), keys.shape[1], -1, query.shape[-1]) * scale  # (R, h, H/h, d)
        of_prompt = self._by_prompt(grouped) @ memory.prompt_keys.transpose(-1, -2)  # (U, h, W·H/h, C)
        of_prompt = self._by_answer(of_prompt + self._bias[:, None, None], grouped)  # (R, h, H/h, C)
        scores = torch.cat([of_prompt, grouped @ keys.transpose(-1, -2)], -1)
        weights = scores.softmax(-1, dtype=torch.float32).to(values.dtype)
        own = weights[..., of_prompt.shape[-1] :] @ values
        shared = self._by_prompt(weights[..., : of_prompt.shape[-1]]) @ memory.prompt_values
        return (own + self._by_answer(shared, grouped)).flatten(1, 2)

    def _by_prompt(self, values: Tensor) -> Tensor:
        """(R, h, n, x) → (U, h, W·n, x), zeros where a prompt has fewer than W answers."""
        if self._places is not None:
            table = values.new_zeros(len(self._bias) * self._width, *values.shape[1:])
            values = table.index_copy_(0, self._places, values)
        return values.unflatten(0, (-1, self._width)).transpose(1, 2).flatten(2, 3)

    def _by_answer(self, values: Tensor, like: Tensor) -> Tensor:
        """Back again."""
        table = values.unflatten(2, (self._width, like.shape[2])).transpose(1, 2).flatten(0, 1)
        return table if self._places is None else table.index_select(0, self._places)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, groups: Groups, scaling: float, **others: Any
) -> tuple[Tensor, None]:
    """As transformers calls it for a layer; ``groups`` comes from whoever calls the model.

    Raises:
        NotImplementedError: the model's attention is a more general one, with a cap of its scores for instance.
    """
    refuse_unknown(others)
    return groups.attend(module.layer_idx, query, key, value, scaling).unsqueeze(1), None


AttentionInterface.register(NAME, _attention)


@torch.no_grad()
def can_group(model: Any, device: str = "cpu") -> bool:
    """Whether a model gives answers that share prompts the probabilities that it gives them alone.

    Most do whose layers are attention to everything before. Layers of linear attention, convolutions, state-space
    layers and sliding windows keep something else, and some models have an attention of their own.

    Args:
        model: a causal language model; it reads some tokens.
        device: where it computes, as torch names it; its weights may be elsewhere.
    """
    ids = torch.arange(1, 9, device=device).view(2, 4) % model.config.get_text_config().vocab_size
    mask = torch.tensor([[True] * 4, [False, False, True, True]], device=device)
    prompt_of_answer, answers = torch.tensor([0, 0, 1], device=device), ids[:, :3].flip(0).T[:, :2]
    try:
        read = read_prompts(model, ids, mask)
        grouped = Groups(read.cache, mask, prompt_of_answer, room=2)
        found = []
        with attending(model, NAME):
            for place in range(2):
                found.append(next_logits(model, answers[:, place], read.lengths[prompt_of_answer] + place, grouped))
        whole = torch.cat([mask[prompt_of_answer], mask.new_ones(3, 2)], -1)
        alone = model(
            input_ids=torch.cat([ids[prompt_of_answer], answers], -1),
            attention_mask=whole.long(),
            position_ids=(whole.cumsum(-1) - 1).clamp_min(0),
        ).logits[:, -2:]
    except DOES_NOT_FIT:
        return False
    difference = (torch.stack(found, 1).float() - alone.float()).abs().max()
    return bool(difference <= AGREE * alone.float().abs().max())


@dataclass(frozen=True)
class Read:
    """Prompts that have been read."""

    cache: DynamicCache
    """Their keys and values."""
    lengths: Tensor
    """Tokens of each, (U,)."""
    logits: Tensor
    """Of the token that follows each, (U, V)."""


def read_prompts(model: Any, ids: Tensor, mask: Tensor) -> Read:
    """Read prompts once each.

    Args:
        model: a causal language model.
        ids, mask: left-padded tokens, (U, C).

    Raises:
        NotImplementedError: layers keep something else than the keys and values of all tokens.
    """
    cache = DynamicCache(config=model.config)
    logits = model(
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=(mask.cumsum(-1) - 1).clamp_min(0),
        past_key_values=cache,
        logits_to_keep=1,
    ).logits[:, -1]
    if not all(type(layer) is DynamicLayer and layer.keys is not None for layer in cache.layers):
        raise NotImplementedError("layers that do not keep the keys and values of all tokens")
    return Read(cache, mask.sum(-1), logits)


def next_logits(model: Any, tokens: Tensor, positions: Tensor, groups: Groups) -> Tensor:
    """Logits of the token that follows one more token of every answer; tokens and their positions (R,) → (R, V)."""
    return model(
        input_ids=tokens[:, None], position_ids=positions[:, None], past_key_values=groups.cache, groups=groups
    ).logits[:, -1]
