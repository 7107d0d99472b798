"""Six pairs of agents, two for each kind of heterogeneity, with skills given before training; larger teams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from hacrl_lab.agents.networks import GRU, MLP, CausalNetwork, Linear, Transformer

Eyes = Literal["parts", "number"]


@dataclass(frozen=True)
class AgentSpec:
    """One agent before training."""

    label: str
    network: Callable[[int, int], CausalNetwork]
    """From numbers of features and actions."""
    taught: tuple[int, ...]
    """The skills whose answers it is shown."""
    eyes: Eyes = "parts"
    """Whether it sees what a question is made of and what it has answered so far, or only the question's number."""
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
    """A multilayer perceptron."""
    return AgentSpec(f"MLP-{hidden}", partial(MLP, hidden=hidden), taught)


def gru(hidden: int, taught: tuple[int, ...]) -> AgentSpec:
    """A recurrent network."""
    return AgentSpec(f"GRU-{hidden}", partial(GRU, hidden=hidden), taught)


def transformer(width: int, taught: tuple[int, ...]) -> AgentSpec:
    """A small transformer."""
    return AgentSpec(
        f"transformer-{width}", partial(Transformer, width=width), taught, learning_rate=0.003, updates=100
    )


def table(taught: tuple[int, ...]) -> AgentSpec:
    """A linear policy that sees the number of the question: nothing carries over from one question to another."""
    return AgentSpec("table", Linear, taught, "number", learning_rate=0.05, updates=40)


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
