"""What agents exchange, and how it looks in one agent's own token space.

A rollout of a pool is addressed by its *row*: the flat index of (sampler, prompt, group member) in a pool of n
samplers, P prompts and G rollouts each. A forward pass takes any rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class RolloutBatch:
    """One sampler's answers to P prompts, G each.

    ``responses`` is what other agents get to see: text, actions or episodes. ``tokens`` stay with the sampler, which
    learns from exactly what it sampled rather than from its re-encoded text. All sampling is at temperature 1 without
    truncation (decision 10), so there are no sampling settings to record.
    """

    sampler: str
    """Name of the agent that sampled, or of what else the responses come from."""
    responses: Any
    """Nested list [P][G] of str, an action array (..., P, G, T), or :class:`hacrl_lab.worlds.Episodes`."""
    finished: Tensor
    """True where the sampler stopped by itself, false where it was cut off: (..., P, G)."""
    tokens: Tensor | None = None
    """The sampler's own tokens, stop token included: (..., P, G, T). None in what others see."""
    mask: Tensor | None = None
    """True on the tokens of the response: (..., P, G, T). None in what others see."""
    engine_log_probs: Tensor | None = None
    """Token log-probabilities as the generating engine reports them, nats: (..., P, G, T)."""
    opening: str = ""
    """What the sampler's prompts wrote already of every text, such as ``<think>``. Others do not read it, since it was
    not sampled; who verifies does, see :attr:`whole_texts`."""

    @property
    def whole_texts(self) -> list[list[str]]:
        """Responses in words as they are verified, [P][G]: from the opening on."""
        return [[self.opening + text for text in group] for group in self.responses]

    def shared(self) -> RolloutBatch:
        """What the other agents see: responses without the sampler's tokens."""
        return replace(self, tokens=None, mask=None, engine_log_probs=None)

    @property
    def own_tokens(self) -> tuple[Tensor, Tensor]:
        """Tokens and mask.

        Raises:
            ValueError: this is what another agent shared.
        """
        if self.tokens is None or self.mask is None:
            raise ValueError(f"the rollouts of {self.sampler!r} were shared without their tokens")
        return self.tokens, self.mask

    @property
    def lengths(self) -> Tensor:
        """|y| in the sampler's own tokens: (..., P, G)."""
        return self.own_tokens[1].sum(-1)


@dataclass(frozen=True)
class EngineMismatch:
    """How far the log-probabilities of what generated are from those of what is trained, for one sampler's rollouts.

    d = engine's − recomputed log-probability of a sampled token, nats.
    """

    mean: Tensor
    """Mean of |d| over tokens, then over rollouts: (...)."""
    largest: Tensor
    """Largest |d|: (...)."""
    kl: Tensor
    """KL divergence of the trained policy from what generated, by k3, the mean of exp(−d) − 1 + d over tokens, then
    over rollouts: (...)."""


def engine_mismatch(engine: Tensor, recomputed: Tensor, mask: Tensor) -> EngineMismatch:
    """Compare two log-probabilities of the same sampled tokens.

    Args:
        engine, recomputed: nats, (..., P, G, T).
        mask: true on the tokens of the responses.

    >>> one = engine_mismatch(torch.tensor([[[-1.0, -2.0]]]), torch.tensor([[[-1.5, -2.0]]]), torch.ones(1, 1, 2) > 0)
    >>> float(one.mean), float(one.largest)
    (0.25, 0.5)
    """
    gap = torch.where(mask, engine - recomputed, 0)
    tokens = mask.sum(-1).clamp_min(1)
    mean, kl = ((values.sum(-1) / tokens).mean((-2, -1)) for values in (gap.abs(), torch.expm1(-gap) + gap))
    return EngineMismatch(mean, gap.abs().amax((-3, -2, -1)), kl)


@dataclass(frozen=True)
class SharedPool:
    """One step's rollouts of all n agents."""

    prompts: Any
    """What was asked, in the world's own form."""
    batches: list[RolloutBatch]
    """Rollouts by sampler."""
    rewards: Tensor
    """(..., n, P, G)."""
    old_log_probs: list[Tensor]
    """By sampler: its token log-probabilities of its own rollouts, (..., P, G, T); they stay with the sampler."""
    mean_log_probs: Tensor
    """Samplers' mean log-probabilities, nats per token: (..., n, P, G)."""
    engine_mismatch: list[EngineMismatch | None]
    """By sampler; None where what generated reports no log-probabilities."""
    undecided_shares: list[float]
    """By sampler: the share of its rollouts on which the world's verifier reached no verdict."""


@dataclass(frozen=True)
class EncodedRows:
    """Some rollouts of a pool in one learner's token space; R rows, in any order."""

    prompts: Tensor
    """The position of each rollout's prompt among the P prompts: (..., R)."""
    contexts: Tensor
    """The prompts themselves, left-padded: (..., R, C)."""
    context_mask: Tensor
    """True on the prompt's tokens: (..., R, C)."""
    tokens: Tensor
    """The responses, right-padded: (..., R, T)."""
    mask: Tensor
    """True on the tokens of the response: (..., R, T)."""
    observations: Tensor | None = None
    """In worlds that answer every action, the observation before each token: (..., R, T, D)."""


@dataclass(frozen=True)
class EncodedRollouts:
    """The rollouts of n samplers in *one learner's* token space."""

    contexts: Tensor
    """The prompts, left-padded: (..., P, C)."""
    context_mask: Tensor
    """True on the prompt's tokens: (..., P, C)."""
    tokens: Tensor
    """The responses, right-padded: (..., n, P, G, T)."""
    mask: Tensor
    """True on the tokens of the response: (..., n, P, G, T)."""
    observations: Tensor | None = None
    """In worlds that answer every action, the observation before each token: (..., n, P, G, T, D)."""

    @property
    def pool_shape(self) -> tuple[int, int, int]:
        """(n, P, G)."""
        n, prompts, group = self.tokens.shape[-4:-1]
        return n, prompts, group

    def rows(self, samplers: Sequence[int] | None = None, prompts: Tensor | None = None) -> Tensor:
        """The rows of some samplers' rollouts of some prompts; see :func:`pool_rows`. By default all: (..., R)."""
        n, count, _ = self.pool_shape
        leading = self.tokens.shape[:-4]
        everyone = range(n) if samplers is None else samplers
        every_prompt = torch.arange(count).expand(*leading, count) if prompts is None else prompts
        return pool_rows(self.pool_shape, everyone, every_prompt)

    def take(self, rows: Tensor) -> EncodedRows:
        """The rollouts of some rows.

        Args:
            rows: (..., R), with the leading axes of the arrays.
        """
        prompts = self.prompts_of(rows)
        contexts, context_mask = (
            torch.take_along_dim(values, prompts.unsqueeze(-1), dim=-2) for values in (self.contexts, self.context_mask)
        )
        tokens, mask = (take_rows(values, rows, rest=1) for values in (self.tokens, self.mask))
        observations = None if self.observations is None else take_rows(self.observations, rows, rest=2)
        return EncodedRows(prompts, contexts, context_mask, tokens, mask, observations)

    def prompts_of(self, rows: Tensor) -> Tensor:
        """The position of each row's prompt among the P prompts: (..., R)."""
        _, count, group = self.pool_shape
        return (rows // group % count).to(self.tokens.device)

    def row_lengths(self, rows: Tensor) -> Tensor:
        """Tokens of prompt and response of each row: (..., R)."""
        prompt_lengths = self.context_mask.sum(-1).gather(-1, self.prompts_of(rows))
        return prompt_lengths + take_rows(self.mask.sum(-1), rows)


def pool_rows(pool_shape: tuple[int, int, int], samplers: Sequence[int], prompts: Tensor) -> Tensor:
    """The rows of some samplers' rollouts of some prompts, sampler by sampler, then prompt by prompt.

    Args:
        pool_shape: (n, P, G).
        samplers: positions in the pool.
        prompts: positions of prompts, (..., M); leading axes may differ in their prompts.

    Returns:
        (..., len(samplers)·M·G).

    >>> pool_rows((2, 3, 2), [1], torch.tensor([2, 0]))
    tensor([10, 11,  6,  7])
    """
    _, count, group = pool_shape
    groups = torch.tensor(list(samplers), dtype=torch.int64)[:, None] * count + prompts.unsqueeze(-2)  # (..., s, M)
    return (groups.unsqueeze(-1) * group + torch.arange(group)).flatten(-3)


def take_rows(values: Tensor, rows: Tensor, rest: int = 0) -> Tensor:
    """The values of some rollouts of a pool.

    Args:
        values: (..., n, P, G, *rest).
        rows: (..., R), with the leading axes of the values.
        rest: number of axes after G.

    Returns:
        (..., R, *rest).

    >>> take_rows(torch.tensor([[[10, 11], [20, 21]]]), torch.tensor([3, 0]))
    tensor([21, 10])
    """
    flat = values.flatten(values.ndim - rest - 3, values.ndim - rest - 1)
    index = rows.reshape(*rows.shape, *[1] * rest).to(values.device)
    return torch.take_along_dim(flat, index, dim=-1 - rest)


def put_rows(values: Tensor, rows: Tensor, new: Tensor) -> Tensor:
    """A copy of a pool's token values in which some rollouts have others; differentiable in both.

    Args:
        values: (..., n, P, G, T).
        rows: (..., R), each at most once.
        new: (..., R, T).
    """
    index = rows.unsqueeze(-1).expand(new.shape).to(values.device)
    return values.flatten(-4, -2).scatter(-2, index, new).reshape(values.shape)


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
