"""PPO with a critic: every agent alone, advantages from its own value function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hacrl_lab.agents.neural import Critic
from hacrl_lab.baselines.base import BaselineTrainer, TrainableAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import SettingError
from hacrl_lab.importance import masked_mean, ppo_surrogate, token_importance_ratio
from hacrl_lab.rollouts import EncodedRollouts, take_rows
from hacrl_lab.seeding import Seeds
from hacrl_lab.worlds import World

STD_FLOOR = 1e-6


def generalised_advantages(values: Tensor, rewards: Tensor, mask: Tensor, trace: float) -> Tensor:
    """Generalised advantage estimates for a reward at the end, without discount (Schulman et al. 2016, Eq. 16).

    A_t = Σ_{l ≥ 0} λ^l·δ_{t+l},  δ_t = V_{t+1} − V_t, and R − V_t at the last token

    Args:
        values: V before each token, (..., T).
        rewards: R, (...).
        mask: true on the response's tokens, from the left, (..., T).
        trace: λ in [0, 1]; 1 gives R − V_t.

    Returns:
        (..., T), 0 outside the mask.

    Raises:
        SettingError: a trace outside [0, 1].

    >>> generalised_advantages(torch.tensor([0.5, 0.75]), torch.tensor(1.0), torch.tensor([True, True]), 0.5)
    tensor([0.3750, 0.2500])
    """
    if not 0 <= trace <= 1:
        raise SettingError(f"trace must be in [0, 1], got {trace}")
    advantages = torch.zeros_like(values)
    after = torch.zeros_like(rewards)  # the advantage of the next token
    for t in reversed(range(values.shape[-1])):
        goes_on = mask[..., t + 1] if t + 1 < values.shape[-1] else torch.zeros_like(mask[..., t])
        following = torch.where(goes_on, values[..., min(t + 1, values.shape[-1] - 1)], rewards)
        after = torch.where(mask[..., t], following - values[..., t] + trace * after * goes_on, 0)
        advantages[..., t] = after
    return advantages


def whitened(advantages: Tensor, mask: Tensor) -> Tensor:
    """Mean 0 and (population) standard deviation 1 over all tokens of a mini-batch, each seed alone: (..., R, T)."""
    centred = advantages - _token_mean(advantages, mask)[..., None, None]
    spread = _token_mean(centred.square(), mask).sqrt()
    return centred / (spread[..., None, None] + STD_FLOOR)


class PPO(BaselineTrainer):
    """Proximal policy optimisation (Schulman et al. 2017) of every agent alone, with a critic each.

    J = mean over tokens of min(r_t·A_t, clip(r_t, 1 − ε_low, 1 + ε_high)·A_t), A_t whitened generalised advantages;
    the critic regresses on A_t + V_t.

    Args:
        agents: the policies.
        critics: one each, with an optimiser of its own.
        world, config, seeds: see :class:`BaselineTrainer`.
        trace: λ.
    """

    def __init__(
        self,
        agents: Sequence[TrainableAgent],
        critics: Sequence[Critic],
        world: World,
        config: TrainingConfig,
        seeds: Seeds,
        trace: float = 0.95,
    ) -> None:
        super().__init__(world, config, seeds)
        self.agents, self.critics, self.trace = list(agents), list(critics), trace

    def learn(self, prompts: Any) -> None:
        """Every agent answers and learns from its own answers."""
        for k in range(len(self.agents)):
            self._update(k, prompts)

    def _update(self, k: int, prompts: Any) -> None:
        agent, critic = self.agents[k], self.critics[k]
        batch = agent.generate(prompts, self.config.group_size, self.generation_stream(k))
        rewards = self.world.verify(prompts, batch).unsqueeze(-3)  # (..., 1, P, G)
        encoded = agent.encode(prompts, [batch])
        with torch.no_grad():
            old, values = (
                one.reshape(encoded.mask.shape)  # (..., 1, P, G, T)
                for one in (agent.token_log_probs(encoded, encoded.rows()), _values(critic, encoded, encoded.rows()))
            )
            advantages = generalised_advantages(values, rewards, encoded.mask, self.trace)
        for some in self.minibatches(k):
            rows = encoded.rows(prompts=some)
            before, gains, targets, mask = (
                take_rows(one, rows, rest=1) for one in (old, advantages, advantages + values, encoded.mask)
            )
            ratio = token_importance_ratio(agent.token_log_probs(encoded, rows), before, mask)
            surrogate = ppo_surrogate(ratio, whitened(gains, mask), *self.clip_bounds)
            (-_token_mean(surrogate, mask).sum()).backward()
            agent.apply_gradients()
            errors = (_values(critic, encoded, rows) - targets).square()
            _token_mean(errors, mask).sum().backward()
            critic.apply_gradients()


def _values(critic: Critic, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
    """V before each token of some rollouts: (..., R) -> (..., R, T)."""
    questions = encoded.take(rows).contexts.squeeze(-1)
    return critic.values(questions, take_rows(encoded.tokens, rows, rest=1))


def _token_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over all tokens of a mini-batch: (..., R, T) -> (...)."""
    return masked_mean(values.flatten(-2), mask.flatten(-2))
