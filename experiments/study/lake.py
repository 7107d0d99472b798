"""A Gymnasium environment in which the teams of the studies walk: FrozenLake on a map of our own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch

from envs.episodes import EnvironmentStarts, EpisodeWorld, return_above
from envs.experts import demonstrate, optimal_policy
from envs.views import View, as_it_is, row_and_column
from hacrl_lab.agents.base import Agent
from hacrl_lab.agents.episodic import EpisodicAgent, Vocabulary
from hacrl_lab.evaluation import evaluate
from hacrl_lab.seeding import RandomStream
from hacrl_lab.teaching import teach
from study.base import LESSONS, WEIGHTS, StudyWorld
from study.teams import Eyes, Team

EVALUATION = 10**6  # added to a seed, so that evaluation draws other numbers than training
SKILLS = 4


class LakeStudy(StudyWorld[EpisodeWorld, EpisodicAgent]):
    """Gymnasium's FrozenLake on a map of our own: a skill is the way to the goal from one of four corners.

    Args:
        rows: the map.
        max_steps: moves after which an episode is cut off.
        lessons: demonstrations that an agent sees of each of its ways.
        mistakes: probability of a random move in a demonstration.
        share_of_updates: of those by which a team is taught elsewhere.
        episodes: in which success is measured, from each corner.
    """

    name = "lake"
    title = "Frozen lake"

    def __init__(
        self,
        rows: Sequence[str],
        max_steps: int,
        lessons: int,
        mistakes: float,
        share_of_updates: float,
        episodes: int,
    ) -> None:
        self.rows, self.max_steps, self.episodes = tuple(rows), max_steps, episodes
        self.lessons, self.mistakes, self.share_of_updates = lessons, mistakes, share_of_updates

    def sizes(self) -> dict[str, Any]:
        """Of the map, the lessons and the measurement."""
        names = ("rows", "max_steps", "lessons", "mistakes", "share_of_updates", "episodes")
        return {name: getattr(self, name) for name in names}

    def world(self, seeds: Sequence[int]) -> EpisodeWorld:
        """The same lake for every seed."""
        make = partial(gymnasium.make, "FrozenLake-v1", desc=self.rows, is_slippery=False, disable_env_checker=True)
        return EpisodeWorld(make, return_above(0.5), self.max_steps, a_seed_for_each_start(make(), SKILLS))

    def make_agents(self, team: Team, world: EpisodeWorld, seeds: Sequence[int]) -> list[EpisodicAgent]:
        """Networks that are shown the shortest way from their corners, now and then with a mistake."""
        vocabulary = Vocabulary(world.moves)
        views: dict[Eyes, View] = {"parts": partial(row_and_column, len(self.rows[0])), "number": as_it_is}
        agents = []
        for k, spec in enumerate(team.agents):
            view = views[spec.eyes]
            features = view(torch.zeros(1, world.observation_size, dtype=torch.float64)).shape[-1]
            agent = EpisodicAgent(
                f"{k + 1}: {spec.label}",
                spec.network(features, vocabulary.size),
                view,
                vocabulary,
                RandomStream(seeds, WEIGHTS, k),
                partial(torch.optim.Adam, lr=spec.learning_rate),
            )
            starts = EnvironmentStarts(world, world.starts[list(spec.taught)].expand(len(seeds), -1))
            stream = RandomStream(seeds, LESSONS, k)
            lesson = demonstrate(starts, optimal_policy(world.env), self.lessons, self.mistakes, stream)
            teach(agent, starts, lesson, round(spec.updates * self.share_of_updates))
            agents.append(agent)
        return agents

    def success(self, agent: Agent, world: EpisodeWorld, seeds: Sequence[int]) -> np.ndarray:
        """Sampled, from every corner; an agent draws the same numbers whenever it is asked."""
        starts = EnvironmentStarts(world, world.starts.expand(len(seeds), -1))
        unseen = [EVALUATION + seed for seed in seeds]
        return evaluate([agent], world, starts, self.episodes, unseen)[agent.name].mean(-1)


def a_seed_for_each_start(env: gymnasium.Env[Any, Any], starts: int) -> list[int]:
    """The first seeds of ``reset`` that give all initial states, in the order of the states.

    Raises:
        ValueError: a thousand seeds give fewer states.
    """
    found: dict[int, int] = {}
    for seed in range(1000):
        found.setdefault(int(env.reset(seed=seed)[0]), seed)
        if len(found) == starts:
            return [found[state] for state in sorted(found)]
    raise ValueError(f"a thousand seeds give {len(found)} initial states, expected {starts}")
