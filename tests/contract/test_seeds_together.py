"""Seeds that advance together are runs of their own: every small agent, in its world, through the training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import pytest
import torch

from hacrl_envs.bandit import bandit_world
from hacrl_envs.chain import ChainFeatures, ChainTask, QuestionFeatures, chain_world
from hacrl_envs.episodes import EpisodeWorld, reached_the_end
from hacrl_lab.agent import Agent
from hacrl_lab.agents.episodic import EpisodicAgent, Vocabulary
from hacrl_lab.agents.networks import GRU, MLP, CausalNetwork, Linear, Transformer
from hacrl_lab.agents.neural import NeuralAgent
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.baselines.turns import TurnTakingTeam
from hacrl_lab.config import TrainingConfig
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.seeding import RandomStream, Seeds, Stream
from hacrl_lab.trainer import Trainer
from hacrl_lab.worlds import World

SEEDS = (3, 8, 5)
STEPS = 3
ADAM = partial(torch.optim.Adam, lr=0.02)
TASK = ChainTask(skills=2, symbols=3, longest=2)
CONFIG = TrainingConfig(
    prompts_per_step=4, group_size=4, minibatches=2, capability_window=2, objective=ObjectiveSettings(delta=0.5)
)


def tables(seeds: Seeds) -> tuple[list[Agent], World]:
    world = bandit_world(seeds, contexts=4, actions=3, length=2)
    start = [RandomStream(seeds, Stream.EXAMPLES, k).uniform(4, world.space.prefixes, 3) for k in range(2)]
    return [TabularAgent(name, logits, world.space) for name, logits in zip("ab", start, strict=True)], world


def networks(seeds: Seeds, network: Callable[[int, int], CausalNetwork], features: Any) -> tuple[list[Agent], World]:
    stream = [RandomStream(seeds, Stream.EXAMPLES, k) for k in range(2)]
    net = network(features.size, TASK.space.actions)
    agents = [NeuralAgent(n, net, features, TASK.space, s, ADAM) for n, s in zip("ab", stream, strict=True)]
    return [*agents], chain_world(seeds, TASK)


def team(seeds: Seeds) -> tuple[list[Agent], World]:
    members, world = networks(seeds, MLP, QuestionFeatures(TASK))
    return [TurnTakingTeam("team", members)], world  # type: ignore[arg-type]


def players(seeds: Seeds, *networks: Callable[[int, int], CausalNetwork]) -> tuple[list[Agent], World]:
    make = partial(gymnasium.make, "FrozenLake-v1", disable_env_checker=True)  # the ice slips
    agents: list[Agent] = []
    for k, network in enumerate(networks):
        vocabulary = Vocabulary(4, pairs=k == 1)
        net = network(16, vocabulary.size)
        stream = RandomStream(seeds, Stream.EXAMPLES, k)
        agents.append(EpisodicAgent(f"player {k}", net, lambda seen: seen, vocabulary, stream, ADAM))
    return agents, EpisodeWorld(make, reached_the_end, 9, starts=3)


@dataclass(frozen=True)
class Kind:
    name: str
    make: Callable[[Seeds], tuple[list[Agent], World]]


KINDS = (
    Kind("tabular", tables),
    Kind("linear", partial(networks, network=Linear, features=ChainFeatures(TASK))),
    Kind("mlp", partial(networks, network=MLP, features=ChainFeatures(TASK))),
    Kind("mlp that sees numbers", partial(networks, network=MLP, features=QuestionFeatures(TASK))),
    Kind("gru", partial(networks, network=GRU, features=ChainFeatures(TASK))),
    Kind("transformer", partial(networks, network=Transformer, features=ChainFeatures(TASK))),
    Kind("team", team),
    Kind("players without memory", lambda seeds: players(seeds, Linear, MLP)),
    Kind("players with memory", lambda seeds: players(seeds, Transformer, GRU)),
)


def trained(kind: Kind, seeds: Seeds) -> tuple[list[dict[str, torch.Tensor]], dict[str, Any]]:
    """Every parameter of every agent, and the metrics of every step."""
    agents, world = kind.make(seeds)
    trainer = Trainer(agents, world, "hacpo", CONFIG, seeds)
    metrics = [trainer.step() for _ in range(STEPS)]
    parameters = [parameters_of(agent) for agent in agents]
    return parameters, {key: torch.stack([torch.as_tensor(step[key]) for step in metrics]) for key in metrics[0]}


def parameters_of(agent: Any, path: str = "") -> dict[str, torch.Tensor]:
    """Every parameter of an agent, by name; a team's of all its members."""
    if isinstance(agent, TurnTakingTeam):
        parts = [parameters_of(member, f"{k}/") for k, member in enumerate(agent.members)]
        return {name: value for part in parts for name, value in part.items()}
    return {path + name: value.detach().clone() for name, value in agent.parameters.items()}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_seeds_together_learn_what_each_learns_alone(kind: Kind) -> None:
    together, curves = trained(kind, SEEDS)
    assert all(together)
    for place, seed in enumerate(SEEDS):
        alone, own_curves = trained(kind, seed)
        for ours, theirs in zip(together, alone, strict=True):
            assert ours.keys() == theirs.keys()
            for name, value in theirs.items():
                torch.testing.assert_close(ours[name][place], value, rtol=0, atol=1e-9)
        assert curves.keys() == own_curves.keys()
        for key, values in own_curves.items():
            ours = curves[key] if curves[key].ndim == 1 else curves[key][:, place]
            torch.testing.assert_close(ours, values, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_seeds_differ_from_each_other_and_training_changes_them(kind: Kind) -> None:
    agents, _ = kind.make(SEEDS)
    after, _ = trained(kind, SEEDS)
    for agent, parts in zip(agents, after, strict=True):
        before = parameters_of(agent)
        weights = [name for name, value in parts.items() if value.ndim > 2]
        assert weights
        assert all(not torch.equal(parts[name][0], parts[name][1]) for name in weights)
        assert any(not torch.equal(parts[name], before[name]) for name in weights)
