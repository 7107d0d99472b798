"""PPO with a critic: every agent alone, advantages from its own value function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hacrl_lab.agents.base import Agent, World
from hacrl_lab.agents.neural import Critic
from hacrl_lab.config import TrainingConfig
from hacrl_lab.importance import masked_mean, pessimistic_surrogate, token_importance_ratio
from hacrl_lab.rollouts import take_prompts
from hacrl_lab.seeding import Seeds
from paradigm_study.base import Paradigm

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

    >>> generalised_advantages(torch.tensor([0.5, 0.75]), torch.tensor(1.0), torch.tensor([True, True]), 0.5)
    tensor([0.3750, 0.2500])
    """
    if not 0 <= trace <= 1:
        raise ValueError(f"trace must be in [0, 1], got {trace}")
    advantages = torch.zeros_like(values)
    after = torch.zeros_like(rewards)  # the advantage of the next token
    for t in reversed(range(values.shape[-1])):
        goes_on = mask[..., t + 1] if t + 1 < values.shape[-1] else torch.zeros_like(mask[..., t])
        following = torch.where(goes_on, values[..., min(t + 1, values.shape[-1] - 1)], rewards)
        after = torch.where(mask[..., t], following - values[..., t] + trace * after * goes_on, 0)
        advantages[..., t] = after
    return advantages


def whitened(advantages: Tensor, mask: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over all tokens of a mini-batch, each seed alone: (..., n, P, G, T)."""
    flat, tokens = advantages.flatten(-4), mask.flatten(-4)
    centred = advantages - masked_mean(flat, tokens)[..., None, None, None, None]
    spread = masked_mean(centred.flatten(-4).square(), tokens).sqrt()
    return centred / (spread[..., None, None, None, None] + STD_FLOOR)


class PPO(Paradigm):
    """Proximal policy optimisation (Schulman et al. 2017) of every agent alone, with a critic each.

    J = mean over tokens of min(r_t·A_t, clip(r_t, 1 − ε_low, 1 + ε_high)·A_t), A_t whitened generalised advantages;
    the critic regresses on A_t + V_t.

    Args:
        agents: the policies.
        critics: one each, with an optimiser of its own.
        world, config, seeds: see :class:`Paradigm`.
        trace: λ.
    """

    def __init__(
        self,
        agents: list[Agent],
        critics: list[Critic],
        world: World,
        config: TrainingConfig,
        seeds: Seeds,
        trace: float = 0.95,
    ) -> None:
        super().__init__(world, config, seeds)
        self.agents, self.critics, self.trace = agents, critics, trace

    def learn(self, prompts: Any) -> None:
        """Every agent answers and learns from its own answers."""
        for k in range(len(self.agents)):
            self._update(k, prompts)

    def _update(self, k: int, prompts: Any) -> None:
        agent, critic = self.agents[k], self.critics[k]
        batch = agent.generate(prompts, self.config.group_size, self.generation_stream(k))
        rewards = self.world.verify(prompts, batch).unsqueeze(-3)  # (..., 1, P, G)
        encoded = agent.encode(prompts, [(agent.name, batch)])
        with torch.no_grad():
            old = agent.token_log_probs(encoded)
            values = critic.values(encoded.contexts.squeeze(-1), encoded.tokens)
            advantages = generalised_advantages(values, rewards, encoded.mask, self.trace)
        low, high = 1 - self.config.epsilon_low, 1 + self.config.epsilon_high
        for some in self.minibatch_indices(k):
            part = encoded.select(some)
            gains, targets = (take_prompts(one, some, -3) for one in (advantages, advantages + values))
            ratio = token_importance_ratio(agent.token_log_probs(part), take_prompts(old, some, -3), part.mask)
            surrogate = pessimistic_surrogate(ratio, whitened(gains, part.mask), low, high)
            (-masked_mean(surrogate.flatten(-4), part.mask.flatten(-4)).sum()).backward()
            agent.apply_gradients()
            errors = (critic.values(part.contexts.squeeze(-1), part.tokens) - targets).square()
            masked_mean(errors.flatten(-4), part.mask.flatten(-4)).sum().backward()
            critic.apply_gradients()
