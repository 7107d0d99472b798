"""Small problems: a few tabular agents, a few prompts, a reward for every response. All sums are exact."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hacrl_lab.agents.tabular import response_log_probs, table_rows
from hacrl_lab.errors import SettingError
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.seeding import RandomStream


@dataclass(frozen=True)
class Problem:
    """n agents on P prompts; leading axes (...) are independent problems of the same size."""

    space: ResponseSpace
    """What can be answered."""
    logits: tuple[Tensor, ...]
    """By agent: its table, (..., P, rows, actions); the agents may remember different things (rows)."""
    rewards: Tensor
    """R[p, y], the reward of every response: (..., P, Y)."""

    def __post_init__(self) -> None:
        prompts, responses = self.rewards.shape[-2:]
        if responses != self.space.size:
            raise ValueError(f"rewards must have shape (..., P, {self.space.size}), got {tuple(self.rewards.shape)}")
        if any(table.shape[-3] != prompts for table in self.logits):
            shapes = [tuple(table.shape) for table in self.logits]
            raise ValueError(f"logits must have shapes (..., {prompts}, rows, actions), got {shapes}")

    def __getitem__(self, index: int) -> Problem:
        """One problem of several, along the first leading axis."""
        return Problem(self.space, tuple(table[index] for table in self.logits), self.rewards[index])

    @property
    def agents(self) -> int:
        """The number of agents n."""
        return len(self.logits)

    def log_probs(self, agent: int) -> Tensor:
        """Log P(y | p) of one agent, nats: (..., P, Y)."""
        return response_log_probs(self.logits[agent], self.space)

    def expected_rewards(self) -> Tensor:
        """E[R | p] of every agent: (..., n, P)."""
        return torch.stack([(self.log_probs(j).exp() * self.rewards).sum(-1) for j in range(self.agents)], dim=-2)

    def true_ratios(self) -> Tensor:
        """The oracle's ω[k, j] = E[R_k]/E[R_j] over all prompts (Assumption D.1), without floor or clamp: (..., n, n).

        Expected rewards must be above 0.
        """
        capability = self.expected_rewards().mean(-1)
        return capability.unsqueeze(-1) / capability.unsqueeze(-2)


def opposed_coins() -> Problem:
    """The smallest counterexample to Theorem 4.3 without conditions: two coins, two tosses, wanted one of each.

    The learner (agent 0) tosses heads with probability 3/7, the sampler (agent 1) with 3/4. The learner would do better
    with more heads; at α = 0 the gradient of the sampler's right answers, weighed with s, is towards fewer.
    """
    learner, sampler = (torch.tensor([[odds]], dtype=torch.float64).log() for odds in ([3.0, 4.0], [3.0, 1.0]))
    wanted = torch.tensor([[0.0, 1.0, 1.0, 0.0]], dtype=torch.float64)  # of HH, HT, TH, TT
    return Problem(ResponseSpace(symbols=2, length=2), (learner, sampler), wanted)


def score_sum(space: ResponseSpace, logits: Tensor, weights: Tensor) -> Tensor:
    """Σ_y w(y)·∇ log π(y) with respect to the table: every expected policy gradient is one of these.

    ∇ log π(a | row) is 1[a] − π(· | row) in its own row, so that the sum in a row is (weight that passes through each
    action) − (weight that passes through the row)·π.

    Args:
        space: the possible responses.
        logits: the table, (..., rows, actions).
        weights: w, (..., Y).

    Returns:
        As the table, (..., rows, actions).
    """
    rows, actions = logits.shape[-2:]
    cells = (table_rows(space, rows, space.tokens) * actions + space.tokens)[space.mask]  # (visits,)
    visitor = torch.arange(space.size).unsqueeze(-1).expand(space.mask.shape)[space.mask]
    through = torch.zeros(*weights.shape[:-1], rows * actions, dtype=weights.dtype)
    through = through.index_add(-1, cells, weights[..., visitor]).unflatten(-1, (rows, actions))
    return through - through.sum(-1, keepdim=True) * logits.softmax(-1)


def score_dot(space: ResponseSpace, logits: Tensor, direction: Tensor) -> Tensor:
    """⟨∇ log π(y), direction⟩ for every response y: the transpose of :func:`score_sum`.

    Args:
        space: the possible responses.
        logits: the table, (..., rows, actions).
        direction: as the table.

    Returns:
        (..., Y).
    """
    rows, actions = logits.shape[-2:]
    centred = direction - (logits.softmax(-1) * direction).sum(-1, keepdim=True)
    cells = table_rows(space, rows, space.tokens) * actions + space.tokens  # (Y, T)
    return torch.where(space.mask, centred.flatten(-2)[..., cells], 0).sum(-1)


def draw_problems(
    count: int,
    space: ResponseSpace,
    *,
    correlation: float,
    agents: int = 2,
    prompts: int = 1,
    rows: int | None = None,
    scale: float = 1.0,
    right_share: float = 0.25,
    seed: int = 0,
) -> Problem:
    """The lab's documented distribution of problems.

    Logits of agent 0 are independent N(0, scale²); those of every other agent are ρ times agent 0's plus √(1 − ρ²)
    times fresh ones, so that each logit has correlation ρ with agent 0's. Every response is right (R = 1) with
    probability ``right_share``, else R = 0; the first response of a prompt is then made right and the last wrong.

    Args:
        count: independent problems B.
        space: the possible responses, at least two.
        correlation: ρ in [−1, 1].
        agents: n.
        prompts: P, each with its own tables and rewards.
        rows: of the tables; by default one per prefix.
        scale: standard deviation of the logits.
        right_share: in (0, 1).
        seed: of the draw.

    Returns:
        A problem with leading axis (B,).
    """
    if not -1 <= correlation <= 1:
        raise SettingError(f"correlation must be in [-1, 1], got {correlation}")
    generator = RandomStream(seed).numpy
    shape = count, prompts, rows or space.prefixes, space.actions
    first, *fresh = (torch.from_numpy(scale * generator.standard_normal(shape)) for _ in range(agents))
    others = [correlation * first + (1 - correlation**2) ** 0.5 * own for own in fresh]
    rewards = torch.from_numpy(generator.random((count, prompts, space.size)) < right_share).double()
    rewards[..., 0], rewards[..., -1] = 1, 0
    return Problem(space, (first, *others), rewards)
