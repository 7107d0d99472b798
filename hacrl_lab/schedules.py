"""How a step's rollouts are cut into a learner's updates (decision 12): a plan is data, which the update only follows.

The number m of updates already made counts on through the whole plan, whatever the updates hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class PlannedUpdate:
    """What one optimiser update learns from: the rollouts of some samplers to some prompts."""

    samplers: tuple[int, ...]
    """Positions in the learner's pool."""
    prompts: Tensor
    """Positions among the step's P prompts: (..., M)."""


UpdatePlan = Sequence[PlannedUpdate]

Schedule = Callable[[Tensor, int, int, int], list[PlannedUpdate]]
"""(random order of the prompts (..., P), number of mini-batches U, pool size n, learner's position) -> plan."""


def mixed(order: Tensor, minibatches: int, pool_size: int, learner: int) -> list[PlannedUpdate]:
    """U updates, each with an equal share of the prompts and all samplers' rollouts to them."""
    everyone = tuple(range(pool_size))
    return [PlannedUpdate(everyone, part) for part in order.tensor_split(minibatches, dim=-1)]


def own_prompts(plan: UpdatePlan, learner: int) -> list[Tensor]:
    """The prompts of each update that holds the learner's own rollouts, (..., M) each.

    The learner's log-probabilities before the first update are computed in these parts.
    """
    return [planned.prompts for planned in plan if learner in planned.samplers]
