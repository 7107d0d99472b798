"""What several test files do with a pool of rollouts."""

from __future__ import annotations

from torch import Tensor

from hacrl_lab.agent import Policy
from hacrl_lab.rollouts import EncodedRollouts


def pool_log_probs(policy: Policy, encoded: EncodedRollouts) -> Tensor:
    """A policy's token log-probabilities of all rollouts of a pool, in one pass: (..., n, P, G, T)."""
    return policy.token_log_probs(encoded, encoded.rows()).unflatten(-2, encoded.pool_shape)
