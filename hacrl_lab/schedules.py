"""How a step's rollouts are cut into a learner's updates (decision 12): a plan is data, which the update only follows.

The number m of earlier updates counts on through the whole plan, whatever the updates hold, and whether or not one of
them was skipped because it had no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class PlannedUpdate:
    """What one optimiser update learns from: the rollouts of some samplers to some prompts."""

    samplers: tuple[int, ...]
    """Positions in the learner's pool; none where a learner that shares nothing has an update all the same."""
    prompts: Tensor
    """Positions among the step's P prompts: (..., M)."""


UpdatePlan = Sequence[PlannedUpdate]

EmptyUpdates = Literal["skip", "step"]
"""What is done in an update that has no gradient: nothing, or the optimiser's step all the same. Adam fills such a step
with what it remembers of earlier gradients."""

Schedule = Callable[[Tensor, int, int, int], list[PlannedUpdate]]
"""(random order of the prompts (..., P), number of mini-batches U, pool size n, learner's position) -> plan."""


def mixed(order: Tensor, minibatches: int, pool_size: int, learner: int) -> list[PlannedUpdate]:
    """U updates, each with an equal share of the prompts and all samplers' rollouts to them."""
    return _share(order, minibatches, tuple(range(pool_size)))


def mixed_2u(order: Tensor, minibatches: int, pool_size: int, learner: int) -> list[PlannedUpdate]:
    """n·U updates as in :func:`mixed`: as many rollouts in an update as when the learner is alone (2·U for a pair)."""
    return mixed(order, minibatches * pool_size, pool_size, learner)


def self_first(order: Tensor, minibatches: int, pool_size: int, learner: int) -> list[PlannedUpdate]:
    """U updates on own rollouts, then U on each other sampler's: n·U in all, as in the authors' code."""
    return _one_after_another(order, minibatches, [learner, *_others(pool_size, learner)])


def cross_first(order: Tensor, minibatches: int, pool_size: int, learner: int) -> list[PlannedUpdate]:
    """U updates on each other sampler's rollouts, then U on own ones: the control of :func:`self_first`."""
    return _one_after_another(order, minibatches, [*_others(pool_size, learner), learner])


def by_sampler(order: Tensor, minibatches: int, pool_size: int, learner: int) -> list[PlannedUpdate]:
    """U updates on each sampler's rollouts in the order of the agents, whoever learns.

    The first agent has its own rollouts first and the last agent has them last, as in the authors' older code.
    """
    return _one_after_another(order, minibatches, range(pool_size))


ScheduleName = Literal["mixed", "mixed_2u", "self_first", "cross_first", "by_sampler"]
SCHEDULES: dict[ScheduleName, Schedule] = {
    "mixed": mixed,
    "mixed_2u": mixed_2u,
    "self_first": self_first,
    "cross_first": cross_first,
    "by_sampler": by_sampler,
}
"""By name. With a pool of one all of them are the same."""


def own_prompts(plan: UpdatePlan, learner: int) -> list[Tensor]:
    """The prompts of each update that holds the learner's own rollouts, (..., M) each.

    The learner's log-probabilities before the first update are computed in these parts.
    """
    return [planned.prompts for planned in plan if learner in planned.samplers]


def own_part(plan: UpdatePlan, learner: int) -> list[PlannedUpdate]:
    """What is left of a plan for a learner that shares nothing, as a plan for its pool of one.

    Updates that held others' rollouts only are kept, and hold none.
    """
    return [PlannedUpdate((0,) if learner in planned.samplers else (), planned.prompts) for planned in plan]


def _others(pool_size: int, learner: int) -> list[int]:
    return [j for j in range(pool_size) if j != learner]


def _share(order: Tensor, updates: int, samplers: tuple[int, ...]) -> list[PlannedUpdate]:
    """Updates with an equal share of the prompts each, and some samplers' rollouts to them."""
    return [PlannedUpdate(samplers, part) for part in order.tensor_split(updates, dim=-1)]


def _one_after_another(order: Tensor, minibatches: int, samplers: Sequence[int]) -> list[PlannedUpdate]:
    """U updates on the rollouts of one sampler, then U on those of the next."""
    return [planned for j in samplers for planned in _share(order, minibatches, (j,))]
