"""The interfaces of an agent: what the training loop asks of it, and what the update asks of its policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.schedules import UpdatePlan
from hacrl_lab.seeding import RandomStream
from hacrl_lab.update import LearnerBatch, UpdateResult, score, split_by_tokens, update


class Agent(Protocol):
    """All that the training loop sees of a policy, in this process or in another.

    Agents are symmetric: none is a teacher. Shapes: P prompts, G rollouts a prompt, T tokens; leading axes (...) are
    those of the prompts, for instance many seeds that advance together.
    """

    @property
    def name(self) -> str:
        """Unique among the agents of a run; used in metrics and file names."""
        ...

    def generate(self, prompts: Any, group_size: int, stream: RandomStream) -> RolloutBatch:
        """Sample ``group_size`` responses to every prompt, at temperature 1 from the policy's whole distribution."""
        ...

    def score(self, prompts: Any, rollouts: RolloutBatch, plan: UpdatePlan, learner: int) -> Tensor:
        """Its own token log-probabilities of its rollouts, see :func:`hacrl_lab.update.score`: (..., P, G, T)."""
        ...

    def update(self, batch: LearnerBatch) -> UpdateResult:
        """Make a step's updates, see :func:`hacrl_lab.update.update`."""
        ...

    def save(self, folder: Path) -> None:
        """Write parameters and optimiser state into an empty folder, as safetensors and JSON."""
        ...

    def load(self, folder: Path) -> None:
        """Continue from :meth:`save`.

        Raises:
            CheckpointError: the folder holds another kind of agent, or files that cannot be read.
        """
        ...


class Policy(Protocol):
    """What the update asks of the learner whose parameters are in this process."""

    @property
    def name(self) -> str:
        """Name of the agent, for messages."""
        ...

    def encode(self, prompts: Any, pool: Sequence[RolloutBatch]) -> EncodedRollouts:
        """Bring the rollouts of n samplers into this agent's own token space.

        The agent's own rollouts keep the tokens that were sampled. A finished response ends with this agent's stop
        token, one that was cut off does not (decision 7).
        """
        ...

    def passes(self, encoded: EncodedRollouts, by_sampler: Sequence[Tensor]) -> list[Tensor]:
        """Cut each sampler's rows (..., R_j) into forward passes that fit into memory.

        With a bound on memory, a pass holds rows of one sampler, cut in a way that depends on these rows only: own
        rollouts are then in the same passes whoever else's rollouts an update holds.

        Returns:
            Positions in the samplers' rows one after the other, (..., r) each.
        """
        ...

    def token_log_probs(self, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        """Log π(y_t | prompt, y_<t) of every token of some rows (..., R), differentiable, nats: (..., R, T).

        T is the width of ``encoded.tokens``; outside the mask the values are finite and arbitrary.
        """
        ...

    def apply_gradients(self) -> Tensor:
        """One optimiser step with the gradients gathered since the last; returns their norm before clipping: (...).

        Raises:
            NonFiniteError: a gradient is inf or nan; nothing was changed.
        """
        ...


class LocalAgent(ABC):
    """An agent whose policy is in this process: it scores and learns by the shared functions of the update."""

    name: str
    """Unique among the agents of a run."""
    tokens_per_pass: int = 0
    """Tokens of prompts and responses in one forward and backward pass; 0 for no bound."""

    @abstractmethod
    def encode(self, prompts: Any, pool: Sequence[RolloutBatch]) -> EncodedRollouts:
        """See :class:`Policy`."""

    @abstractmethod
    def token_log_probs(self, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        """See :class:`Policy`."""

    @abstractmethod
    def apply_gradients(self) -> Tensor:
        """See :class:`Policy`."""

    def passes(self, encoded: EncodedRollouts, by_sampler: Sequence[Tensor]) -> list[Tensor]:
        """Longest rows first, at most :attr:`tokens_per_pass` tokens in a pass; without a bound all in one pass."""
        sizes = [rows.shape[-1] for rows in by_sampler]
        if self.tokens_per_pass == 0:
            return [torch.arange(sum(sizes)).expand(*by_sampler[0].shape[:-1], sum(sizes))]
        starts = [sum(sizes[:j]) for j in range(len(sizes))]
        return [
            start + positions
            for start, rows in zip(starts, by_sampler, strict=True)
            for positions in split_by_tokens(encoded.row_lengths(rows), self.tokens_per_pass)
        ]

    def score(self, prompts: Any, rollouts: RolloutBatch, plan: UpdatePlan, learner: int) -> Tensor:
        """See :class:`Agent`."""
        return score(self, prompts, rollouts, plan, learner)

    def update(self, batch: LearnerBatch) -> UpdateResult:
        """See :class:`Agent`."""
        return update(self, batch)
