"""The twins of the exact quantities: the same numbers from the functions that train.

:func:`enumerated_gradients` gives the real objective every possible response, weighted by its probability, and agrees
with the exact gradient to rounding. :func:`sampled_gradients` runs all steps: agents that sample, groups, baseline,
standard deviation, objective, backward pass, and agrees on average over many independent steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.importance import mean_log_prob
from hacrl_lab.objectives import Objective, ObjectiveInputs, ObjectiveSettings
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.theory.groups import ConditionalAdvantages, Rule
from hacrl_lab.theory.problems import Problem


@dataclass(frozen=True)
class Update:
    """One learner's update, as the training loop would make it."""

    learner: int
    """k."""
    ratios: Tensor
    """ω, (n, n)."""
    objective: Objective
    """One of the objectives of :mod:`hacrl_lab.objectives`."""
    settings: ObjectiveSettings
    """Its numbers."""
    minibatch_index: int = 0
    """m."""
    current: Tensor | None = None
    """The learner's table now, (P, rows, actions); by default the one that sampled."""
    samplers: Sequence[int] | None = None
    """Whose rollouts count, the others' advantages being 0: [k] for J_homo, all but k for J_hete. By default all."""


def enumerated_gradients(problem: Problem, update: Update, advantages: ConditionalAdvantages) -> Tensor:
    """The gradient of the objective over all responses, each as often as it is likely.

    The group holds every response twice, once with the positive and once with the negative part of its advantage, times
    its probability and the group's size, so that the objective's mean over the group is the expectation.

    Args:
        problem: one problem, without leading axes.
        update: the update.
        advantages: (n, P, Y) parts.

    Returns:
        As the learner's table, (P, rows, actions).
    """
    space, prompts = problem.space, torch.arange(problem.rewards.shape[-2])
    tokens, mask = (both.repeat(2, 1).expand(len(prompts), -1, -1) for both in (space.tokens, space.mask))
    batches = [RolloutBatch(str(j), tokens, torch.ones_like(mask[..., 0]), tokens, mask) for j in range(problem.agents)]
    probabilities = torch.stack([problem.log_probs(j).exp() for j in range(problem.agents)])
    parts = torch.cat([probabilities * advantages.positive, -probabilities * advantages.negative], dim=-1)
    return _gradients(problem, update, prompts, batches, parts * parts.shape[-1])


def sampled_gradients(
    problem: Problem, update: Update, advantage: Rule, group_size: int, steps: int, *, seed: int = 0
) -> Tensor:
    """The gradients of many independent training steps, each from rollouts of its own.

    Args:
        problem: one problem, without leading axes.
        update: the update.
        advantage: from (rewards (..., n, P, G), ω, learner) to advantages.
        group_size: G.
        steps: S.
        seed: of the sampling.

    Returns:
        (S, P, rows, actions).
    """
    prompts, batches = _sample(problem, group_size, steps, seed)
    advantages = advantage(_rewards(problem, prompts, batches), update.ratios, update.learner)
    return _gradients(problem, update, prompts, batches, advantages)


def sampled_rewards(problem: Problem, group_size: int, steps: int, *, seed: int = 0) -> Tensor:
    """The rewards of many independent steps in which every agent answers every prompt G times: (S, n, P, G)."""
    return _rewards(problem, *_sample(problem, group_size, steps, seed))


def _sample(problem: Problem, group_size: int, steps: int, seed: int) -> tuple[Tensor, list[RolloutBatch]]:
    prompts = torch.arange(problem.rewards.shape[-2]).expand(steps, -1)
    seeds = range(seed * steps, (seed + 1) * steps)
    agents = [_agent(problem, j, table.expand(steps, *table.shape)) for j, table in enumerate(problem.logits)]
    return prompts, [agent.generate(prompts, group_size, RandomStream(seeds, j)) for j, agent in enumerate(agents)]


def _rewards(problem: Problem, prompts: Tensor, batches: Sequence[RolloutBatch]) -> Tensor:
    table = problem.rewards.expand(*prompts.shape[:-1], *problem.rewards.shape)
    return torch.stack([problem.space.look_up(table, prompts, batch.responses) for batch in batches], dim=-3)


def _gradients(
    problem: Problem, update: Update, prompts: Tensor, batches: Sequence[RolloutBatch], advantages: Tensor
) -> Tensor:
    """Score the rollouts, form the objective and go back through it, as :mod:`hacrl_lab.update` does."""
    leading = prompts.shape[:-1]

    def scores(j: int, table: Tensor) -> tuple[TabularAgent, Tensor, Tensor]:
        agent = _agent(problem, j, table.expand(*leading, *table.shape))
        encoded = agent.encode(prompts, batches)
        return agent, agent.token_log_probs(encoded, encoded.rows()).reshape(encoded.mask.shape), encoded.mask

    k = update.learner
    learner, log_probs, mask = scores(k, problem.logits[k] if update.current is None else update.current)
    old = [scores(j, table)[1][..., j, :, :, :].detach() for j, table in enumerate(problem.logits)]
    counts = torch.tensor([update.samplers is None or j in update.samplers for j in range(problem.agents)])
    inputs = ObjectiveInputs(
        log_probs=log_probs,
        mask=mask,
        old_log_probs=old[k],
        sampler_mean_log_probs=torch.stack(
            [mean_log_prob(o, mask[..., j, :, :, :]) for j, o in enumerate(old)], dim=-3
        ),
        advantages=advantages * counts[:, None, None],
        capability_ratios=update.ratios,
        learner=k,
        minibatch_index=update.minibatch_index,
    )
    return torch.autograd.grad(update.objective(inputs, update.settings).value.sum(), learner.logits)[0]


def _agent(problem: Problem, j: int, table: Tensor) -> TabularAgent:
    return TabularAgent(str(j), table, problem.space)
