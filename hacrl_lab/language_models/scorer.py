"""How an agent's model scores: with prompts read once wherever that gives the numbers of reading every answer alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from hacrl_lab.language_models import packed
from hacrl_lab.language_models.attention import DOES_NOT_FIT, attending
from hacrl_lab.language_models.scoring import MakePass, Pass, ReadPass, chunked_log_probs, padded, whole_log_probs
from hacrl_lab.language_models.sharding import Ranks, as_forward
from hacrl_lab.rollouts import EncodedRollouts, EncodedRows
from hacrl_lab.update import split_by_tokens

AGREE = 1e-3
"""How far log-probabilities may be from those of plain reading, nats, in float32: above rounding."""
SAME = 1e-5
"""The same for an output layer that is applied to the same states, of the largest."""
COMPARED = 4
"""Rows of the first pass that are also read alone."""
_LOGGER = logging.getLogger("hacrl_lab")


class Scorer:
    """Token log-probabilities of responses under a model.

    Before anything is scored the model reads a few made-up tokens both ways, and so it does with the first rollouts.
    Models whose attention is of another kind read every answer alone from then on, which a warning says.

    Args:
        name: of the agent.
        model: a causal language model.
        ranks: among which it is divided.
        device: where it computes, as torch names it; its weights may be elsewhere.
        has_values: the model has weights; without them, what a model with plain attention does is done.
    """

    def __init__(self, name: str, model: Any, ranks: Ranks, device: str = "cpu", has_values: bool = True) -> None:
        self._name, self._model, self._ranks = name, model, ranks
        self._forward: dict[ReadPass, Callable[[Pass], Tensor]] = {
            read: as_forward(model, read) for read in (chunked_log_probs, whole_log_probs)
        }
        self._read: ReadPass = chunked_log_probs
        self.packs = True
        """Whether prompts are read once."""
        self._is_compared = not has_values
        if has_values:
            rows = _some_rows(model, device)
            if not self._agree((padded, chunked_log_probs), (padded, whole_log_probs), rows, SAME):
                self._read = whole_log_probs
            self._compare(rows)

    def passes(self, encoded: EncodedRollouts, rows: Tensor, budget: int) -> list[Tensor]:
        """Cut rows (R,) of one sampler into passes of at most ``budget`` tokens: positions (r,) each."""
        if not self.packs:
            return split_by_tokens(encoded.row_lengths(rows), budget)
        prompts = encoded.prompts_of(rows)
        before = encoded.context_mask.sum(-1)[prompts]
        lengths = encoded.row_lengths(rows) - before
        cut = packed.packed_passes(prompts.tolist(), before.tolist(), lengths.tolist(), budget)
        return [torch.arange(start, end) for start, end in cut]

    def log_probs(self, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        """Of some rows (R,): (R, T), differentiable, nats; zeros outside the mask."""
        taken = encoded.take(rows)
        if not self._is_compared and self.packs:
            self._compare(_first_and_last(taken))
            self._is_compared = True
        log_probs = self._log_probs(packed.packed if self.packs else padded, self._read, taken)
        return torch.zeros(taken.mask.shape, device=log_probs.device).masked_scatter(taken.mask, log_probs)

    def _log_probs(self, make: MakePass, read: ReadPass, rows: EncodedRows) -> Tensor:
        implementation = packed.NAME if make is packed.packed else self._model.config._attn_implementation
        with attending(self._model, implementation):
            return self._forward[read](make(rows))

    def _compare(self, rows: EncodedRows) -> None:
        self.packs = self._agree((packed.packed, self._read), (padded, self._read), rows, AGREE)
        if not self.packs:
            _LOGGER.warning(
                "agent %r reads a prompt once for each answer: its attention is of another kind", self._name
            )

    @torch.no_grad()
    def _agree(
        self,
        fast: tuple[MakePass, ReadPass],
        plain: tuple[MakePass, ReadPass],
        rows: EncodedRows,
        tolerance: float,
    ) -> bool:
        """Whether two ways give the same numbers, on all ranks; tolerance in nats, for numbers above 1 nat of them."""
        device = rows.tokens.device
        with torch.autocast(device.type, enabled=False):
            expected = self._log_probs(*plain, rows)
            try:
                difference = _largest(self._log_probs(*fast, rows) - expected) / _largest(expected).clamp_min(1)
            except DOES_NOT_FIT:
                difference = torch.tensor(torch.inf, device=device)
        return bool((self._ranks.gather(difference[None], self._ranks.count) <= tolerance).all())


def _largest(values: Tensor) -> Tensor:
    """The largest size, 0 of none."""
    return pad(values.abs(), (0, 1)).max()


def _some_rows(model: Any, device: str) -> EncodedRows:
    """Three made-up responses to two prompts, as a model could read them."""
    ids = torch.arange(1, 25, device=device).view(3, 8) % model.config.get_text_config().vocab_size
    short = torch.arange(4, device=device) >= 2
    context_mask = torch.stack([short | True, short | True, short])
    mask = torch.arange(4, device=device) < torch.tensor([[4], [2], [3]], device=device)
    contexts = ids[[0, 0, 1], :4]
    return EncodedRows(torch.tensor([0, 0, 1], device=device), contexts, context_mask, ids[:, 4:], mask)


def _first_and_last(rows: EncodedRows) -> EncodedRows:
    count = len(rows.tokens)
    some: Sequence[int] = sorted({*range(min(count, COMPARED // 2)), *range(max(0, count - COMPARED // 2), count)})
    return EncodedRows(
        rows.prompts[some], rows.contexts[some], rows.context_mask[some], rows.tokens[some], rows.mask[some]
    )
