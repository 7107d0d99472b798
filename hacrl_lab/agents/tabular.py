"""Autoregressive softmax tables: small enough for exact enumeration, batched over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from hacrl_lab.errors import NonFiniteError
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch, pad_stack
from hacrl_lab.seeding import RandomStream


class TabularAgent:
    """A softmax table: π(a | context, y_<t) = softmax(logits[context, row])[a].

    What the agent remembers of its own response decides the rows of its table: one for every *prefix*, one for every
    *position*, or a single one for the *prompt*, from which all actions are drawn alike.

    Args:
        name: unique name.
        logits: initial table, (..., contexts, rows, actions), rows being ``space.prefixes``, ``space.length`` or 1.
            Leading axes are independent copies of the agent, one per seed.
        space: what the agent can say.
        optimizer: from the list of parameters to an elementwise optimiser, so that seeds stay independent.
    """

    def __init__(
        self,
        name: str,
        logits: Tensor,
        space: ResponseSpace,
        optimizer: Callable[[list[Tensor]], Optimizer] = lambda parameters: torch.optim.SGD(parameters, lr=1.0),
    ) -> None:
        _check_table(logits, space)
        self.name = name
        self.space = space
        self.logits = logits.clone().requires_grad_()
        self._optimizer = optimizer([self.logits])

    def generate(self, prompts: Tensor, group_size: int, stream: RandomStream) -> RolloutBatch:
        """Sample by inverse transform; prompts are context indices (..., P)."""
        uniforms = stream.uniform(prompts.shape[-1], group_size, self.space.length)  # (..., P, G, T)
        with torch.no_grad():
            cumulative = self.logits.softmax(-1).cumsum(-1).flatten(-3, -2)  # (..., contexts·rows, A)
        actions = torch.zeros(uniforms.shape, dtype=torch.int64)
        for t in range(self.space.length):
            row = table_rows(self.space, self.logits.shape[-2], actions[..., : t + 1])[..., t]
            edges = _gather_rows(cumulative, prompts.unsqueeze(-1) * self.logits.shape[-2] + row)  # (..., P, G, A)
            actions[..., t] = (uniforms[..., t, None] >= edges[..., :-1]).sum(-1)
        mask = self.space.mask_of(actions)
        stopped = (actions == self.space.symbols).any(-1)
        finished = stopped if self.space.stops else torch.ones_like(stopped)
        return RolloutBatch(actions * mask, finished, actions * mask, mask)

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
        row = contexts * self.logits.shape[-2] + table_rows(self.space, self.logits.shape[-2], encoded.tokens)
        return _gather_rows(table, row).gather(-1, encoded.tokens.unsqueeze(-1)).squeeze(-1)

    @torch.no_grad()
    def response_log_probs(self) -> Tensor:
        """Log π(y | context) of every possible response, in the order of their numbers: (..., contexts, Y)."""
        return response_log_probs(self.logits, self.space)

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


def table_rows(space: ResponseSpace, rows: int, tokens: Tensor) -> Tensor:
    """The row of a table with ``rows`` rows from which each action is drawn: (..., T) -> (..., T).

    The number of rows says what the table remembers: one row for every prefix, for every position, or only one.
    (Where two of these numbers are equal, so are the tables.)
    """
    if rows == space.prefixes:
        return space.prefix_index(tokens).clamp_max(rows - 1)  # after the end of a cut-off response there is no row
    positions = torch.arange(tokens.shape[-1]).expand(tokens.shape)
    return positions if rows == space.length else torch.zeros_like(positions)


def response_log_probs(logits: Tensor, space: ResponseSpace) -> Tensor:
    """Log π(y) of every response of a softmax table, by enumeration, differentiable, nats.

    Args:
        logits: (..., rows, actions), rows as for :class:`TabularAgent`.
        space: what can be said.

    Returns:
        (..., Y), in the order of the responses' numbers. The probabilities add up to 1.
    """
    _check_table(logits, space)
    rows, actions = logits.shape[-2:]
    cell = table_rows(space, rows, space.tokens) * actions + space.tokens  # (Y, T)
    token_log_probs = logits.log_softmax(-1).flatten(-2)[..., cell]
    return torch.where(space.mask, token_log_probs, 0).sum(-1)


def _check_table(logits: Tensor, space: ResponseSpace) -> None:
    allowed = (space.prefixes, space.length, 1)
    if logits.shape[-2] not in allowed or logits.shape[-1] != space.actions:
        raise ValueError(
            f"logits must have shape (..., rows, {space.actions}) with {allowed[0]} rows (one per prefix), "
            f"{allowed[1]} (one per position) or 1 (per prompt), got {tuple(logits.shape)}"
        )


def _gather_rows(table: Tensor, rows: Tensor) -> Tensor:
    """Rows of a table (..., R, A) at indices (..., *shape), leading axes matched: (..., *shape, A)."""
    leading = table.ndim - 2
    flat = rows.flatten(leading) if rows.ndim > leading else rows.unsqueeze(-1)
    picked = torch.take_along_dim(table, flat.unsqueeze(-1), dim=-2)
    return picked.reshape(*rows.shape, table.shape[-1])
