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

from hacrl_envs.bandit import BanditWorld, ContextFeatures, bandit_world
from hacrl_envs.chain import ChainFeatures, ChainTask, ChainWorld, QuestionFeatures, chain_world
from hacrl_lab.agent import Policy
from hacrl_lab.agents.neural import Features, NeuralAgent
from hacrl_lab.demonstrations import DEMONSTRATIONS, fit_demonstrations
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_studies.common.teams import Observation, Team
from hacrl_studies.common.testbed import Testbed

QuestionWorldT = TypeVar("QuestionWorldT", ChainWorld, BanditWorld)


class QuestionTestbed(Testbed[QuestionWorldT, NeuralAgent]):
    """A world of numbered questions with known right answers, so that success is exact."""

    space: ResponseSpace
    """What can be answered."""
    skills: Tensor
    """Which skill each question asks for, 0 ... 3: (questions,)."""
    features: Mapping[Observation, Features]
    """How agents may observe a question."""

    @abstractmethod
    def right_answers(self, world: QuestionWorldT) -> Tensor:
        """All right answers to every question, (S, questions, R, T); the first is the one that is demonstrated."""

    def make_agents(self, team: Team, world: QuestionWorldT, seeds: Sequence[int]) -> list[NeuralAgent]:
        """Networks that get a right answer to every question of their skills."""
        agents = []
        for k, (label, spec) in enumerate(zip(team.labels, team.agents, strict=True)):
            features = self.features[spec.observes]
            agent = NeuralAgent(
                label,
                spec.network(features.size, self.space.actions),
                features,
                self.space,
                RandomStream(seeds, Stream.TEAM_WEIGHTS, k),
                partial(torch.optim.Adam, lr=spec.learning_rate),
            )
            known = torch.arange(len(self.skills))[torch.isin(self.skills, torch.tensor(spec.skills))]
            answers = self.right_answers(world)[:, known, :1]
            questions = known.expand(len(seeds), -1)
            fit_demonstrations(agent, questions, self._rollouts(DEMONSTRATIONS, answers), spec.updates)
            agents.append(agent)
        return agents

    @torch.no_grad()
    def success(self, agent: Policy, world: QuestionWorldT, seeds: Sequence[int]) -> np.ndarray:
        """The probability of a right answer, nothing sampled."""
        answers = self.right_answers(world)
        questions = torch.arange(len(self.skills)).expand(len(seeds), -1)
        encoded = agent.encode(questions, [self._rollouts(agent.name, answers)])
        rows = encoded.rows()
        log_probs = agent.token_log_probs(encoded, rows).reshape(encoded.mask.shape)  # (S, 1, questions, R, T)
        return torch.where(encoded.mask, log_probs, 0).sum(-1).exp().sum(-1).mean((-2, -1)).numpy()

    def _rollouts(self, sampler: str, answers: Tensor) -> RolloutBatch:
        """Given answers as rollouts of somebody."""
        mask = self.space.mask_of(answers)
        return RolloutBatch(sampler, answers, mask[..., 0], answers, mask)


class ChainTestbed(QuestionTestbed[ChainWorld]):
    """The token chain."""

    name = "chain"
    title = "Token chain"

    def __init__(self, task: ChainTask) -> None:
        self.task = task
        self.answers = f"{task.shortest + 1} to {task.longest + 1}"  # with the end
        self.space = task.space
        self.skills, _, _ = task.parts(torch.arange(task.questions))
        self.features = {"parts": ChainFeatures(task), "number": QuestionFeatures(task)}

    def sizes(self) -> dict[str, Any]:
        """Settings of the task."""
        return asdict(self.task)

    def world(self, seeds: Sequence[int]) -> ChainWorld:
        """Rules of its own for every seed."""
        return chain_world(list(seeds), self.task)

    def right_answers(self, world: ChainWorld) -> Tensor:
        """There is one."""
        return world.answers.unsqueeze(-2)


class BanditTestbed(QuestionTestbed[BanditWorld]):
    """The contextual bandit; a skill is a quarter of the contexts, and nothing carries over between them but habits."""

    name = "bandit"
    title = "Contextual bandit"

    def __init__(self, contexts: int, actions: int, length: int, right_share: float) -> None:
        self.contexts, self.right_share = contexts, right_share
        self.answers = str(length)
        self.space = ResponseSpace(actions, length)
        self.skills = torch.arange(contexts) * 4 // contexts
        self.features = {
            "parts": ContextFeatures(contexts, self.space, remembers=True),
            "number": ContextFeatures(contexts, self.space, remembers=False),
        }

    def sizes(self) -> dict[str, Any]:
        """Settings of the table of right answers."""
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
