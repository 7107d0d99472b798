"""Skills and weaknesses before training: an agent is fitted to demonstrations by maximum likelihood."""

from __future__ import annotations

from typing import Any

from hacrl_lab.agent import Policy
from hacrl_lab.importance import mean_log_prob
from hacrl_lab.rollouts import RolloutBatch, take_rows

DEMONSTRATIONS = "demonstrations"
"""The sampler's name of demonstrations; no agent has it."""


def fit_demonstrations(policy: Policy, prompts: Any, demonstrations: RolloutBatch, updates: int) -> None:
    """Raise the mean log-probability per token of demonstrations, with the agent's own optimiser.

    What is demonstrated becomes a skill; demonstrations of some prompts only, or of wrong answers, make weaknesses.

    Args:
        policy: who learns; its optimiser's state is used and kept.
        prompts: P prompts of the agent's world.
        demonstrations: responses to them, from the sampler :data:`DEMONSTRATIONS`.
        updates: optimiser steps on all of them.

    Raises:
        ValueError: the agent is called like the demonstrations, or a negative number of updates.
    """
    if policy.name == demonstrations.sampler or updates < 0:
        raise ValueError(
            f"updates must be ≥ 0 and the agent not be called {demonstrations.sampler!r}, "
            f"got {updates} and {policy.name!r}"
        )
    encoded = policy.encode(prompts, [demonstrations])
    rows = encoded.rows()
    mask = take_rows(encoded.mask, rows, rest=1)
    for _ in range(updates):
        scores = mean_log_prob(policy.token_log_probs(encoded, rows), mask)
        loss = -scores.mean(-1).sum()  # one mean for every seed
        loss.backward()
        policy.apply_gradients()
