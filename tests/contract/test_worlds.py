"""One suite over every world: what the training loop relies on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import gymnasium
import pytest
import torch

from envs.arithmetic import ArithmeticWorld
from envs.bandit import bandit_world
from envs.chain import ChainTask, ChainWorld, chain_world
from envs.episodes import EnvironmentStarts, EpisodeWorld, return_above
from envs.experts import demonstrate, optimal_policy
from envs.text import Problem, TextWorld, draw_from
from hacrl_lab.agents.base import World
from hacrl_lab.rollouts import RolloutBatch, TextPrompts
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verifiers import MathVerifier

P, G = 5, 2
KINDS = ("bandit", "chain", "lake", "stories", "problems")


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier() as one:
        yield one


@pytest.fixture
def world(request: pytest.FixtureRequest, verifier: MathVerifier) -> World:
    if request.param == "bandit":
        return bandit_world(0, contexts=6, actions=3, length=2)
    if request.param == "lake":
        make = partial(gymnasium.make, "FrozenLake-v1", is_slippery=False, disable_env_checker=True)
        return EpisodeWorld(make, return_above(0.5), max_steps=8, starts=1000)
    if request.param == "chain":
        return chain_world(0, ChainTask())
    if request.param == "stories":
        return ArithmeticWorld(verifier)
    return TextWorld(draw_from([Problem(f"half of {n}", f"\\frac{{{n}}}{{2}}") for n in range(40)]), verifier)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, EnvironmentStarts):
        return torch.equal(a.numbers, b.numbers)
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def answers(world: Any, prompts: Any, right: bool) -> RolloutBatch:
    """Every response right, or every response wrong, by the world's own knowledge of the answers."""
    done = torch.ones(P, G, dtype=torch.bool)
    if isinstance(prompts, TextPrompts):
        texts = [[f"so \\boxed{{{answer if right else answer + '+1'}}}"] * G for answer in prompts.answers]
        return RolloutBatch(texts, done, done.unsqueeze(-1), done.unsqueeze(-1))
    if isinstance(world, EpisodeWorld):
        policy = optimal_policy(world.env) if right else lambda seen: torch.zeros(seen.shape[:-1]).long()
        return demonstrate(prompts, policy, G, 0.0, RandomStream(0))
    if isinstance(world, ChainWorld):
        tokens = world.answers[prompts]
        tokens[:, 0] = tokens[:, 0] if right else (tokens[:, 0] + 1) % world.task.symbols
        actions = tokens.unsqueeze(1).expand(P, G, -1)
        return RolloutBatch(actions, done, actions, world.space.mask_of(actions))
    rows = world.answers[prompts].int()
    number = rows.argmax(-1) if right else rows.argmin(-1)
    actions = torch.stack([number // 3, number % 3], -1).unsqueeze(1).expand(P, G, 2)
    return RolloutBatch(actions, done, actions, torch.ones_like(actions, dtype=torch.bool))


every_kind = pytest.mark.parametrize("world", KINDS, indirect=True)


@every_kind
def test_the_same_stream_gives_the_same_prompts_and_another_gives_others(world: World) -> None:
    first, again, other = (world.sample_prompts(20, RandomStream(key)) for key in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)


@every_kind
@pytest.mark.parametrize("right", [True, False])
def test_right_responses_are_worth_one_and_wrong_ones_nothing(world: World, right: bool) -> None:
    prompts = world.sample_prompts(P, RandomStream(2))
    rewards = world.verify(prompts, answers(world, prompts, right))
    assert rewards.is_floating_point()
    assert torch.equal(rewards, torch.full((P, G), float(right), dtype=rewards.dtype))
