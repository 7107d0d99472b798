"""Worlds of numbered questions: the token chain and the contextual bandit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from envs.bandit import BanditWorld, ContextFeatures, bandit_world
from envs.chain import ChainFeatures, ChainTask, ChainWorld, QuestionFeatures, chain_world
from hacrl_lab.agents.base import Agent
from hacrl_lab.agents.neural import Features, NeuralAgent
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.teaching import teach
from study.base import WEIGHTS, StudyWorld
from study.teams import Eyes, Team

AnswerWorldT = TypeVar("AnswerWorldT", ChainWorld, BanditWorld)


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
