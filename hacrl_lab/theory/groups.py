"""Expected baselines and advantages, over everything that the n·G rollouts of a prompt can be rewarded.

A baseline depends on a prompt's rewards only, not on the responses, and rewards take few values. So an expectation over
groups is a finite sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hacrl_lab.advantages import Baseline, group_advantages
from hacrl_lab.errors import SettingError
from hacrl_lab.theory.problems import Problem

Rule = Callable[[Tensor, Tensor, int], Tensor]
"""(rewards (..., n, 1, G), ω (..., n, n), learner) -> baseline or advantage, as in :mod:`hacrl_lab.advantages`."""


def centred(baseline: Baseline) -> Rule:
    """The advantage R − b, before dividing by the group's std."""
    return lambda rewards, ratios, learner: rewards - baseline(rewards, ratios, learner)


def standardised(baseline: Baseline) -> Rule:
    """The advantage (R − b)/(σ + 1e-6) that trains."""
    return lambda rewards, ratios, learner: group_advantages(rewards, baseline(rewards, ratios, learner))


@dataclass(frozen=True)
class RewardGroups:
    """All M = m^(nG) ways in which one prompt's n groups of G rollouts can be rewarded."""

    levels: Tensor
    """The m possible rewards, ascending: (m,)."""
    level_probabilities: Tensor
    """How likely each sampler is to get each: (..., n, m)."""
    rewards: Tensor
    """(M, n, 1, G)."""
    probabilities: Tensor
    """Probability of each of the M: (..., M)."""


def reward_groups(levels: Sequence[float], level_probabilities: Tensor, group_size: int) -> RewardGroups:
    """Enumerate the groups.

    Args:
        levels: m possible rewards.
        level_probabilities: (..., n, m), float64, adding up to 1 over the last axis.
        group_size: G.

    Raises:
        SettingError: more than a million groups.
    """
    samplers, count = level_probabilities.shape[-2], len(levels)
    rollouts = samplers * group_size
    if count**rollouts > 1e6:
        raise SettingError(f"there are {count}^{rollouts} groups, too many to list; use a smaller group_size")
    level = torch.arange(count**rollouts).unsqueeze(-1) // count ** torch.arange(rollouts) % count  # (M, nG)
    sampler = torch.arange(rollouts) // group_size
    values = torch.tensor(levels, dtype=torch.float64)
    return RewardGroups(
        levels=values,
        level_probabilities=level_probabilities,
        rewards=values[level].reshape(-1, samplers, 1, group_size),
        probabilities=level_probabilities[..., sampler, level].prod(-1),
    )


def problem_groups(problem: Problem, group_size: int) -> RewardGroups:
    """The reward groups of every prompt of a problem; leading axes (..., P)."""
    levels = problem.rewards.unique()  # ascending
    indicators = (problem.rewards.unsqueeze(-2) == levels.unsqueeze(-1)).double()  # (..., P, m, Y)
    probabilities = torch.stack([problem.log_probs(j).exp() for j in range(problem.agents)], dim=-2)  # (..., P, n, Y)
    return reward_groups(levels.tolist(), probabilities @ indicators.mT, group_size)


def expected_baseline(groups: RewardGroups, baseline: Rule, ratios: Tensor, learner: int) -> Tensor:
    """E[b] that the rollouts of each sampler are compared with: (..., n).

    Args:
        groups: leading axes (...).
        baseline: of :mod:`hacrl_lab.advantages`, for instance.
        ratios: ω in each of the M groups, (..., M, n, n); (..., 1, n, n) where it does not depend on them.
        learner: k.
    """
    values = baseline(groups.rewards, ratios, learner)
    return _expectation(groups, values.expand(torch.broadcast_shapes(values.shape, groups.rewards.shape)))


def expected_advantage(groups: RewardGroups, advantage: Rule, ratios: Tensor, learner: int) -> Tensor:
    """E[A] of a rollout of each sampler: (..., n). Arguments as for :func:`expected_baseline`."""
    return _expectation(groups, advantage(groups.rewards, ratios, learner))


@dataclass(frozen=True)
class ConditionalAdvantages:
    """E[A⁺ | R, sampler] and E[A⁻ | R, sampler]: what a rollout's advantage is on average, given its own reward.

    The two signs are kept apart because PPO's clip treats them differently, each linearly.
    """

    positive: Tensor
    """E[max(A, 0) | ...]: (..., n, m) by reward level or (..., n, P, Y) by response."""
    negative: Tensor
    """E[max(−A, 0) | ...]: same shape."""

    @property
    def mean(self) -> Tensor:
        """E[A | R, sampler]."""
        return self.positive - self.negative


def conditional_advantages(
    groups: RewardGroups, advantage: Rule, ratios: Tensor, learner: int
) -> ConditionalAdvantages:
    """The expected advantage of a rollout given its own reward, by sampler and reward level.

    Arguments as for :func:`expected_baseline`. A level that a sampler never reaches gets 0.
    """
    values = advantage(groups.rewards, ratios, learner)  # (..., M, n, 1, G)
    has_level = groups.rewards.unsqueeze(-1) == groups.levels  # (M, n, 1, G, m)
    reached = groups.level_probabilities > 0

    def given_level(part: Tensor) -> Tensor:
        share = (part.unsqueeze(-1) * has_level).mean(-2).squeeze(-2)  # (..., M, n, m)
        joint = (groups.probabilities[..., None, None] * share).sum(-3)
        return torch.where(reached, joint / groups.level_probabilities.clamp_min(1e-300), 0)

    return ConditionalAdvantages(given_level(values.clamp_min(0)), given_level((-values).clamp_min(0)))


def response_advantages(
    problem: Problem, group_size: int, advantage: Rule, ratios: Tensor, learner: int
) -> ConditionalAdvantages:
    """E[A | y, sampler] for every response of every prompt: (..., n, P, Y).

    Args:
        problem: leading axes (...).
        group_size: G.
        advantage: rule from rewards to advantages.
        ratios: ω, (..., n, n).
        learner: k.
    """
    groups = problem_groups(problem, group_size)
    by_level = conditional_advantages(groups, advantage, ratios[..., None, None, :, :], learner)  # (..., P, n, m)
    level = torch.searchsorted(groups.levels, problem.rewards)  # (..., P, Y)

    def by_response(part: Tensor) -> Tensor:
        index = level.unsqueeze(-2).expand(*part.shape[:-1], level.shape[-1])
        return part.gather(-1, index).movedim(-2, -3)

    return ConditionalAdvantages(by_response(by_level.positive), by_response(by_level.negative))


def _expectation(groups: RewardGroups, values: Tensor) -> Tensor:
    """(..., M, n, 1, G) -> (..., n): the mean over the group, then over the groups."""
    return (groups.probabilities.unsqueeze(-1) * values.mean(-1).squeeze(-1)).sum(-2)
