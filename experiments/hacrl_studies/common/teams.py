"""Six pairs of agents, two for each kind of heterogeneity, with skills given before training; larger teams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from hacrl_lab.agents.networks import GRU, MLP, CausalNetwork, Linear, Transformer
from hacrl_lab.errors import SettingError

Observation = Literal["parts", "number"]


@dataclass(frozen=True)
class AgentSpec:
    """One agent before training."""

    label: str
    """Shown in tables."""
    network: Callable[[int, int], CausalNetwork]
    """From numbers of features and actions."""
    skills: tuple[int, ...]
    """The skills of which it gets demonstrations."""
    observes: Observation = "parts"
    """Whether it observes what a question is made of and what it has answered so far, or only the question's number."""
    learning_rate: float = 0.01
    """Learning rate of Adam, before training and in training."""
    updates: int = 60
    """Optimiser steps on the demonstrations before training."""


@dataclass(frozen=True)
class Team:
    """Agents that train together."""

    name: str
    """Shown in tables and figures."""
    heterogeneity: str
    """state, size or model (Definitions 2.1-2.3)."""
    agents: tuple[AgentSpec, ...]

    @property
    def title(self) -> str:
        """Name and kind of heterogeneity."""
        return f"{self.name} ({self.heterogeneity})"

    @property
    def labels(self) -> list[str]:
        """The agents by number."""
        return [f"{k + 1}: {spec.label}" for k, spec in enumerate(self.agents)]


FIRST, SECOND = (0, 1), (2, 3)  # the skills of the two agents of a pair
THREE, ONE = (0, 1, 2), (3,)


def mlp(hidden: int, skills: tuple[int, ...]) -> AgentSpec:
    """A multilayer perceptron."""
    return AgentSpec(f"MLP-{hidden}", partial(MLP, hidden=hidden), skills)


def gru(hidden: int, skills: tuple[int, ...]) -> AgentSpec:
    """A recurrent network."""
    return AgentSpec(f"GRU-{hidden}", partial(GRU, hidden=hidden), skills)


def transformer(width: int, skills: tuple[int, ...]) -> AgentSpec:
    """A small transformer."""
    network = partial(Transformer, width=width)
    return AgentSpec(f"transformer-{width}", network, skills, learning_rate=0.003, updates=100)


def table(skills: tuple[int, ...]) -> AgentSpec:
    """A linear policy that observes the number of the question: nothing carries over from one question to another."""
    return AgentSpec("table", Linear, skills, "number", learning_rate=0.05, updates=40)


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


def check_pairs(pairs: tuple[int, ...], option: str) -> None:
    """Refuse a choice among the six pairs.

    Args:
        pairs: positions in :data:`PAIRS`.
        option: the name of the option.

    Raises:
        SettingError: none, one that does not exist, or one of them twice.
    """
    if not pairs or len(set(pairs)) < len(pairs) or not set(pairs) <= set(range(len(PAIRS))):
        raise SettingError(f"{option} must be different ones of 0 ... {len(PAIRS) - 1}, got {pairs}")
