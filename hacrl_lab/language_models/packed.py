"""Log-probabilities of responses in one pass in which every prompt is read once and nothing is filled up.

The tokens of U prompts and of their R responses stand one after the other in one row of N tokens, which is all that
embeddings, linear layers and norms see. Attention alone looks at them as tables: prompts see themselves, and each
response sees its prompt and itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface

from hacrl_lab.language_models.attention import refuse_unknown
from hacrl_lab.language_models.scoring import Pass
from hacrl_lab.rollouts import EncodedRows

Passes = list[tuple[int, int]]
NAME = "hacrl_packed"
"""Under which transformers finds :func:`_attention`."""


@dataclass(frozen=True)
class Table:
    """Places of the tokens of some texts in the row, one text a line, filled up on the right."""

    indices: Tensor
    """In the row, 0 where there is no token: (B, L)."""
    filled: Tensor
    """True where there is one: (B, L)."""
    flat: Tensor
    """Places of the tokens in the flattened table, in the order of the row: (number of tokens,)."""

    def of(self, values: Tensor) -> Tensor:
        """(heads, N, d) → (B, heads, L, d)."""
        taken = values.index_select(1, self.indices.flatten()).unflatten(1, self.indices.shape)
        return taken.transpose(0, 1)

    def back(self, values: Tensor) -> Tensor:
        """(B, heads, L, d) → (number of tokens, heads, d)."""
        return values.transpose(1, 2).flatten(0, 1).index_select(0, self.flat)


class Packing:
    """Where the tokens of some rollouts stand in one row, and what they see.

    The last token of a response is left out, since it predicts nothing.

    Args:
        rows: some rollouts, those to the same prompt beside each other.
    """

    def __init__(self, rows: EncodedRows) -> None:
        _, self.prompt_of_row, counts = rows.prompts.unique_consecutive(return_inverse=True, return_counts=True)
        first = counts.cumsum(0) - counts
        self.contexts, self.context_mask = rows.contexts[first], rows.context_mask[first]  # (U, C), left-padded
        self.prompt_lengths = self.context_mask.sum(-1)
        fed = pad(rows.mask[:, 1:], (0, 1))  # a token is fed if another one follows
        self.fed = fed[:, : max(1, int(fed.sum(-1).max()))]  # (R, L)
        self.prompts = _table(self.prompt_lengths, 0)
        self.responses = _table(self.fed.sum(-1), int(self.prompt_lengths.sum()))
        self._seen = self._what_is_seen()

    def _what_is_seen(self) -> Tensor:
        """What each token of a response sees of its prompt and of its response: (R, 1, L, C+L)."""
        of_prompt = self.prompts.filled[self.prompt_of_row, None, None]  # (R, 1, 1, C)
        count, length = self.fed.shape
        own = torch.ones(length, length, dtype=torch.bool, device=self.fed.device).tril()
        return torch.cat([of_prompt.expand(-1, 1, length, -1), own.expand(count, 1, -1, -1)], -1)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention of every token.

        Args:
            query, key, value: (H, N, d), (h, N, d), (h, N, d).
            scale: of scores.

        Returns:
            (N, H, d).
        """
        asked, keys, values = (self.prompts.of(one) for one in (query, key, value))
        prompts = scaled_dot_product_attention(asked, keys, values, is_causal=True, scale=scale, enable_gqa=True)
        keys, values = (
            torch.cat([shared.index_select(0, self.prompt_of_row), self.responses.of(own)], 2)
            for shared, own in ((keys, key), (values, value))
        )
        responses = scaled_dot_product_attention(
            self.responses.of(query), keys, values, attn_mask=self._seen, scale=scale, enable_gqa=True
        )
        return torch.cat([self.prompts.back(prompts), self.responses.back(responses)])


def packed(rows: EncodedRows) -> Pass:
    """Prompts, once each, and responses in one row.

    Args:
        rows: some rollouts, those to the same prompt beside each other.
    """
    packing = Packing(rows)
    fed, columns = packing.fed, packing.fed.shape[-1]
    of_prompts = (packing.context_mask.cumsum(-1) - 1)[packing.context_mask]
    starts = packing.prompt_lengths[packing.prompt_of_row, None]
    of_responses = (starts + torch.arange(columns, device=fed.device))[fed]
    last = packing.prompt_lengths.cumsum(0) - 1
    taught = rows.mask[:, : columns + 1]
    before = torch.cat([last[packing.prompt_of_row, None], packing.responses.indices], -1)[:, : taught.shape[-1]]
    return Pass(
        inputs={
            "input_ids": torch.cat([packing.contexts[packing.context_mask], rows.tokens[:, :columns][fed]])[None],
            "position_ids": torch.cat([of_prompts, of_responses])[None],
            "packing": packing,
        },
        predicting=before[taught],
        targets=rows.tokens[:, : columns + 1][taught],
    )


def packed_passes(prompts: Sequence[int], prompt_lengths: Sequence[int], lengths: Sequence[int], budget: int) -> Passes:
    """Cut rows in their order into passes whose prompts, once each, and padded responses are within a budget.

    A row that is longer than the budget has a pass of its own.

    Args:
        prompts: of each row, those to the same prompt beside each other.
        prompt_lengths: tokens of each row's prompt.
        lengths: tokens of each row's response.
        budget: tokens in a pass, ≥ 1.

    Returns:
        For each pass the first row and the one after its last.

    >>> packed_passes([0, 0, 0, 1], [5, 5, 5, 5], [2, 3, 3, 2], 11)
    [(0, 2), (2, 3), (3, 4)]
    """
    passes: Passes = []
    start = tokens_of_prompts = longest = 0
    for row, (prompt, its_length, length) in enumerate(zip(prompts, prompt_lengths, lengths, strict=True)):
        is_new = row == start or prompt != prompts[row - 1]
        more, longer = tokens_of_prompts + its_length * is_new, max(longest, length)
        if row > start and more + longer * (row + 1 - start) > budget:
            passes.append((start, row))
            start, more, longer = row, its_length, length
        tokens_of_prompts, longest = more, longer
    return [*passes, (start, len(prompts))]


def _table(lengths: Tensor, start: int) -> Table:
    """Of texts that stand one after the other from a place on; lengths (B,)."""
    column = torch.arange(max(1, int(lengths.max())), device=lengths.device)
    filled = column < lengths[:, None]
    indices = (start + (lengths.cumsum(0) - lengths)[:, None] + column) * filled
    return Table(indices, filled, filled.flatten().nonzero()[:, 0])


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, packing: Packing, scaling: float, **others: Any
) -> tuple[Tensor, None]:
    """As transformers calls it for a layer; ``packing`` comes from whoever calls the model.

    Raises:
        NotImplementedError: the model's attention is a more general one, with a cap of its scores for instance.
    """
    refuse_unknown(others)
    return packing.attend(query[0], key[0], value[0], scaling)[None], None


AttentionInterface.register(NAME, _attention)
