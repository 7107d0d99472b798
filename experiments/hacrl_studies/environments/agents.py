"""The five environments and the pair of agents that plays each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import gymnasium
import torch
from torch import Tensor

from hacrl_envs.episodes import EpisodeWorld, reached_the_end, return_above
from hacrl_envs.experts import demonstrate, optimal_policy
from hacrl_lab.agents.episodic import EpisodicAgent, Vocabulary
from hacrl_lab.agents.networks import MLP, CausalNetwork, Linear
from hacrl_lab.agents.views import View, as_it_is, card_sum_only, pole_signs, row_and_column, taxi_parts
from hacrl_lab.demonstrations import fit_demonstrations
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.worlds import Episodes

AGENTS = ("single moves", "macro-moves")


@dataclass(frozen=True)
class Setting:
    """An environment, what counts as success, and two agents."""

    name: str
    environment: str
    """Gymnasium id."""
    about: str
    """Shown on the page."""
    success: Callable[[Episodes], Tensor]
    max_steps: int
    """Moves of an episode."""
    steps: int
    """Training steps."""
    other_view: View
    """The second agent's observation."""
    starts: int = 1
    """Different initial states."""
    demonstration_updates: int = 0
    """Updates of maximum likelihood on demonstrations before training; each agent is shown half of the starts."""
    learning_rate: float = 0.02
    """Learning rate of Adam."""
    options: tuple[tuple[str, Any], ...] = ()
    """Keyword arguments of the environment."""

    def world(self) -> EpisodeWorld:
        """The world, made anew."""
        make = partial(gymnasium.make, self.environment, disable_env_checker=True, **dict(self.options))
        return EpisodeWorld(make, self.success, self.max_steps, self.starts)

    def description(self) -> dict[str, Any]:
        """What results depend on, for the record; functions by name and arguments."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "about"}
        return {name: _named(value) if callable(value) else value for name, value in values.items()}


def _named(function: Callable[..., Any]) -> list[Any]:
    """A function's name and the arguments that were filled in."""
    if isinstance(function, partial):
        return [function.func.__name__, *function.args, *sorted(function.keywords.items())]
    return [function.__name__]


def make_agents(setting: Setting, world: EpisodeWorld, seeds: Sequence[int]) -> list[EpisodicAgent]:
    """A linear policy in single moves and a multilayer one with macro-moves and another view of the state.

    Where the setting asks for it, each is fitted to demonstrations from its half of the starts.
    """
    agents = []
    for k, (name, pairs, view) in enumerate(zip(AGENTS, (False, True), (as_it_is, setting.other_view), strict=True)):
        vocabulary = Vocabulary(world.moves, pairs)
        features = view(torch.zeros(1, world.observation_size, dtype=torch.float64)).shape[-1]
        network: CausalNetwork = MLP(features, vocabulary.size) if pairs else Linear(features, vocabulary.size)
        optimizer = partial(torch.optim.Adam, lr=setting.learning_rate)
        weights = RandomStream(seeds, Stream.ENVIRONMENT_WEIGHTS, k)
        agent = EpisodicAgent(name, network, view, vocabulary, weights, optimizer)
        if setting.demonstration_updates:
            starts = world.starts_at(world.starts[k::2].expand(len(seeds), -1))
            stream = RandomStream(seeds, Stream.ENVIRONMENT_DEMONSTRATIONS, k)
            shown = demonstrate(starts, optimal_policy(world.env), 4, 0.2, stream)
            fit_demonstrations(agent, starts, shown, setting.demonstration_updates)
        agents.append(agent)
    return agents


ENVIRONMENTS = {
    setting.name: setting
    for setting in (
        Setting(
            "FrozenLake",
            "FrozenLake-v1",
            "success is the goal within 30 moves; the ice does not slip. The second agent observes row and column "
            "apart.",
            return_above(0.5),
            max_steps=30,
            steps=30,
            other_view=partial(row_and_column, 4),
            options=(("is_slippery", False),),
        ),
        Setting(
            "CliffWalking",
            "CliffWalking-v1",
            "success is the goal within 60 moves, falls allowed. The second agent observes row and column apart.",
            reached_the_end,
            max_steps=60,
            steps=30,
            other_view=partial(row_and_column, 12),
        ),
        Setting(
            "Taxi",
            "Taxi-v4",
            "success is a delivered passenger within 30 moves, 32 initial states; each agent was shown half of them, "
            "with one move in five at random. The second agent observes the parts of the state apart.",
            reached_the_end,
            max_steps=30,
            steps=30,
            other_view=taxi_parts,
            starts=32,
            demonstration_updates=20,
        ),
        Setting(
            "Blackjack",
            "Blackjack-v1",
            "success is a won hand, 256 deals. The second agent does not observe the dealer's card.",
            return_above(0.5),
            max_steps=10,
            steps=60,
            other_view=card_sum_only,
            starts=256,
        ),
        Setting(
            "CartPole",
            "CartPole-v1",
            "success is 80 moves without falling, 64 initial states. The second agent observes the four numbers "
            "squashed.",
            return_above(79.5),
            max_steps=80,
            steps=25,
            other_view=pole_signs,
            starts=64,
        ),
    )
}
