"""Agents of the token-chain world: six pairs, two for each kind of heterogeneity, with skills given before training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from envs.chain import ChainFeatures, ChainTask, ChainWorld, QuestionFeatures
from hacrl_lab.agents.base import Agent
from hacrl_lab.agents.networks import GRU, MLP, CausalNetwork, Linear, Transformer
from hacrl_lab.agents.neural import Features, NeuralAgent
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.teaching import teach

TASK = ChainTask(skills=4, symbols=4, shortest=1, longest=3)
WEIGHTS = 20  # key of random streams


@dataclass(frozen=True)
class AgentSpec:
    """One agent before training."""

    label: str
    network: Callable[[int, int], CausalNetwork]
    """From numbers of features and actions."""
    taught: tuple[int, ...]
    """The skills whose answers it is shown."""
    features: Callable[[ChainTask], Features] = ChainFeatures
    learning_rate: float = 0.01
    """Of Adam, in teaching and in training."""
    updates: int = 60
    """Of teaching."""


@dataclass(frozen=True)
class Team:
    """Agents that train together."""

    name: str
    heterogeneity: str
    """state, size or model (Definitions 2.1-2.3)."""
    agents: tuple[AgentSpec, ...]


FIRST, SECOND = (0, 1), (2, 3)  # the skills of the two agents of a pair
THREE, ONE = (0, 1, 2), (3,)


def mlp(hidden: int, taught: tuple[int, ...]) -> AgentSpec:
    """A multilayer perceptron that sees skill, last letter and letters to come."""
    return AgentSpec(f"MLP-{hidden}", partial(MLP, hidden=hidden), taught)


def gru(hidden: int, taught: tuple[int, ...]) -> AgentSpec:
    """A recurrent network with the same eyes."""
    return AgentSpec(f"GRU-{hidden}", partial(GRU, hidden=hidden), taught)


def transformer(width: int, taught: tuple[int, ...]) -> AgentSpec:
    """A small transformer with the same eyes."""
    return AgentSpec(
        f"transformer-{width}", partial(Transformer, width=width), taught, learning_rate=0.003, updates=100
    )


def table(taught: tuple[int, ...]) -> AgentSpec:
    """A linear policy that sees the number of the question: nothing carries over from one question to another."""
    return AgentSpec("table", Linear, taught, QuestionFeatures, learning_rate=0.05, updates=40)


PAIRS = (
    Team("MLP + MLP", "state", (mlp(32, FIRST), mlp(32, SECOND))),
    Team("GRU + GRU", "state", (gru(24, FIRST), gru(24, SECOND))),
    Team("small MLP + large MLP", "size", (mlp(16, ONE), mlp(64, THREE))),
    Team("small GRU + large GRU", "size", (gru(12, ONE), gru(32, THREE))),
    Team("MLP + transformer", "model", (mlp(32, FIRST), transformer(24, SECOND))),
    Team("table + GRU", "model", (table(FIRST), gru(24, SECOND))),
)
TEAMS = (
    PAIRS[0],
    Team("3 × MLP", "state", (mlp(32, (0,)), mlp(32, (1, 2)), mlp(32, (3,)))),
    Team("4 × MLP", "state", tuple(mlp(32, (skill,)) for skill in range(4))),
)
"""Teams of two, three and four that know all four skills between them."""


def make_agents(team: Team, world: ChainWorld, seeds: Sequence[int]) -> list[NeuralAgent]:
    """The agents of a team, one copy for every seed, each taught its skills."""
    agents = []
    for k, spec in enumerate(team.agents):
        features = spec.features(TASK)
        agent = NeuralAgent(
            f"{k + 1}: {spec.label}",
            spec.network(features.size, TASK.space.actions),
            features,
            TASK.space,
            RandomStream(seeds, WEIGHTS, k),
            partial(torch.optim.Adam, lr=spec.learning_rate),
        )
        questions = torch.arange(TASK.questions)
        known = questions[torch.isin(TASK.parts(questions)[0], torch.tensor(spec.taught))].expand(len(seeds), -1)
        teach(agent, known, _answers(world, known), spec.updates)
        agents.append(agent)
    return agents


@torch.no_grad()
def exact_success(agent: Agent, world: ChainWorld, seeds: Sequence[int]) -> np.ndarray:
    """The probability of the one right answer, mean over all questions, nothing sampled: (S,)."""
    questions = torch.arange(TASK.questions).expand(len(seeds), -1)
    encoded = agent.encode(questions, [(agent.name, _answers(world, questions))])
    log_probs = torch.where(encoded.mask, agent.token_log_probs(encoded), 0).sum(-1)  # (S, 1, questions, 1)
    return log_probs.exp().mean((-3, -2, -1)).numpy()


def _answers(world: ChainWorld, questions: Tensor) -> RolloutBatch:
    """The right answer to each question, as rollouts with G = 1."""
    tokens = torch.take_along_dim(world.answers, questions.unsqueeze(-1), dim=-2).unsqueeze(-2)
    mask = world.space.mask_of(tokens)
    return RolloutBatch(tokens, mask[..., 0], tokens, mask)
