"""Distillation in one direction: a learner learns from a fixed teacher, off-policy or on-policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from hacrl_lab.baselines.base import BaselineTrainer, TrainableAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.importance import masked_mean, mean_log_prob, ppo_surrogate, token_importance_ratio
from hacrl_lab.rollouts import take_rows
from hacrl_lab.seeding import Seeds
from hacrl_lab.worlds import World


class Distillation(BaselineTrainer):
    """A learner and its teacher, which does not change.

    Args:
        agents: all agents of the run.
        learner, teacher: their indices.
        world, config, seeds: see :class:`BaselineTrainer`.
    """

    def __init__(
        self,
        agents: Sequence[TrainableAgent],
        learner: int,
        teacher: int,
        world: World,
        config: TrainingConfig,
        seeds: Seeds,
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
        encoded = self.learner.encode(prompts, [batch])
        for some in self.minibatches(self.index):
            rows = encoded.rows(prompts=some)
            right, mask = take_rows(rewards, rows), take_rows(encoded.mask, rows, rest=1)
            scores = mean_log_prob(self.learner.token_log_probs(encoded, rows), mask)
            likelihood = (scores * right).sum(-1) / right.sum(-1).clamp_min(1)
            (-likelihood.sum()).backward()
            self.learner.apply_gradients()


class OnPolicyDistillation(Distillation):
    """The reverse KL divergence from the teacher on the learner's own answers; nothing is verified.

    J = mean over tokens of min(r_t·A_t, clip(r_t)·A_t),  A_t = log π_teacher(y_t | y_<t) − log π_old(y_t | y_<t)

    At r = 1 its gradient is an unbiased sample of −∇ KL(π(·|y_<t) ‖ π_teacher(·|y_<t)), summed over the prefixes that
    the learner itself reaches (Agarwal et al. 2024, "On-Policy Distillation of Language Models", arXiv:2306.13649).

    Raises:
        ValueError: (in ``learn``) the teacher does not have the learner's tokens.
    """

    def learn(self, prompts: Any) -> None:
        """The learner answers, the teacher says of every token how likely it would have been."""
        batch = self.learner.generate(prompts, self.config.group_size, self.generation_stream(self.index))
        encoded, as_teacher = self.learner.encode(prompts, [batch]), self.teacher.encode(prompts, [batch])
        if not torch.equal(encoded.tokens, as_teacher.tokens):
            raise ValueError("on-policy distillation compares token by token; learner and teacher need one tokenizer")
        with torch.no_grad():
            old, theirs = (
                agent.token_log_probs(pool, pool.rows()).reshape(pool.mask.shape)
                for agent, pool in ((self.learner, encoded), (self.teacher, as_teacher))
            )
            advantages = theirs - old  # (..., 1, P, G, T)
        for some in self.minibatches(self.index):
            rows = encoded.rows(prompts=some)
            before, gains, mask = (take_rows(values, rows, rest=1) for values in (old, advantages, encoded.mask))
            ratio = token_importance_ratio(self.learner.token_log_probs(encoded, rows), before, mask)
            surrogate = ppo_surrogate(ratio, gains, *self.clip_bounds)
            (-masked_mean(surrogate.flatten(-2), mask.flatten(-2)).sum()).backward()
            self.learner.apply_gradients()
