"""Two tabular agents on bandits whose gap, overlap and distance are set one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from hacrl_envs.bandit import BanditWorld
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.importance import sequence_importance_ratio
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_studies.common.testbeds import BANDIT

NAMES = ("stronger", "weaker")


@dataclass(frozen=True)
class MapPoint:
    """A point of the map, every coordinate in [0, 1]."""

    gap: float
    """How much less the weaker agent prefers the right answers that it knows: 0 as much, 1 not at all."""
    overlap: float
    """Share of the contexts that the stronger agent knows, that the weaker one knows too; each knows half of all."""
    distance: float
    """1 − the correlation of the two agents' habits, their preferences that have nothing to do with reward."""


def make_agents(
    point: MapPoint, world: BanditWorld, seeds: Sequence[int], knowledge: float, learning_rate: float
) -> list[TabularAgent]:
    """The stronger and the weaker agent, one copy for every seed.

    Logits are habits, N(0, 1) for every prefix and action, plus ``knowledge`` along one right answer in the contexts
    that the agent knows: 0 ... C/2 − 1 for the stronger, as many from (1 − overlap)·C/2 on for the weaker.
    """
    space, contexts = world.space, world.answers.shape[-2]
    path = BANDIT.right_answers(world)[..., 0, :]  # (S, contexts, T)
    cells = space.prefix_index(path) * space.actions + path
    shape = contexts, space.prefixes, space.actions
    first, fresh = (torch.special.ndtri(RandomStream(seeds, Stream.HABITS, k).uniform(*shape)) for k in range(2))
    kinship = 1 - point.distance
    habits = first, kinship * first + (1 - kinship**2) ** 0.5 * fresh
    begins = 0, round((1 - point.overlap) * contexts / 2)
    agents = []
    for name, logits, begin, strength in zip(NAMES, habits, begins, (1.0, 1 - point.gap), strict=True):
        known = (torch.arange(contexts) >= begin) & (torch.arange(contexts) < begin + contexts // 2)
        bonus = knowledge * strength * known.double()
        logits = logits.clone()
        logits.flatten(-2).scatter_add_(-1, cells, bonus[:, None].expand(cells.shape))
        agents.append(TabularAgent(name, logits, space, partial(torch.optim.Adam, lr=learning_rate)))
    return agents


@torch.no_grad()
def mean_cross_ratios(agents: Sequence[TabularAgent], world: BanditWorld) -> Tensor:
    """E_Q[s] of each agent on the other's answers, exact, mean over contexts: (agents, S)."""
    log_probs = [agent.response_log_probs() / world.space.length for agent in agents]  # nats per token
    means = []
    for learner, sampler in ((0, 1), (1, 0)):
        ratio = sequence_importance_ratio(log_probs[learner], log_probs[sampler])
        weight = (log_probs[sampler] * world.space.length).exp()
        means.append((weight * ratio).sum(-1).mean(-1))
    return torch.stack(means)
