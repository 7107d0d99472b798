"""One suite over every world: what the training loop relies on, and that answers stay with the world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import pytest
import torch
from reachable import reachable
from torch import Tensor

from hacrl_envs.arithmetic import ArithmeticWorld
from hacrl_envs.bandit import BanditWorld, bandit_world
from hacrl_envs.chain import ChainTask, ChainWorld, chain_world
from hacrl_envs.episodes import EnvironmentStarts, EpisodeWorld, return_above
from hacrl_envs.experts import demonstrate, optimal_policy
from hacrl_envs.long_answers import LongAnswerTask, LongAnswerWorld, long_answer_world
from hacrl_envs.text import Problem, TextWorld, by_answer, draw_in_epochs
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_lab.worlds import TextPrompts, World

P, G = 5, 2
KINDS = ("bandit", "chain", "long_answers", "frozen_lake", "stories", "problems")


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier() as one:
        yield one


@pytest.fixture
def world(request: pytest.FixtureRequest, verifier: MathVerifier) -> World:
    if request.param == "bandit":
        return bandit_world(0, contexts=6, actions=3, length=2)
    if request.param == "frozen_lake":
        make = partial(gymnasium.make, "FrozenLake-v1", is_slippery=False, disable_env_checker=True)
        return EpisodeWorld(make, return_above(0.5), max_steps=8, starts=1000)
    if request.param == "chain":
        return chain_world(0, ChainTask())
    if request.param == "long_answers":
        return long_answer_world(0, LongAnswerTask(length=6, symbols=4))
    if request.param == "stories":
        return ArithmeticWorld(verifier)
    return TextWorld(
        draw_in_epochs([Problem(f"half of {n}", f"\\frac{{{n}}}{{2}}") for n in range(40)]), by_answer(verifier)
    )


def same(a: Any, b: Any) -> bool:
    if isinstance(a, EnvironmentStarts):
        return torch.equal(a.numbers, b.numbers)
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def answers(world: Any, prompts: Any, right: bool) -> RolloutBatch:
    """Every response right, or every response wrong, by the world's own knowledge of the answers."""
    done = torch.ones(P, G, dtype=torch.bool)
    if isinstance(prompts, TextPrompts):
        known = [world._asked[question].answer for question in prompts.questions]
        texts = [[f"so \\boxed{{{answer if right else answer + '+1'}}}"] * G for answer in known]
        return RolloutBatch("somebody", texts, done)
    if isinstance(world, EpisodeWorld):
        policy = optimal_policy(world.env) if right else lambda seen: torch.zeros(seen.shape[:-1]).long()
        return demonstrate(prompts, policy, G, 0.0, RandomStream(0))
    if isinstance(world, LongAnswerWorld):
        style = RandomStream(3).integers(world.task.symbols, P, world.task.style_tokens)
        tokens = torch.cat([style, world.right_tokens(prompts)], -1)
        tokens[:, -1] = tokens[:, -1] if right else (tokens[:, -1] + 1) % world.task.symbols
        return RolloutBatch("somebody", tokens.unsqueeze(1).expand(P, G, -1), done)
    if isinstance(world, ChainWorld):
        tokens = world.answers[prompts]
        tokens[:, 0] = tokens[:, 0] if right else (tokens[:, 0] + 1) % world.task.symbols
        return RolloutBatch("somebody", tokens.unsqueeze(1).expand(P, G, -1), done)
    rows = world.answers[prompts].int()
    number = rows.argmax(-1) if right else rows.argmin(-1)
    actions = torch.stack([number // 3, number % 3], -1).unsqueeze(1).expand(P, G, 2)
    return RolloutBatch("somebody", actions, done)


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


@every_kind
def test_prompts_that_agents_are_handed_lead_neither_to_the_world_nor_to_its_answers(world: World) -> None:
    prompts = world.sample_prompts(P, RandomStream(2))
    seen = reachable(prompts)
    assert len(seen) >= 1
    for secret in secrets(world, prompts):
        assert not any(tells(one, secret) for one in seen)


def secrets(world: Any, prompts: Any) -> list[Any]:
    """What only the world knows: itself, its functions that tell right from wrong, its answers."""
    if isinstance(world, TextWorld):
        assert len(world._asked) > 1
        answers = [problem.answer for problem in world._asked.values()]
        return [world, world._grade, world._draw, world._asked, *world._asked.values(), *answers]
    if isinstance(world, EpisodeWorld):
        return [world, world._success]
    if isinstance(world, LongAnswerWorld):
        return [world, world.rules, world.right_tokens(prompts)]
    assert isinstance(world, BanditWorld | ChainWorld)
    return [world, world.answers, world.answers[prompts], *([world.rules] if isinstance(world, ChainWorld) else [])]


def tells(one: Any, secret: Any) -> bool:
    """Whether an object is a secret, or says the same."""
    if isinstance(secret, Tensor):
        return isinstance(one, Tensor) and (
            torch.equal(one, secret.to(one.dtype))
            or one.untyped_storage().data_ptr() == secret.untyped_storage().data_ptr()
        )
    return one is secret or (isinstance(secret, str) and one == secret)


class Slotted:
    __slots__ = ("inside",)

    def __init__(self, inside: object) -> None:
        self.inside = inside


@dataclass(frozen=True)
class Holder:
    inside: object

    def method(self) -> None: ...


def closure(secret: object) -> Callable[[], object]:
    return lambda: secret


def default(secret: object) -> Callable[..., object]:
    def function(argument: object = secret, *, word: object = secret) -> object:
        return argument, word

    return function


HIDING = {
    "itself": lambda secret: secret,
    "field": Holder,
    "slot": Slotted,
    "list": lambda secret: [1, [secret]],
    "tuple": lambda secret: (1, (secret,)),
    "key": lambda secret: {secret: 1},
    "value": lambda secret: {"a": {"b": secret}},
    "set": lambda secret: {1, frozenset({secret})},
    "closure": closure,
    "default": default,
    "argument": lambda secret: partial(max, secret),
    "keyword": lambda secret: partial(max, key=secret),
    "bound": lambda secret: Holder(secret).method,
    "within": lambda secret: Holder([partial(max, closure(Slotted(secret)))]),
}


@pytest.mark.parametrize("hide", HIDING.values(), ids=HIDING)
@pytest.mark.parametrize("secret", ["42", torch.tensor([4.0, 2.0])], ids=["text", "tensor"])
def test_a_secret_is_found_wherever_it_is_hidden(hide: Callable[[Any], Any], secret: Any) -> None:
    """The walk above can fail."""
    assert any(tells(one, secret) for one in reachable(hide(secret)))
    assert not any(tells(one, secret) for one in reachable(hide("another")))


def test_a_world_that_hands_itself_out_would_be_noticed() -> None:
    world = bandit_world(0, contexts=6, actions=3, length=2)
    prompts = Holder(world.verify)
    assert any(tells(one, world) for one in reachable(prompts))
    assert any(tells(one, world.answers) for one in reachable(prompts))


@pytest.mark.parametrize("world", ["stories", "problems"], indirect=True)
def test_questions_that_a_world_has_not_drawn_are_refused(world: World) -> None:
    prompts = world.sample_prompts(P, RandomStream(2))
    asked = TextPrompts([*prompts.questions[:-1], "What else?"], prompts.topics)
    with pytest.raises(ValueError, match="the question 'What else\\?' was not drawn by this world"):
        world.verify(asked, answers(world, prompts, right=True))


@every_kind
def test_verification_depends_on_prompts_and_responses_alone(world: World) -> None:
    prompts = world.sample_prompts(P, RandomStream(2))
    right = answers(world, prompts, right=True)
    before = world.verify(prompts, right)
    world.sample_prompts(50, RandomStream(3))
    assert torch.equal(world.verify(prompts, right), before)
