"""Skills and weaknesses before training: an agent learns demonstrations by maximum likelihood."""

from __future__ import annotations

from typing import Any

from hacrl_lab.agents.base import Agent
from hacrl_lab.importance import mean_log_prob
from hacrl_lab.rollouts import RolloutBatch

TEACHER = "teacher"
"""Name under which demonstrations reach an agent; no agent has it."""


def teach(agent: Agent, prompts: Any, demonstrations: RolloutBatch, updates: int) -> None:
    """Raise the mean log-probability per token of demonstrations, with the agent's own optimiser.

    What is demonstrated becomes a skill; teaching some prompts only, or wrong answers to some, makes weaknesses.

    Args:
        agent: who learns; its optimiser's state is used and kept.
        prompts: P prompts of the agent's world.
        demonstrations: responses to them, as any other agent would share them.
        updates: optimiser steps on all of them.

    Raises:
        ValueError: the agent is called like the teacher, or a negative number of updates.
    """
    if agent.name == TEACHER or updates < 0:
        raise ValueError(f"the agent must not be called {TEACHER!r} and updates be ≥ 0, got {agent.name!r}, {updates}")
    encoded = agent.encode(prompts, [(TEACHER, demonstrations)])
    for _ in range(updates):
        scores = mean_log_prob(agent.token_log_probs(encoded), encoded.mask)
        loss = -scores.mean((-3, -2, -1)).sum()  # one mean for every seed
        loss.backward()
        agent.apply_gradients()
