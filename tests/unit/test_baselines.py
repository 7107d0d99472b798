"""The other ways to train, on bandits where expectations are exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from drawing import assert_close, assert_mean_is
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from hacrl_envs.bandit import BanditWorld, bandit_world
from hacrl_envs.chain import ChainTask, QuestionFeatures, chain_world
from hacrl_lab.agents.networks import Linear
from hacrl_lab.agents.neural import Critic, NeuralAgent
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.baselines.distillation import OffPolicyDistillation, OnPolicyDistillation
from hacrl_lab.baselines.ppo import PPO, generalised_advantages, whitened
from hacrl_lab.config import TrainingConfig
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.seeding import RandomStream

SEEDS = 4096
CONFIG = TrainingConfig(prompts_per_step=4, group_size=2, minibatches=1)
LEARNER, TEACHER = [0.5, -0.25, 0.0], [-1.0, 0.0, 1.0]


def coin(name: str, logits: list[float], seeds: int = SEEDS) -> TabularAgent:
    """One context, one action, the same logits for every seed."""
    return TabularAgent(name, torch.tensor(logits, dtype=torch.float64).expand(seeds, 1, 1, 3), ResponseSpace(3, 1))


def change(agent: TabularAgent, before: list[float]) -> Tensor:
    """What a step did to the logits: (S, actions)."""
    return agent.logits.detach()[:, 0, 0] - torch.tensor(before, dtype=torch.float64)


def world(right: list[float], seeds: int = SEEDS) -> BanditWorld:
    return BanditWorld(torch.tensor(right).expand(seeds, 1, 3), ResponseSpace(3, 1))


def test_on_policy_distillation_follows_the_gradient_of_the_reverse_kl() -> None:
    # with one action ∇ KL(π ‖ τ) in the logits is π·(log π/τ − KL); the step is its negative, with length 1
    agents = [coin("learner", LEARNER), coin("teacher", TEACHER)]
    log_p, log_t = (torch.tensor(logits, dtype=torch.float64).log_softmax(-1) for logits in (LEARNER, TEACHER))
    gap = log_p - log_t
    expected = -log_p.exp() * (gap - (log_p.exp() * gap).sum())
    OnPolicyDistillation([*agents], 0, 1, world([0.0, 0.0, 0.0]), CONFIG, range(SEEDS)).step()
    assert_mean_is(change(agents[0], LEARNER), expected)
    assert bool((change(agents[1], TEACHER) == 0).all())


def test_off_policy_distillation_raises_the_teachers_right_answers_only() -> None:
    # only action 0 is right: wherever the teacher gave it, the step is ∇ log π(0) = 1[0] − π, else nothing
    agents = [coin("learner", LEARNER), coin("teacher", TEACHER)]
    OffPolicyDistillation([*agents], 0, 1, world([1.0, 0.0, 0.0]), CONFIG, range(SEEDS)).step()
    found = change(agents[0], LEARNER)
    step = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64) - torch.tensor(LEARNER, dtype=torch.float64).softmax(-1)
    moved = found.abs().sum(-1) > 0
    assert_close(found[moved], step)
    wrong = 1 - torch.tensor(TEACHER, dtype=torch.float64).softmax(-1)[0]
    assert_mean_is(moved.double(), 1 - wrong**8)  # 4 prompts × 2 answers, not all wrong
    assert bool((change(agents[1], TEACHER) == 0).all())


def test_a_mini_batch_without_a_right_answer_teaches_nothing() -> None:
    start = torch.tensor(LEARNER, dtype=torch.float64).expand(2, 1, 1, 3)
    learner = TabularAgent("learner", start, ResponseSpace(3, 1), partial(torch.optim.Adam, lr=0.1))
    loop = OffPolicyDistillation([learner, coin("teacher", TEACHER, 2)], 0, 1, world([1.0] * 3, 2), CONFIG, range(2))
    loop.step()
    before = learner.logits.detach().clone()
    assert not torch.equal(before, start)
    loop.world = world([0.0] * 3, 2)
    loop.step()
    assert torch.equal(learner.logits, before)  # Adam remembers the first step, and does not go on with it


def test_on_policy_distillation_needs_one_tokenizer() -> None:
    learner = coin("learner", LEARNER, 2)

    class Another(TabularAgent):
        def encode(self, prompts: Tensor, pool: Sequence[RolloutBatch]) -> EncodedRollouts:
            encoded = super().encode(prompts, pool)
            return replace(encoded, tokens=encoded.tokens + 1)

    teacher = Another("teacher", learner.logits, learner.space)
    with pytest.raises(ValueError, match="one tokenizer"):
        OnPolicyDistillation([learner, teacher], 0, 1, world([1.0, 0.0, 0.0], 2), CONFIG, range(2)).step()


VALUES = hnp.arrays(np.float64, (3, 4), elements=st.integers(-8, 8)).map(lambda v: torch.from_numpy(v) / 4)
LENGTHS = st.lists(st.integers(1, 4), min_size=3, max_size=3)


@settings(derandomize=True, deadline=None)
@given(VALUES, LENGTHS, st.floats(0, 1))
def test_advantages_are_weighted_sums_of_temporal_differences(values: Tensor, lengths: list[int], trace: float) -> None:
    mask = torch.arange(4) < torch.tensor(lengths)[:, None]
    rewards = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    found = generalised_advantages(values, rewards, mask, trace)
    for row, length in enumerate(lengths):
        following = [*values[row, 1:length].tolist(), float(rewards[row])]
        errors = [after - float(values[row, t]) for t, after in enumerate(following)]
        for t in range(4):
            expected = sum(trace**ahead * error for ahead, error in enumerate(errors[t:])) if t < length else 0.0
            assert float(found[row, t]) == pytest.approx(expected, abs=1e-12)


def test_advantages_refuse_an_impossible_trace() -> None:
    with pytest.raises(ValueError, match="trace"):
        generalised_advantages(torch.zeros(1), torch.tensor(0.0), torch.ones(1, dtype=torch.bool), 1.5)


def test_whitened_advantages_have_mean_zero_and_spread_one_over_tokens() -> None:
    mask = RandomStream(0).uniform(2, 12, 5) < 0.7
    values = RandomStream(0, 1).uniform(2, 12, 5)
    scaled = whitened(values, mask)
    for seed in range(2):
        tokens = scaled[seed][mask[seed]]
        assert float(tokens.mean()) == pytest.approx(0, abs=1e-12)
        assert float(tokens.square().mean()) == pytest.approx(1, abs=1e-4)


def test_ppo_learns_and_its_critic_learns_what_to_expect() -> None:
    task = ChainTask(skills=1, symbols=2, longest=1)
    seeds = range(4)
    chain, features = chain_world(seeds, task), QuestionFeatures(task)
    adam = partial(torch.optim.Adam, lr=0.05)
    agent = NeuralAgent("a", Linear(features.size, 3), features, task.space, RandomStream(seeds, 1), adam)
    critic = Critic("critic", Linear(features.size, 1), features, RandomStream(seeds, 2), adam)
    loop = PPO([agent], [critic], chain, CONFIG, seeds)
    questions = torch.arange(task.questions).expand(4, -1)

    def accuracy() -> float:
        batch = agent.generate(questions, 64, RandomStream(seeds, 9))
        return float(chain.verify(questions, batch).mean())

    before = accuracy()
    for _ in range(150):
        loop.step()
    assert accuracy() > max(0.9, before)
    encoded = agent.encode(questions, [agent.generate(questions, 64, RandomStream(seeds, 9))])
    part = encoded.take(encoded.rows())
    expected = critic.values(part.contexts.squeeze(-1), part.tokens)[..., 0].detach()
    assert float(expected.mean()) == pytest.approx(1, abs=0.15)


def test_a_batch_of_seeds_does_what_each_seed_does_alone() -> None:
    def trained(seeds: list[int]) -> Tensor:
        task = ChainTask(skills=1, symbols=2, longest=1)
        features = QuestionFeatures(task)
        adam = partial(torch.optim.Adam, lr=0.05)
        agent = NeuralAgent("a", Linear(features.size, 3), features, task.space, RandomStream(seeds, 1), adam)
        critic = Critic("critic", Linear(features.size, 1), features, RandomStream(seeds, 2), adam)
        loop = PPO([agent], [critic], chain_world(seeds, task), CONFIG, seeds)
        for _ in range(3):
            loop.step()
        return agent.parameters["out.weight"].detach()

    assert_close(trained([3, 5])[1], trained([5])[0])


def test_a_bandit_distils_to_the_teacher() -> None:
    seeds = range(8)
    arms = bandit_world(seeds, contexts=2, actions=3, length=2)
    learner, teacher = (
        TabularAgent(name, 3 * RandomStream(seeds, k).uniform(2, arms.space.prefixes, 3), arms.space)
        for k, name in enumerate(("learner", "teacher"))
    )

    def divergence() -> float:
        p, t = learner.response_log_probs(), teacher.response_log_probs()
        return float((p.exp() * (p - t)).sum(-1).mean())

    before = divergence()
    loop = OnPolicyDistillation([learner, teacher], 0, 1, arms, CONFIG, seeds)
    for _ in range(200):
        loop.step()
    assert divergence() < before / 4
