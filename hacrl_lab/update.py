"""One learner's updates of a step: the only inner loop, which runs where the learner's parameters are.

    for every planned update m:
        for every pass (some rollouts, bounded by their tokens):
            log-probabilities of the pass → objective of the whole mini-batch → its gradient in those log-probabilities
            → backward pass
        optimiser step, if there is a gradient (decision 12)

Every objective is a sum of terms that each depend on one rollout's log-probabilities. The gradient in the
log-probabilities of a pass is therefore the same whatever the other passes hold, and the parameter gradients of the
passes add up to that of the whole mini-batch. A pass may be any rollouts, down to a single one.

Rollouts whose gradient is 0 (advantage 0, or outside a clip bound) contribute nothing and need no backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from hacrl_lab.agent import Policy
from hacrl_lab.divergence import too_far
from hacrl_lab.errors import NonFiniteError
from hacrl_lab.importance import mean_log_prob
from hacrl_lab.learner import LearnerBatch, UpdateRecord, UpdateResult
from hacrl_lab.methods import get_method
from hacrl_lab.objectives import ObjectiveInputs, ObjectiveValue, penalised
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch, pool_rows, put_rows, take_prompts
from hacrl_lab.schedules import PlannedUpdate, UpdatePlan, own_prompts

SECOND_PASS_BELOW = 2 / 3
"""A backward pass costs about two forward passes. Below this share of rows with a gradient, running only those rows
again, forward and backward, costs less than running all rows backward. (Where a whole update is one pass, little is to
be saved.)"""


@dataclass
class FirstPass:
    """A pass of own rollouts in the first update, computed when they were scored and kept until then."""

    rows: Tensor
    """Of the learner's own rollouts, as if its were the only ones: (..., R)."""
    log_probs: Tensor | None
    """Token log-probabilities with what a backward pass needs, nats, (..., R, T); None once they are taken."""

    def take(self, rows: Tensor, encoded: EncodedRollouts, learner: int) -> Tensor | None:
        """The log-probabilities, which are then forgotten; None for other rows of a pool that encoded holds."""
        _, count, group = encoded.pool_shape
        if self.log_probs is None or not torch.equal(rows - learner * count * group, self.rows):
            return None
        kept, self.log_probs = self.log_probs, None
        return pad(kept, (0, encoded.tokens.shape[-1] - kept.shape[-1]))


def update(policy: Policy, batch: LearnerBatch, first: FirstPass | None = None) -> UpdateResult:
    """Make all updates of a step, until one has to be refused.

    An update is refused, and changes nothing, if its objective or a gradient is inf or nan, or if those before it have
    gone too far (:mod:`hacrl_lab.divergence`); all that follow are refused too. This is reported rather than raised, so
    that the other agents' updates of the step are not lost.

    Args:
        policy: the learner.
        batch: what it learns from.
        first: what :func:`score` kept; the policy has not changed since.

    Raises:
        SettingError: an unknown method.
    """
    encoded = policy.encode(batch.prompts, batch.pool)
    reference = _reference_log_probs(policy, batch, encoded) if batch.settings.kl_weight > 0 else None
    updates: list[UpdateRecord] = []
    refused = ""
    for m, planned in enumerate(batch.plan):
        kept = first if m == 0 else None
        record, refused = _one_update(policy, batch, encoded, reference, m, planned, refused, kept)
        updates.append(record)
    return UpdateResult(updates, diverged=refused)


def score(
    policy: Policy, prompts: Any, rollouts: RolloutBatch, plan: UpdatePlan, learner: int
) -> tuple[Tensor, FirstPass | None]:
    """The policy's own token log-probabilities of what it sampled, in the passes of its updates.

    The same passes give the same numbers to the last bit in any precision, so that the ratio of own rollouts before the
    first update is exactly 1. (Small agents without a token budget run an update as one pass, together with the others'
    rollouts; there the ratio may differ from 1 by rounding. ``initial_self_ratio_error`` among the metrics says by how
    much.)

    Args:
        policy: who sampled, and scores.
        prompts: what was asked.
        rollouts: its own, with their tokens.
        plan: the updates of the step.
        learner: the policy's position in the pool of the plan.

    Returns:
        (..., P, G, T), nats, arbitrary outside the mask; and the first update's first pass, of policies that keep it,
        since what it computes is the same.

    Raises:
        ValueError: the plan leaves own rollouts out, or holds some twice.
    """
    encoded = policy.encode(prompts, [rollouts])
    count = encoded.pool_shape[1]
    parts = own_prompts(plan, learner)
    held = torch.cat(parts, dim=-1).sort(-1).values if parts else torch.empty(0)
    if held.shape[-1] != count or not torch.equal(held, torch.arange(count).expand(held.shape)):
        raise ValueError("the plan must hold each of the learner's own rollouts exactly once")
    keeps = policy.keeps_first_pass and learner in plan[0].samplers
    first = _first_pass(policy, encoded, plan[0].prompts) if keeps else None
    return _sampler_log_probs(policy, encoded, 0, parts, first), first


def _first_pass(policy: Policy, encoded: EncodedRollouts, prompts: Tensor) -> FirstPass:
    """The first pass of the only sampler's rollouts of some prompts."""
    rows = encoded.rows([0], prompts)
    rows = rows.gather(-1, policy.passes(encoded, [rows])[0])
    return FirstPass(rows, policy.token_log_probs(encoded, rows))


def split_by_tokens(lengths: Tensor, budget: int) -> list[Tensor]:
    """Cut rows into passes, longest first, so that no padded pass has more tokens than the budget.

    A row that is longer than the budget has a pass of its own.

    Args:
        lengths: tokens of each row, (..., R); with leading axes every pass has as many rows of each leading index.
        budget: tokens in a pass, padding included, ≥ 1.

    Returns:
        Positions of the rows, (..., r) each.

    Raises:
        ValueError: a budget below 1.

    >>> [part.tolist() for part in split_by_tokens(torch.tensor([2, 9, 3, 3]), 9)]
    [[1], [2, 3, 0]]
    """
    if budget < 1:
        raise ValueError(f"the token budget must be ≥ 1, got {budget}")
    count = lengths.shape[-1]
    order = lengths.cpu().argsort(dim=-1, descending=True, stable=True)
    widths = lengths.cpu().gather(-1, order).reshape(-1, count).amax(0).tolist()
    parts, start = [], 0
    while start < count:
        end = start + max(1, budget // widths[start])
        parts.append(order[..., start:end])
        start = end
    return parts


@torch.no_grad()
def _sampler_log_probs(
    policy: Policy, encoded: EncodedRollouts, sampler: int, parts: Sequence[Tensor], first: FirstPass | None = None
) -> Tensor:
    """Token log-probabilities of all rollouts of one sampler, in passes within the given parts: (..., P, G, T).

    The first of these passes may have been computed already.
    """
    rows, scores = [], []
    for some in parts:
        its_rows = encoded.rows([sampler], some)
        for positions in policy.passes(encoded, [its_rows]):
            rows.append(its_rows.gather(-1, positions))
            known = None if first is None or scores else first.log_probs
            scores.append((policy.token_log_probs(encoded, rows[-1]) if known is None else known.detach()).cpu())
    order = torch.cat(rows, dim=-1).argsort(-1)
    ordered = torch.take_along_dim(torch.cat(scores, dim=-2), order.unsqueeze(-1), dim=-2)
    return ordered.unflatten(-2, encoded.pool_shape[1:])


def _reference_log_probs(policy: Policy, batch: LearnerBatch, encoded: EncodedRollouts) -> Tensor:
    """Token log-probabilities of own rollouts under the policy before training: (..., P, G, T)."""
    with policy.reference():
        return _sampler_log_probs(policy, encoded, batch.learner, own_prompts(batch.plan, batch.learner))


def _one_update(
    policy: Policy,
    batch: LearnerBatch,
    encoded: EncodedRollouts,
    reference: Tensor | None,
    m: int,
    planned: PlannedUpdate,
    refused: str,
    first: FirstPass | None,
) -> tuple[UpdateRecord, str]:
    """The passes of one mini-batch and its optimiser step; and why this or an earlier one was refused, or nothing."""
    method = get_method(batch.method)
    inputs = _inputs(batch, encoded, reference, m, planned)
    passes = _passes(policy, encoded, planned)
    for rows, places in passes:
        log_probs = None if first is None else first.take(rows, encoded, batch.learner)
        if log_probs is None:
            log_probs = policy.token_log_probs(encoded, rows)
        leaf = log_probs.detach().requires_grad_()
        whole = replace(inputs, log_probs=put_rows(inputs.log_probs, places, leaf.to(inputs.log_probs.dtype)))
        objective = penalised(method.objective, whole, batch.settings).value.sum()
        (gradient,) = torch.autograd.grad(-objective, leaf)
        inputs = replace(whole, log_probs=whole.log_probs.detach())
        if not bool(torch.isfinite(objective)) or not bool(torch.isfinite(gradient).all()):
            refused = refused or (
                f"the objective of agent {policy.name!r} became {objective.item()} in step {batch.step}, mini-batch {m}"
                "; the update was not applied"
            )
        contributing = (gradient != 0).any(-1).reshape(-1, gradient.shape[-2]).any(0)
        if refused or not bool(contributing.any()):
            continue
        if len(passes) > 1 and float(contributing.double().mean()) < SECOND_PASS_BELOW:
            del log_probs  # frees the first pass before the second
            rows, gradient = rows[..., contributing.to(rows.device)], gradient[..., contributing, :]
            log_probs = policy.token_log_probs(encoded, rows)
        log_probs.backward(gradient)
    value = penalised(method.objective, inputs, batch.settings)
    norm = torch.zeros_like(value.value)
    ratios = inputs.sequence_ratio.cpu()
    refused = refused or too_far(
        ratios[..., batch.learner, :, :].flatten(-2), policy.largest_drift, policy.name, batch.step
    )
    if not refused:
        try:
            norm = policy.apply_gradients(batch.empty_updates)
        except NonFiniteError as error:
            refused = str(error)
    return UpdateRecord(planned.samplers, _on_cpu(value), ratios, norm.cpu()), refused


def _inputs(
    batch: LearnerBatch, encoded: EncodedRollouts, reference: Tensor | None, m: int, planned: PlannedUpdate
) -> ObjectiveInputs:
    """The mini-batch's inputs, in which every rollout has ratio 1 until its pass puts in its log-probabilities.

    Rollouts of samplers that the update does not hold keep ratio 1 and have advantage 0: they contribute nothing. The
    means of own rollouts are taken anew in the shape in which the objective takes them: the last bit of a sum depends
    on how far its rows are padded, and others' rollouts may be longer.
    """
    device, k = encoded.mask.device, batch.learner
    prompts = planned.prompts.to(device)
    held = torch.tensor([j in planned.samplers for j in range(len(batch.pool))], device=device)

    def of_prompts(values: Tensor, axis: int) -> Tensor:
        return take_prompts(values.to(device), prompts, axis)

    means = of_prompts(batch.sampler_mean_log_probs, -2)
    mask = of_prompts(encoded.mask, -3)
    old = of_prompts(batch.old_log_probs, -3)
    log_probs = means.unsqueeze(-1).repeat_interleave(mask.shape[-1], -1)
    log_probs[..., k, :, :, : old.shape[-1]] = old
    means[..., k, :, :] = mean_log_prob(log_probs, mask)[..., k, :, :]
    return ObjectiveInputs(
        log_probs=log_probs,
        mask=mask,
        old_log_probs=old,
        sampler_mean_log_probs=means,
        advantages=of_prompts(batch.advantages, -2) * held[:, None, None],
        capability_ratios=batch.capability_ratios.to(device),
        learner=k,
        minibatch_index=m,
        reference_log_probs=None if reference is None or k not in planned.samplers else of_prompts(reference, -3),
    )


def _passes(policy: Policy, encoded: EncodedRollouts, planned: PlannedUpdate) -> list[tuple[Tensor, Tensor]]:
    """For each pass of an update its rows in the pool and in the mini-batch."""
    if not planned.samplers:
        return []
    n, _, group = encoded.pool_shape
    count = planned.prompts.shape[-1]
    everything = torch.arange(count).expand(planned.prompts.shape)
    by_sampler = [encoded.rows([j], planned.prompts) for j in planned.samplers]
    rows, places = torch.cat(by_sampler, -1), pool_rows((n, count, group), planned.samplers, everything)
    return [(rows.gather(-1, some), places.gather(-1, some)) for some in policy.passes(encoded, by_sampler)]


def _on_cpu(value: ObjectiveValue) -> ObjectiveValue:
    return ObjectiveValue(**{name: tensor.detach().cpu() for name, tensor in vars(value).items()})
