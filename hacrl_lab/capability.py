"""How able each agent is now, and how able relative to the others (Eq. 8-9).

Decision 6: a capability is floored at 1e-8 and a ratio clamped to [0.1, 10], so that every ratio is finite.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import torch
from torch import Tensor

from hacrl_lab.errors import SettingError

CAPABILITY_FLOOR = 1e-8
RATIO_BOUNDS = (0.1, 10.0)


def capability_ratio_matrix(capability: Tensor) -> Tensor:
    """The ratios that bring one agent's rewards to another's scale.

    ω[k, j] = P̂_k / P̂_j (Eq. 9): the capability ratio *of* k *relative to* j; above 1, k is the stronger.

    Args:
        capability: P̂, smoothed mean rewards, shape (..., n), ≥ 0.

    Returns:
        ω of shape (..., n, n), rows of, columns relative to. ω[k, k] = 1 exactly; ω[k, j]·ω[j, k] = 1 up to rounding.

    Raises:
        ValueError: a capability that is not finite.
        SettingError: a negative one, of an agent whose rewards are negative on average.

    >>> capability_ratio_matrix(torch.tensor([0.6, 0.3]))
    tensor([[1.0000, 2.0000],
            [0.5000, 1.0000]])
    """
    if not bool(torch.isfinite(capability).all()):
        raise ValueError(f"capability must be finite, got {capability}")
    if bool((capability < 0).any()):
        raise SettingError(
            "the mean reward must be ≥ 0 for every agent, since the ratio of two means compares the agents, "
            f"got {capability.min().item():g}; add a constant to the rewards"
        )
    floored = capability.clamp_min(CAPABILITY_FLOOR)
    return (floored.unsqueeze(-1) / floored.unsqueeze(-2)).clamp(*RATIO_BOUNDS)


def capability_ratio(ratios: Tensor, *, of: int, relative_to: int) -> Tensor:
    """One entry of the matrix, said in words: ω[of, relative_to].

    Args:
        ratios: ω of shape (..., n, n) from :func:`capability_ratio_matrix`.
        of, relative_to: agent indices in [0, n).

    Returns:
        Shape (...).
    """
    return ratios[..., of, relative_to]


class CapabilityTracker:
    """Sliding-window capability: P̂_j(t) = mean of agent j's batch-mean rewards over the last K steps (Eq. 8).

    The current step is part of the window. Before K steps have passed the mean is over the steps there are.

    Args:
        window: K ≥ 1, in steps.

    >>> tracker = CapabilityTracker(window=2)
    >>> [tracker.update(torch.tensor([reward])).item() for reward in (0.0, 0.5, 1.0)]
    [0.0, 0.25, 0.75]
    """

    def __init__(self, window: int) -> None:
        if window < 1:
            raise ValueError(f"window must be at least 1 step, got {window}")
        self._recent: deque[Tensor] = deque(maxlen=window)

    def update(self, mean_rewards: Tensor) -> Tensor:
        """Take in this step's batch-mean rewards, shape (..., n), and return the capabilities P̂, same shape."""
        if self._recent and self._recent[-1].shape != mean_rewards.shape:
            raise ValueError(
                f"mean_rewards must keep its shape {tuple(self._recent[-1].shape)}, got {tuple(mean_rewards.shape)}"
            )
        self._recent.append(mean_rewards.detach().clone())
        return torch.stack(tuple(self._recent)).mean(0)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold for the next steps to be the same: the window, oldest step first."""
        return {f"recent/{place}": value for place, value in enumerate(self._recent)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state of :meth:`state`."""
        self._recent.clear()
        self._recent.extend(state[f"recent/{place}"] for place in range(len(state)))


class LaggedCapabilityTracker(CapabilityTracker):
    """Capability from the K steps *before* the current one: P̂_j(t) = mean of the batch means of steps t − K ... t − 1.

    Given the past, the ratio ω is a constant: independent of the current batch's rewards, as Assumption D.1 asks and as
    Eq. 8, whose window contains the current batch, is not. So exactly, at every step and whatever the agents are,

        E[μ̂_k | past] = 1/n Σ_j ω[k, j]·E[R_j | past],

    without the covariance of ω and the batch that Remark D.2 sets aside. What it costs: the estimate is one step older.
    In the first step, without a past, all agents count as equal.

    >>> tracker = LaggedCapabilityTracker(window=2)
    >>> [tracker.update(torch.tensor([reward])).item() for reward in (0.0, 0.5, 1.0)]
    [1.0, 0.0, 0.25]
    """

    def update(self, mean_rewards: Tensor) -> Tensor:
        """Return the capabilities before this step, shape (..., n), then take in its batch-mean rewards."""
        before = torch.stack(tuple(self._recent)).mean(0) if self._recent else torch.ones_like(mean_rewards)
        super().update(mean_rewards)
        return before
