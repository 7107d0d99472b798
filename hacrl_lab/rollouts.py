"""What agents exchange, and how it looks in one agent's own token space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class TextPrompts:
    """P problems in words."""

    questions: Sequence[str]
    """What is asked."""
    answers: Sequence[str]
    """The exact answers, as LaTeX."""
    topics: Sequence[tuple[str, ...]]
    """What each problem is about, for tables by topic; may be empty."""


@dataclass(frozen=True)
class RolloutBatch:
    """One sampler's answers to P prompts, G each.

    ``responses`` is what other agents get to see: text, or actions. ``tokens`` stay with the sampler, which learns from
    exactly what it sampled rather than from its re-encoded text. All sampling is at temperature 1 without truncation
    (decision D10), so there are no sampling settings to record.
    """

    responses: Any
    """Nested list [P][G] of str, or an action array (..., P, G, T)."""
    finished: Tensor
    """True where the sampler stopped by itself, false where it was cut off: (..., P, G)."""
    tokens: Tensor
    """The sampler's own tokens, stop token included: (..., P, G, T)."""
    mask: Tensor
    """True on the response's tokens: (..., P, G, T)."""
    engine_log_probs: Tensor | None = None
    """Token log-probabilities as the generating engine reports them, nats: (..., P, G, T)."""

    @property
    def lengths(self) -> Tensor:
        """|y| in the sampler's own tokens: (..., P, G)."""
        return self.mask.sum(-1)


@dataclass(frozen=True)
class SharedPool:
    """One step's rollouts of all n agents."""

    prompts: Any
    """What was asked, in the world's own form."""
    batches: list[RolloutBatch]
    """By sampler."""
    rewards: Tensor
    """(..., n, P, G)."""
    old_log_probs: list[Tensor]
    """By sampler: its token log-probabilities of its own rollouts, (..., P, G, T); they stay with the sampler."""
    mean_log_probs: Tensor
    """Samplers' mean log-probabilities, nats per token: (..., n, P, G)."""
    engine_mismatch: list[Tensor | None]
    """By sampler: mean |engine's − recomputed| token log-probability, nats, (...); None without an engine's."""


@dataclass(frozen=True)
class EncodedRollouts:
    """The rollouts of n samplers in *one learner's* token space."""

    contexts: Tensor
    """The prompts: (..., P, C)."""
    context_mask: Tensor
    """True on the prompt's tokens: (..., P, C)."""
    tokens: Tensor
    """The responses: (..., n, P, G, T)."""
    mask: Tensor
    """True on the response's tokens: (..., n, P, G, T)."""
    observations: Tensor | None = None
    """In worlds that answer every action: what was seen before each token, (..., n, P, G, T, D)."""

    def select(self, prompts: Tensor) -> EncodedRollouts:
        """The rollouts of some prompts only.

        Args:
            prompts: indices into the prompt axis, (..., M); leading axes as in the arrays.
        """
        return EncodedRollouts(
            take_prompts(self.contexts, prompts, -2),
            take_prompts(self.context_mask, prompts, -2),
            take_prompts(self.tokens, prompts, -3),
            take_prompts(self.mask, prompts, -3),
            None if self.observations is None else take_prompts(self.observations, prompts, -4),
        )


def take_prompts(values: Tensor, prompts: Tensor, axis: int) -> Tensor:
    """Pick prompts along the (negative) prompt axis, each leading index its own.

    Args:
        values: (..., P, ...) with P at ``axis``.
        prompts: (..., M), integers in [0, P).

    >>> take_prompts(torch.tensor([[10, 11], [20, 21]]), torch.tensor([[1], [0]]), -1)
    tensor([[11],
            [20]])
    """
    leading, count = prompts.shape[:-1], prompts.shape[-1]
    between = values.ndim + axis - len(leading)
    index = prompts.reshape(*leading, *[1] * between, count, *[1] * (-axis - 1))
    return torch.take_along_dim(values, index.to(values.device), dim=axis)


def pad_stack(arrays: Sequence[Tensor], value: float) -> Tensor:
    """Stack (..., P, G, T_j) arrays of different lengths T_j to (..., n, P, G, max T), filled up with ``value``."""
    longest = max(array.shape[-1] for array in arrays)
    padded = [torch.nn.functional.pad(array, (0, longest - array.shape[-1]), value=value) for array in arrays]
    return torch.stack(padded, dim=-4)
