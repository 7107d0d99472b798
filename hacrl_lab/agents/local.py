"""What the agents of this process share: they score and learn by the one update, in passes bounded by their tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hacrl_lab.divergence import LARGEST_DRIFT
from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.schedules import EmptyUpdates, UpdatePlan
from hacrl_lab.update import FirstPass, score, split_by_tokens, update


class LocalAgent(ABC):
    """An agent whose policy is in this process: it scores and learns by the shared functions of the update."""

    name: str
    """Unique among the agents of a run."""
    tokens_per_pass: int = 0
    """Tokens of prompts and responses in one forward and backward pass; 0 for no bound."""
    largest_drift: float = LARGEST_DRIFT
    """See :class:`hacrl_lab.agent.Policy`."""
    _first_pass: FirstPass | None = None

    @property
    def keeps_first_pass(self) -> bool:
        """See :class:`hacrl_lab.agent.Policy`."""
        return False

    @abstractmethod
    def encode(self, prompts: Any, pool: Sequence[RolloutBatch]) -> EncodedRollouts:
        """See :class:`hacrl_lab.agent.Policy`."""

    @abstractmethod
    def token_log_probs(self, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        """See :class:`hacrl_lab.agent.Policy`."""

    @abstractmethod
    def set_reference(self) -> None:
        """See :class:`hacrl_lab.agent.Agent`."""

    @abstractmethod
    def reference(self) -> AbstractContextManager[None]:
        """See :class:`hacrl_lab.agent.Policy`."""

    @abstractmethod
    def apply_gradients(self, empty: EmptyUpdates = "skip") -> Tensor:
        """See :class:`hacrl_lab.agent.Policy`."""

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
        """See :class:`hacrl_lab.agent.Agent`."""
        scores, self._first_pass = score(self, prompts, rollouts, plan, learner)
        return scores

    def update(self, batch: LearnerBatch) -> UpdateResult:
        """See :class:`hacrl_lab.agent.Agent`."""
        first, self._first_pass = self._first_pass, None
        result = update(self, batch, first)
        has_moved = any(bool((record.gradient_norm > 0).any()) for record in result.updates)
        return replace(result, diverged=self.divergence(batch)) if has_moved and not result.diverged else result

    @abstractmethod
    def divergence(self, batch: LearnerBatch) -> str:
        """Why the policy has diverged, asked after all updates of a step; empty if it has not.

        Args:
            batch: what it learned from.
        """
