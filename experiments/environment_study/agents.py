"""The five environments and the pair of agents that plays each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import torch
from torch import Tensor

from envs.episodes import EnvironmentStarts, EpisodeWorld, reached_the_end, return_above
from envs.experts import demonstrate, optimal_policy
from envs.views import View, as_it_is, card_sum_only, pole_signs, row_and_column, taxi_parts
from hacrl_lab.agents.episodic import Episodes, EpisodicAgent, Vocabulary
from hacrl_lab.agents.networks import MLP, CausalNetwork, Linear
from hacrl_lab.seeding import PURPOSES, RandomStream
from hacrl_lab.teaching import teach

WEIGHTS, LESSONS = PURPOSES + 10, PURPOSES + 11  # keys of random streams
AGENTS = ("single moves", "macro-moves")


@dataclass(frozen=True)
class Setting:
    """An environment, what counts as success, and two agents."""

    name: str
    environment: str
    """Gymnasium id."""
    about: str
    """For the reader."""
    success: Callable[[Episodes], Tensor]
    max_steps: int
    """Moves of an episode."""
    steps: int
    """Training steps."""
    other_view: View
    """How the second agent sees."""
    starts: int = 1
    """Different initial states."""
    taught: int = 0
    """Updates of maximum likelihood on demonstrations before training; each agent is shown half of the starts."""
    learning_rate: float = 0.02
    """Of Adam."""
    options: tuple[tuple[str, Any], ...] = ()
    """Of the environment."""

    def world(self) -> EpisodeWorld:
        """The world, made anew."""
        make = partial(gymnasium.make, self.environment, disable_env_checker=True, **dict(self.options))
        return EpisodeWorld(make, self.success, self.max_steps, self.starts)

    def description(self) -> dict[str, Any]:
        """What results depend on, for the record; functions by name and arguments."""
        plain = ("name", "environment", "about", "max_steps", "steps", "starts", "taught", "learning_rate", "options")
        code = {name: _named(getattr(self, name)) for name in ("success", "other_view")}
        return {**{name: getattr(self, name) for name in plain}, **code}


def _named(function: Callable[..., Any]) -> list[Any]:
    """A function's name and the arguments that were filled in."""
    if isinstance(function, partial):
        return [function.func.__name__, *function.args, *sorted(function.keywords.items())]
    return [function.__name__]


def make_agents(setting: Setting, world: EpisodeWorld, seeds: Sequence[int]) -> list[EpisodicAgent]:
    """A linear policy in single moves and a multilayer one with macro-moves and another view, taught if need be."""
    agents = []
    for k, (name, pairs, view) in enumerate(zip(AGENTS, (False, True), (as_it_is, setting.other_view), strict=True)):
        vocabulary = Vocabulary(world.moves, pairs)
        features = view(torch.zeros(1, world.observation_size, dtype=torch.float64)).shape[-1]
        network: CausalNetwork = MLP(features, vocabulary.size) if pairs else Linear(features, vocabulary.size)
        optimizer = partial(torch.optim.Adam, lr=setting.learning_rate)
        agent = EpisodicAgent(name, network, view, vocabulary, RandomStream(seeds, WEIGHTS, k), optimizer)
        if setting.taught:
            starts = EnvironmentStarts(world, world.starts[k::2].expand(len(seeds), -1))
            policy = optimal_policy(world.env)
            teach(agent, starts, demonstrate(starts, policy, 4, 0.2, RandomStream(seeds, LESSONS, k)), setting.taught)
        agents.append(agent)
    return agents


ENVIRONMENTS = {
    setting.name: setting
    for setting in (
        Setting(
            "FrozenLake",
            "FrozenLake-v1",
            "success is the goal within 30 moves; the ice does not slip. The second agent sees row and column apart.",
            return_above(0.5),
            max_steps=30,
            steps=30,
            other_view=partial(row_and_column, 4),
            options=(("is_slippery", False),),
        ),
        Setting(
            "CliffWalking",
            "CliffWalking-v1",
            "success is the goal within 60 moves, falls allowed. The second agent sees row and column apart.",
            reached_the_end,
            max_steps=60,
            steps=30,
            other_view=partial(row_and_column, 12),
        ),
        Setting(
            "Taxi",
            "Taxi-v4",
            "success is a delivered passenger within 30 moves, 32 initial states; each agent was shown half of them, "
            "with one move in five at random. The second agent sees the parts of the state apart.",
            reached_the_end,
            max_steps=30,
            steps=30,
            other_view=taxi_parts,
            starts=32,
            taught=20,
        ),
        Setting(
            "Blackjack",
            "Blackjack-v1",
            "success is a won hand, 256 deals. The second agent does not see the dealer's card.",
            return_above(0.5),
            max_steps=10,
            steps=60,
            other_view=card_sum_only,
            starts=256,
        ),
        Setting(
            "CartPole",
            "CartPole-v1",
            "success is 80 moves without falling, 64 initial states. The second agent sees the four numbers squashed.",
            return_above(79.5),
            max_steps=80,
            steps=25,
            other_view=pole_signs,
            starts=64,
        ),
    )
}
