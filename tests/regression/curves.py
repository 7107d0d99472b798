"""Short runs of every part of the training loop, in float64: their metrics are recorded in ``curves.json``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import gymnasium
import torch

from hacrl_envs.bandit import bandit_world
from hacrl_envs.chain import ChainFeatures, ChainTask, QuestionFeatures, chain_world
from hacrl_envs.episodes import EpisodeWorld, reached_the_end
from hacrl_lab.agent import Agent
from hacrl_lab.agents.episodic import EpisodicAgent, Vocabulary
from hacrl_lab.agents.networks import GRU, MLP
from hacrl_lab.agents.neural import NeuralAgent
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.trainer import Trainer
from hacrl_lab.worlds import World

RECORDED = Path(__file__).with_name("curves.json")
STEPS, SEEDS = 5, (3, 8)
CONFIG = TrainingConfig(6, 4, minibatches=2, capability_window=3, objective=ObjectiveSettings(delta=0.5))
ADAM = partial(torch.optim.Adam, lr=0.05)

Curve = dict[str, list[list[float]]]
"""By metric: every step's value for every seed."""


def bandit() -> tuple[list[Agent], World]:
    """Two tables over sequences of two actions."""
    world = bandit_world(SEEDS, contexts=8, actions=4, length=2, right_share=0.3)
    start = [RandomStream(SEEDS, Stream.EXAMPLES, k).uniform(8, world.space.prefixes, 4) for k in range(2)]
    return [TabularAgent(f"agent{k}", 2 * logits, world.space, ADAM) for k, logits in enumerate(start)], world


def chain() -> tuple[list[Agent], World]:
    """A perceptron that observes numbered questions and a recurrent network that observes their parts."""
    task = ChainTask()
    agents: list[Agent] = []
    for k, (network, features) in enumerate(((MLP, QuestionFeatures(task)), (GRU, ChainFeatures(task)))):
        stream = RandomStream(SEEDS, Stream.EXAMPLES, k)
        net = network(features.size, task.space.actions)
        agents.append(NeuralAgent(f"agent{k}", net, features, task.space, stream, ADAM))
    return agents, chain_world(SEEDS, task)


def frozen_lake() -> tuple[list[Agent], World]:
    """A player of single moves without memory, and one of macro-moves with memory; the ice slips."""
    agents: list[Agent] = []
    for k, network in enumerate((MLP, GRU)):
        vocabulary = Vocabulary(4, pairs=k == 1)
        stream = RandomStream(SEEDS, Stream.EXAMPLES, k)
        net = network(16, vocabulary.size)
        agents.append(EpisodicAgent(f"agent{k}", net, lambda seen: seen, vocabulary, stream, ADAM))
    make = partial(gymnasium.make, "FrozenLake-v1", disable_env_checker=True)
    return agents, EpisodeWorld(make, reached_the_end, max_steps=9, starts=3)


RUNS: dict[str, tuple[Callable[[], tuple[Sequence[Agent], World]], str]] = {
    "bandit gspo": (bandit, "gspo"),
    "bandit naive": (bandit, "naive"),
    "bandit hacpo": (bandit, "hacpo"),
    "chain hacpo": (chain, "hacpo"),
    "frozen_lake hacpo": (frozen_lake, "hacpo"),
}


def curve(name: str) -> Curve:
    """The metrics of a run of :data:`RUNS`."""
    make, method = RUNS[name]
    agents, world = make()
    trainer = Trainer(agents, world, method, CONFIG, SEEDS)
    steps = [trainer.step() for _ in range(STEPS)]
    return {key: [step[key].double().expand(len(SEEDS)).tolist() for step in steps] for key in steps[0]}
