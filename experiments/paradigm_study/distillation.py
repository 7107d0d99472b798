"""Distillation, one direction: a learner learns from a fixed teacher, off-policy or on-policy."""

from __future__ import annotations

from typing import Any

import torch

from hacrl_lab.agents.base import Agent, World
from hacrl_lab.config import TrainingConfig
from hacrl_lab.importance import masked_mean, mean_log_prob, pessimistic_surrogate, token_importance_ratio
from hacrl_lab.rollouts import take_prompts
from hacrl_lab.seeding import Seeds
from paradigm_study.base import Paradigm


class Distillation(Paradigm):
    """A learner and its teacher, who does not change.

    Args:
        agents: all agents of the pair.
        learner, teacher: their indices.
        world, config, seeds: see :class:`Paradigm`.
    """

    def __init__(
        self, agents: list[Agent], learner: int, teacher: int, world: World, config: TrainingConfig, seeds: Seeds
    ) -> None:
        super().__init__(world, config, seeds)
        self.index, self.teacher_index = learner, teacher
        self.learner, self.teacher = agents[learner], agents[teacher]


class OffPolicyDistillation(Distillation):
    """Maximum likelihood on the teacher's verified answers (rejection-sampling fine-tuning).

    J = Σ R(y)·1/|y| Σ_t log π(y_t) / Σ R(y) over a mini-batch of the teacher's answers; wrong ones are left out. The
    learner generates nothing.
    """

    def learn(self, prompts: Any) -> None:
        """The teacher answers, the world verifies, the learner imitates what is right."""
        batch = self.teacher.generate(prompts, self.config.group_size, self.generation_stream(self.teacher_index))
        rewards = self.world.verify(prompts, batch).unsqueeze(-3)  # (..., 1, P, G)
        encoded = self.learner.encode(prompts, [(self.teacher.name, batch)])
        for some in self.minibatch_indices(self.index):
            part, right = encoded.select(some), take_prompts(rewards, some, -2)
            scores = mean_log_prob(self.learner.token_log_probs(part), part.mask)
            likelihood = (scores * right).sum((-3, -2, -1)) / right.sum((-3, -2, -1)).clamp_min(1)
            (-likelihood.sum()).backward()
            self.learner.apply_gradients()


class OnPolicyDistillation(Distillation):
    """The reverse KL divergence from the teacher on the learner's own answers; nobody verifies.

    J = mean over tokens of min(r_t·A_t, clip(r_t)·A_t),  A_t = log π_teacher(y_t | y_<t) − log π_old(y_t | y_<t)

    At r = 1 its gradient is an unbiased sample of −∇ KL(π(·|y_<t) ‖ π_teacher(·|y_<t)), summed over the prefixes that
    the learner itself reaches (Agarwal et al. 2024, "On-Policy Distillation of Language Models", arXiv:2306.13649).

    Raises:
        ValueError: (in ``learn``) the teacher does not have the learner's tokens.
    """

    def learn(self, prompts: Any) -> None:
        """The learner answers, the teacher says of every token how likely it would have been."""
        batch = self.learner.generate(prompts, self.config.group_size, self.generation_stream(self.index))
        pool = [(self.learner.name, batch)]
        encoded, as_teacher = self.learner.encode(prompts, pool), self.teacher.encode(prompts, pool)
        if not torch.equal(encoded.tokens, as_teacher.tokens):
            raise ValueError("on-policy distillation compares token by token; learner and teacher need one tokenizer")
        with torch.no_grad():
            old = self.learner.token_log_probs(encoded)
            advantages = self.teacher.token_log_probs(as_teacher) - old
        low, high = 1 - self.config.epsilon_low, 1 + self.config.epsilon_high
        for some in self.minibatch_indices(self.index):
            part = encoded.select(some)
            ratio = token_importance_ratio(self.learner.token_log_probs(part), take_prompts(old, some, -3), part.mask)
            surrogate = pessimistic_surrogate(ratio, take_prompts(advantages, some, -3), low, high)
            (-masked_mean(surrogate.flatten(-4), part.mask.flatten(-4)).sum()).backward()
            self.learner.apply_gradients()
