"""Autoregressive softmax tables: small enough for exact enumeration, batched over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from hacrl_lab.errors import NonFiniteError
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch, pad_stack
from hacrl_lab.seeding import RandomStream


def prefix_count(actions: int, length: int) -> int:
    """The number of prefixes of fewer than ``length`` actions: Σ_{t<length} actions^t."""
    return sum(actions**t for t in range(length))


def prefix_index(sequences: Tensor, actions: int) -> Tensor:
    """A number for the prefix *before* each position, in order of length, then of actions.

    Args:
        sequences: actions in [0, ``actions``), shape (..., T).

    Returns:
        Shape (..., T); position t holds the index of (y_1 ... y_{t−1}) among all prefixes.

    >>> prefix_index(torch.tensor([1, 0, 1]), actions=2)
    tensor([0, 2, 5])
    """
    index = torch.zeros_like(sequences)
    for t in range(1, sequences.shape[-1]):
        index[..., t] = index[..., t - 1] * actions + sequences[..., t - 1] + 1
    return index


class TabularAgent:
    """A softmax policy with one logit per (context, prefix, action): π(a | context, y_<t) = softmax(table)[a].

    Args:
        name: unique name.
        logits: initial table, (..., contexts, prefixes, actions), with ``prefix_count(actions, length)`` prefixes.
            Leading axes are independent copies of the agent, one per seed.
        length: T, actions in a response.
        optimizer: from the list of parameters to an elementwise optimiser, so that seeds stay independent.
    """

    def __init__(
        self,
        name: str,
        logits: Tensor,
        length: int,
        optimizer: Callable[[list[Tensor]], Optimizer] = lambda parameters: torch.optim.SGD(parameters, lr=1.0),
    ) -> None:
        self.name = name
        self.actions = logits.shape[-1]
        self.length = length
        if logits.shape[-2] != prefix_count(self.actions, length):
            raise ValueError(
                f"logits must have {prefix_count(self.actions, length)} prefixes for {self.actions} actions and "
                f"length {length}, got {logits.shape[-2]}"
            )
        self.logits = logits.clone().requires_grad_()
        self._optimizer = optimizer([self.logits])

    def generate(self, prompts: Tensor, group_size: int, stream: RandomStream) -> RolloutBatch:
        """Sample by inverse transform; prompts are context indices (..., P)."""
        uniforms = stream.uniform(prompts.shape[-1], group_size, self.length)  # (..., P, G, T)
        with torch.no_grad():
            cumulative = self.logits.softmax(-1).cumsum(-1).flatten(-3, -2)  # (..., contexts·prefixes, A)
        prefix = torch.zeros(uniforms.shape[:-1], dtype=torch.int64)  # (..., P, G)
        actions = torch.empty(uniforms.shape, dtype=torch.int64)
        for t in range(self.length):
            row = prompts.unsqueeze(-1) * self.logits.shape[-2] + prefix
            edges = _gather_rows(cumulative, row)  # (..., P, G, A)
            action = (uniforms[..., t, None] >= edges[..., :-1]).sum(-1)
            actions[..., t] = action
            prefix = prefix * self.actions + action + 1
        everything = torch.ones_like(actions, dtype=torch.bool)
        return RolloutBatch(actions, everything[..., 0], actions, everything)

    def encode(self, prompts: Tensor, pool: Sequence[tuple[str, RolloutBatch]]) -> EncodedRollouts:
        """Actions are their own tokens: responses are taken as they are."""
        tokens = pad_stack([batch.responses for _, batch in pool], 0)
        mask = pad_stack([batch.mask for _, batch in pool], False)
        contexts = prompts.unsqueeze(-1)
        return EncodedRollouts(contexts, torch.ones_like(contexts, dtype=torch.bool), tokens, mask)

    def token_log_probs(self, encoded: EncodedRollouts) -> Tensor:
        """Table look-ups, (..., n, P, G, T)."""
        table = self.logits.log_softmax(-1).flatten(-3, -2)
        contexts = encoded.contexts[..., None, :, None, :]  # (..., 1, P, 1, 1)
        row = contexts * self.logits.shape[-2] + prefix_index(encoded.tokens, self.actions)
        return _gather_rows(table, row).gather(-1, encoded.tokens.unsqueeze(-1)).squeeze(-1)

    @torch.no_grad()
    def response_log_probs(self) -> Tensor:
        """Log π(y | context) of every possible response, by enumeration: (..., contexts, actions^length).

        Responses are in the order of their numbers, the first action most significant.
        """
        table = self.logits.log_softmax(-1)
        log_probs = torch.zeros_like(table[..., :1, 0])  # of the one empty prefix
        start = 0
        for t in range(self.length):
            level = table[..., start : start + self.actions**t, :]  # (..., contexts, actions^t, actions)
            log_probs = (log_probs.unsqueeze(-1) + level).flatten(-2)
            start += self.actions**t
        return log_probs

    def apply_gradients(self) -> Tensor:
        """One optimiser step; the norm is each seed's own."""
        gradient = self.logits.grad
        assert gradient is not None, "apply_gradients needs a backward pass first"
        norm = gradient.flatten(-3).norm(dim=-1)
        if not bool(torch.isfinite(norm).all()):
            raise NonFiniteError(f"the gradient of agent {self.name!r} is not finite; the update was not applied")
        self._optimizer.step()
        self._optimizer.zero_grad()
        return norm

    def state_dict(self) -> dict[str, Any]:
        """The table and the optimiser's state."""
        return {"logits": self.logits.detach(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        with torch.no_grad():
            self.logits.copy_(state["logits"])
        self._optimizer.load_state_dict(state["optimizer"])


def _gather_rows(table: Tensor, rows: Tensor) -> Tensor:
    """Rows of a table (..., R, A) at indices (..., *shape), leading axes matched: (..., *shape, A)."""
    leading = table.ndim - 2
    flat = rows.flatten(leading) if rows.ndim > leading else rows.unsqueeze(-1)
    picked = torch.take_along_dim(table, flat.unsqueeze(-1), dim=-2)
    return picked.reshape(*rows.shape, table.shape[-1])
