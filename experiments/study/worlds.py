"""The worlds of the studies: questions of four skills, agents that are taught some, and how success is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Generic, TypeVar

import gymnasium
import numpy as np
import torch
from torch import Tensor

from envs.bandit import BanditWorld, ContextFeatures, bandit_world
from envs.chain import ChainFeatures, ChainTask, ChainWorld, QuestionFeatures, chain_world
from envs.episodes import EnvironmentStarts, EpisodeWorld, return_above
from envs.experts import demonstrate, optimal_policy
from envs.views import View, as_it_is, row_and_column
from hacrl_lab.agents.base import Agent, World
from hacrl_lab.agents.episodic import EpisodicAgent, Vocabulary
from hacrl_lab.agents.neural import Features, NeuralAgent
from hacrl_lab.evaluation import evaluate
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.teaching import teach
from study.teams import Eyes, Team

WEIGHTS, LESSONS = 20, 21  # keys of random streams
EVALUATION = 10**6  # added to a seed, so that evaluation draws other numbers than training
SKILLS = 4

WorldT = TypeVar("WorldT", bound=World)
AgentT = TypeVar("AgentT", bound=Agent)
AnswerWorldT = TypeVar("AnswerWorldT", ChainWorld, BanditWorld)


class StudyWorld(ABC, Generic[WorldT, AgentT]):
    """A kind of world with all that a study needs of it; its questions ask for four skills."""

    name: str
    """On the command line."""
    title: str
    """In figures."""

    @abstractmethod
    def sizes(self) -> dict[str, Any]:
        """What results depend on, and what the pages say."""

    @abstractmethod
    def world(self, seeds: Sequence[int]) -> WorldT:
        """One world for every seed."""

    @abstractmethod
    def make_agents(self, team: Team, world: WorldT, seeds: Sequence[int]) -> list[AgentT]:
        """The agents of a team, one copy for every seed, each taught its skills."""

    @abstractmethod
    def success(self, agent: Agent, world: WorldT, seeds: Sequence[int]) -> np.ndarray:
        """How often an agent succeeds, mean over all questions: (S,)."""


class AnswerStudy(StudyWorld[AnswerWorldT, NeuralAgent]):
    """A world of numbered questions with known right answers, so that success is exact."""

    space: ResponseSpace
    """What can be answered."""
    skills: Tensor
    """Which skill each question asks for, 0 ... 3: (questions,)."""
    eyes: Mapping[Eyes, Features]
    """How agents may see a question."""

    @abstractmethod
    def right_answers(self, world: AnswerWorldT) -> Tensor:
        """All right answers to every question, (S, questions, R, T); everyone is taught the first."""

    def make_agents(self, team: Team, world: AnswerWorldT, seeds: Sequence[int]) -> list[NeuralAgent]:
        """Networks that are shown a right answer to every question of their skills."""
        agents = []
        for k, spec in enumerate(team.agents):
            features = self.eyes[spec.eyes]
            agent = NeuralAgent(
                f"{k + 1}: {spec.label}",
                spec.network(features.size, self.space.actions),
                features,
                self.space,
                RandomStream(seeds, WEIGHTS, k),
                partial(torch.optim.Adam, lr=spec.learning_rate),
            )
            known = torch.arange(len(self.skills))[torch.isin(self.skills, torch.tensor(spec.taught))]
            lesson = self.right_answers(world)[:, known, :1]
            teach(agent, known.expand(len(seeds), -1), self._rollouts(lesson), spec.updates)
            agents.append(agent)
        return agents

    @torch.no_grad()
    def success(self, agent: Agent, world: AnswerWorldT, seeds: Sequence[int]) -> np.ndarray:
        """The probability of a right answer, nothing sampled."""
        answers = self.right_answers(world)
        questions = torch.arange(len(self.skills)).expand(len(seeds), -1)
        encoded = agent.encode(questions, [(agent.name, self._rollouts(answers))])
        log_probs = torch.where(encoded.mask, agent.token_log_probs(encoded), 0).sum(-1)  # (S, 1, questions, R)
        return log_probs.exp().sum(-1).mean((-2, -1)).numpy()

    def _rollouts(self, answers: Tensor) -> RolloutBatch:
        """Given answers as rollouts."""
        mask = self.space.mask_of(answers)
        return RolloutBatch(answers, mask[..., 0], answers, mask)


class ChainStudy(AnswerStudy[ChainWorld]):
    """The token chain."""

    name = "chain"
    title = "Token chain"

    def __init__(self, task: ChainTask) -> None:
        self.task = task
        self.space = task.space
        self.skills, _, _ = task.parts(torch.arange(task.questions))
        self.eyes = {"parts": ChainFeatures(task), "number": QuestionFeatures(task)}

    def sizes(self) -> dict[str, Any]:
        """Of the task."""
        return asdict(self.task)

    def world(self, seeds: Sequence[int]) -> ChainWorld:
        """Rules of its own for every seed."""
        return chain_world(list(seeds), self.task)

    def right_answers(self, world: ChainWorld) -> Tensor:
        """There is one."""
        return world.answers.unsqueeze(-2)


class BanditStudy(AnswerStudy[BanditWorld]):
    """The contextual bandit; a skill is a quarter of the contexts, and nothing carries over between them but habits."""

    name = "bandit"
    title = "Contextual bandit"

    def __init__(self, contexts: int, actions: int, length: int, right_share: float) -> None:
        self.contexts, self.right_share = contexts, right_share
        self.space = ResponseSpace(actions, length)
        self.skills = torch.arange(contexts) * 4 // contexts
        self.eyes = {
            "parts": ContextFeatures(contexts, self.space, remembers=True),
            "number": ContextFeatures(contexts, self.space, remembers=False),
        }

    def sizes(self) -> dict[str, Any]:
        """Of the table of right answers."""
        sizes: dict[str, Any] = {"contexts": self.contexts, "actions": self.space.symbols, "length": self.space.length}
        return {**sizes, "right_share": self.right_share}

    def world(self, seeds: Sequence[int]) -> BanditWorld:
        """A table of right answers of its own for every seed."""
        return bandit_world(list(seeds), self.contexts, self.space.symbols, self.space.length, self.right_share)

    def right_answers(self, world: BanditWorld) -> Tensor:
        """The same number in every context."""
        right = int(world.answers[0, 0].sum())
        numbers = world.answers.int().argsort(dim=-1, descending=True, stable=True)[..., :right]
        return self.space.tokens[numbers]


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


CHAIN = ChainStudy(ChainTask(skills=4, symbols=4, shortest=1, longest=3))
BANDIT = BanditStudy(contexts=16, actions=4, length=3, right_share=0.05)
LAKE = LakeStudy(
    ("SFFFFFS", "FHFFFHF", "FFFHFFF", "FFHGFFF", "FFFFHFF", "FHFFFHF", "SFFFFFS"),
    max_steps=14,
    lessons=8,
    mistakes=0.1,
    share_of_updates=0.5,
    episodes=8,
)
WORLDS: Mapping[str, StudyWorld[Any, Any]] = {study.name: study for study in (CHAIN, BANDIT, LAKE)}
