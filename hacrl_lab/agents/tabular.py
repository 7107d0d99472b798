"""Autoregressive softmax tables: small enough for exact enumeration, batched over seeds."""

from __future__ import annotations

import torch
from torch import Tensor

from hacrl_lab.agents.actions import ActionAgent, MakeOptimizer, plain_ascent
from hacrl_lab.responses import ResponseSpace


class TabularAgent(ActionAgent):
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
        self, name: str, logits: Tensor, space: ResponseSpace, optimizer: MakeOptimizer = plain_ascent
    ) -> None:
        _check_table(logits, space)
        super().__init__(name, space, {"logits": logits}, optimizer, leading=logits.ndim - 3)

    @property
    def logits(self) -> Tensor:
        """The table, (..., contexts, rows, actions)."""
        return self.parameters["logits"]

    def action_logits(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """Table look-ups, (..., R, T, actions)."""
        rows = self.logits.shape[-2]
        row = prompts.unsqueeze(-1) * rows + table_rows(self.space, rows, tokens)
        return _gather_rows(self.logits.flatten(-3, -2), row)

    @torch.no_grad()
    def response_log_probs(self) -> Tensor:
        """Log π(y | context) of every possible response, in the order of their numbers: (..., contexts, Y)."""
        return response_log_probs(self.logits, self.space)


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
