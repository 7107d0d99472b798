"""A Gymnasium environment in which the teams of the studies walk: FrozenLake on a map of our own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch

from hacrl_envs.episodes import EpisodeWorld, return_above
from hacrl_envs.experts import demonstrate, optimal_policy
from hacrl_lab.agent import Agent
from hacrl_lab.agents.episodic import EpisodicAgent, Vocabulary
from hacrl_lab.agents.views import View, as_it_is, row_and_column
from hacrl_lab.demonstrations import fit_demonstrations
from hacrl_lab.evaluation import evaluate
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_studies.common.teams import Observation, Team
from hacrl_studies.common.testbed import Testbed

EVALUATION = 10**6  # added to a seed, so that evaluation draws other numbers than training
SKILLS = 4


class FrozenLakeTestbed(Testbed[EpisodeWorld, EpisodicAgent]):
    """Gymnasium's FrozenLake on a map of our own: a skill is the way to the goal from one of four corners.

    Args:
        rows: the map.
        max_steps: moves after which an episode is cut off.
        demonstrations: that an agent gets of each of its ways.
        mistakes: probability of a random move in a demonstration.
        share_of_updates: of those that a team makes on its demonstrations in the other testbeds.
        episodes: in which success is measured, from each corner.
    """

    name = "frozen_lake"
    title = "FrozenLake"

    def __init__(
        self,
        rows: Sequence[str],
        max_steps: int,
        demonstrations: int,
        mistakes: float,
        share_of_updates: float,
        episodes: int,
    ) -> None:
        self.answers = f"up to {max_steps}"
        self.rows, self.max_steps, self.episodes = tuple(rows), max_steps, episodes
        self.demonstrations, self.mistakes, self.share_of_updates = demonstrations, mistakes, share_of_updates

    def sizes(self) -> dict[str, Any]:
        """Settings of the map, the demonstrations and the measurement."""
        names = ("rows", "max_steps", "demonstrations", "mistakes", "share_of_updates", "episodes")
        return {name: getattr(self, name) for name in names}

    def world(self, seeds: Sequence[int]) -> EpisodeWorld:
        """The same map for every seed."""
        make = partial(gymnasium.make, "FrozenLake-v1", desc=self.rows, is_slippery=False, disable_env_checker=True)
        return EpisodeWorld(make, return_above(0.5), self.max_steps, a_seed_for_each_start(make(), SKILLS))

    def make_agents(self, team: Team, world: EpisodeWorld, seeds: Sequence[int]) -> list[EpisodicAgent]:
        """Networks that get demonstrations of the shortest way from their corners, now and then with a mistake."""
        vocabulary = Vocabulary(world.moves)
        views: dict[Observation, View] = {"parts": partial(row_and_column, len(self.rows[0])), "number": as_it_is}
        agents = []
        for k, (label, spec) in enumerate(zip(team.labels, team.agents, strict=True)):
            view = views[spec.observes]
            features = view(torch.zeros(1, world.observation_size, dtype=torch.float64)).shape[-1]
            agent = EpisodicAgent(
                label,
                spec.network(features, vocabulary.size),
                view,
                vocabulary,
                RandomStream(seeds, Stream.TEAM_WEIGHTS, k),
                partial(torch.optim.Adam, lr=spec.learning_rate),
            )
            starts = world.starts_at(world.starts[list(spec.skills)].expand(len(seeds), -1))
            stream = RandomStream(seeds, Stream.TEAM_DEMONSTRATIONS, k)
            shown = demonstrate(starts, optimal_policy(world.env), self.demonstrations, self.mistakes, stream)
            fit_demonstrations(agent, starts, shown, round(spec.updates * self.share_of_updates))
            agents.append(agent)
        return agents

    def success(self, agent: Agent, world: EpisodeWorld, seeds: Sequence[int]) -> np.ndarray:
        """Sampled, from every corner; an agent draws the same numbers whenever it is asked."""
        starts = world.starts_at(world.starts.expand(len(seeds), -1))
        unseen = [EVALUATION + seed for seed in seeds]
        return evaluate([agent], world, starts, self.episodes, unseen)[agent.name].mean(-1)


def a_seed_for_each_start(env: gymnasium.Env[Any, Any], starts: int) -> list[int]:
    """The first seeds of ``reset`` that give all initial states, in the order of the states.

    Raises:
        ValueError: a thousand seeds give fewer states.
    """
    seed_of_start: dict[int, int] = {}
    for seed in range(1000):
        seed_of_start.setdefault(int(env.reset(seed=seed)[0]), seed)
        if len(seed_of_start) == starts:
            return [seed_of_start[state] for state in sorted(seed_of_start)]
    raise ValueError(f"a thousand seeds give {len(seed_of_start)} initial states, expected {starts}")
