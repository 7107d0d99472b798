"""HACPO on one page: two softmax tables learn a contextual bandit together. Equations of arXiv:2603.02604.

    python experiments/hacrl_studies/hacpo_in_one_page.py

Only the bandit and its random numbers come from the library. ``tests/integration/test_one_page.py`` asserts that the
policies are those that the library trains, to 1e-12. Shapes: n agents, P prompts, G rollouts a prompt, T actions.
"""

from collections import deque

import torch
from torch import Tensor

from hacrl_envs.bandit import BanditWorld, bandit_world
from hacrl_lab.seeding import RandomStream, StepStream, Stream

AGENTS, CONTEXTS, ACTIONS, LENGTH, KNOWLEDGE = 2, 8, 4, 2, (2.0, 2.0)
PROMPTS, GROUP, MINIBATCHES, LEARNING_RATE = 8, 8, 2, 1.0
WINDOW = 5  # K, steps over which capabilities are averaged
EPSILON_LOW, EPSILON_HIGH = 0.2, 0.2  # own rollouts: clip bounds 1 − ε_low, 1 + ε_high
DELTA, DELTA_STEP, ALPHA = 0.2, 0.025, 1.0  # cross rollouts: clip bounds 1 − δ + m·δ_step, 1; exponent α


def new_policies(world: BanditWorld, seed: int) -> list[Tensor]:
    """Logits (contexts, T, A); agent k prefers one right response in its own share of the contexts."""
    right = world.space.tokens[world.answers.int().argmax(-1)]  # (contexts, T), one right response of each context
    owner = torch.arange(CONTEXTS) * AGENTS // CONTEXTS
    policies = []
    for k in range(AGENTS):
        noise = RandomStream(seed, Stream.BANDIT_WEIGHTS, k).uniform(CONTEXTS, LENGTH, ACTIONS)
        knows = KNOWLEDGE[k] * (owner == k).double()
        logits = noise + knows[:, None, None] * torch.nn.functional.one_hot(right, ACTIONS)
        policies.append(logits.requires_grad_())
    return policies


@torch.no_grad()
def answer(logits: Tensor, prompts: Tensor, stream: RandomStream) -> Tensor:
    """G responses to every prompt, by inverse transform: (P, G, T)."""
    edges = logits.softmax(-1).cumsum(-1)[prompts][:, None, :, :-1]  # (P, 1, T, A − 1)
    return (stream.uniform(PROMPTS, GROUP, LENGTH)[..., None] >= edges).sum(-1)


def mean_log_prob(logits: Tensor, prompts: Tensor, responses: Tensor) -> Tensor:
    """1/|y| Σ_t log π(y_t) of every response: (P, G, T) -> (P, G)."""
    log_probs = logits.log_softmax(-1)[prompts][:, None].expand(-1, GROUP, -1, -1)  # (P, G, T, A)
    return log_probs.gather(-1, responses[..., None]).squeeze(-1).mean(-1)


def hacpo_step(policies: list[Tensor], world: BanditWorld, seed: int, step: int, recent: deque[Tensor]) -> None:
    """One step: everyone answers, the world verifies, everyone learns from everyone's answers; changes ``policies``."""
    prompts = world.sample_prompts(PROMPTS, RandomStream(seed, step, StepStream.PROMPTS))  # (P,)
    streams = [RandomStream(seed, step, StepStream.GENERATION, k) for k in range(AGENTS)]
    responses = [answer(policies[k], prompts, streams[k]) for k in range(AGENTS)]  # n × (P, G, T)
    rewards = torch.stack([world.space.look_up(world.answers, prompts, y) for y in responses]).double()  # (n, P, G)
    old = torch.stack([mean_log_prob(policies[j], prompts, responses[j]).detach() for j in range(AGENTS)])  # (n, P, G)

    recent.append(rewards.mean((1, 2)))  # the current step is part of the window
    capability = torch.stack(tuple(recent)).mean(0).clamp_min(1e-8)  # Eq. 8 with decision 6
    omega = (capability[:, None] / capability).clamp(0.1, 10)  # Eq. 9 with decision 6: ω[k, j] = P̂_k / P̂_j

    for k in range(AGENTS):
        baseline = (omega[k, :, None, None] * rewards).mean((0, 2))  # Eq. 7, (P,)
        baseline = torch.where(baseline > 1, rewards[k].mean(-1), baseline)  # decision 4: above every reward
        pooled = rewards.movedim(0, 1).flatten(1)  # (P, n·G)
        equal = (pooled == pooled[:, :1]).all(-1)
        baseline = torch.where(equal, pooled[:, 0], baseline)  # decision 5: equal rewards, advantage exactly 0
        advantages = (rewards - baseline[:, None]) / (pooled.std(-1) + 1e-6)[:, None]  # Eq. 6, (n, P, G)

        order = RandomStream(seed, step, StepStream.MINIBATCHES, k).permutation(PROMPTS)
        for m, some in enumerate(order.tensor_split(MINIBATCHES)):
            new = torch.stack([mean_log_prob(policies[k], prompts[some], y[some]) for y in responses])
            ratio, advantage = (new - old[:, some]).exp(), advantages[:, some]  # s of Eq. 11, (n, P', G)
            trusted = ratio[k].clamp(1 - EPSILON_LOW, 1 + EPSILON_HIGH)
            own = torch.minimum(ratio[k] * advantage[k], trusted * advantage[k])  # PPO clip, terms of J_homo
            clipped = ratio.clamp(min(1, 1 - DELTA + m * DELTA_STEP), 1)  # Eq. 13-14: the bound rises with m
            weight = omega[:, k, None, None] * clipped.detach() ** ALPHA  # Eq. 10, ω[j, k], and Eq. 12
            cross = clipped * weight * advantage  # terms of J_hete (Eq. 50), not those of j = k
            others = sum(cross[j] for j in range(AGENTS) if j != k)
            objective = (own + others).mean()  # J = J_homo + J_hete (Eq. 53): mean over the group and over prompts
            (gradient,) = torch.autograd.grad(objective, policies[k])
            policies[k] = (policies[k] + LEARNING_RATE * gradient).detach().requires_grad_()


def success(logits: Tensor, world: BanditWorld) -> float:
    """Exact probability of a right response, mean over contexts."""
    probabilities = logits.log_softmax(-1)[:, torch.arange(LENGTH), world.space.tokens].sum(-1).exp()  # (contexts, Y)
    return (probabilities * world.answers).sum(-1).mean().item()


def train(world: BanditWorld, seed: int, steps: int) -> tuple[list[Tensor], list[Tensor]]:
    """The policies before and after training."""
    policies, recent = new_policies(world, seed), deque[Tensor](maxlen=WINDOW)
    before = list(policies)
    for step in range(steps):
        hacpo_step(policies, world, seed, step, recent)
    return before, policies


if __name__ == "__main__":
    bandit = bandit_world(0, CONTEXTS, ACTIONS, LENGTH, right_share=0.1)
    for agent, (start, end) in enumerate(zip(*train(bandit, seed=0, steps=60), strict=True)):
        print(f"agent {agent}: success {success(start, bandit):.3f} before, {success(end, bandit):.3f} after")
