"""What is trained: two tabular agents on each of many bandits, with several methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
import tyro

from hacrl_envs.bandit import BanditWorld, bandit_world
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.trainer import Trainer
from hacrl_runs.cache import Cell
from hacrl_studies.common.cli import check_methods
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.common.training import final_success, train_with
from hacrl_studies.common.tuning import tuned_cell

AGENTS = ("left", "right")


@dataclass(frozen=True)
class Options(ComparisonOptions):
    """Train two tabular agents on contextual bandits with several methods, all seeds at once."""

    seeds: int = 256
    """Independent bandits with their agents, from seed 0 on."""
    steps: int = 10
    """Training steps."""
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = TrainingConfig(prompts_per_step=8)
    methods: tuple[str, ...] = ("gspo", "gspo_x2", "naive", "hacpo")
    """What to train with; later ones are compared with the first."""
    contexts: int = 8
    """Contexts; each agent starts knowing half of them."""
    actions: int = 4
    """Actions at every position."""
    length: int = 3
    """Actions in a response; 1 is the ordinary contextual bandit."""
    right_share: float = 0.02
    """Share of the responses that are right, at least one a context."""
    knowledge: float = 2.0
    """How much larger the logits along one right response are in the contexts that an agent knows."""
    learning_rate: float = 0.5
    """Learning rate of Adam, of which multiples are tried."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_methods(self.methods, self.training)


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[str, Cell]:
    """One for each method."""
    return {method: cell(options, method) for method in options.methods}


def cell(options: Options, method: str) -> Cell:
    """Training with one method."""
    settings = {name: value for name, value in options.settings().items() if name != "methods"}
    settings |= {"study": "bandit", "method": method}
    of_rate = partial(train, options, method)
    return tuned_cell(f"bandit-{method}", of_rate, final_success, options.seeds, options.sweep, settings)


def train(options: Options, method: str, seeds: Sequence[int], rate: float) -> Mapping[str, np.ndarray]:
    """One method with a multiple of the learning rate; arrays as those of ``train_with``, with exact success."""
    world = bandit_world(seeds, options.contexts, options.actions, options.length, options.right_share)
    agents = knowing_agents(options, world, seeds)
    for agent in agents:
        agent.scale_learning_rate(rate)
    trainer = Trainer(agents, world, method, options.training, seeds)
    return train_with(trainer, options.steps, partial(exact_success, world=world), f"{len(seeds)} bandits")


def knowing_agents(options: Options, world: BanditWorld, seeds: Sequence[int]) -> list[TabularAgent]:
    """Two agents per seed; each prefers one right response in its own half of the contexts."""
    space = world.space
    number = world.answers.int().argmax(-1)  # (S, contexts): of one right response
    response = space.tokens[number]  # (S, contexts, T)
    path = space.prefix_index(response) * space.actions + response  # logits along it
    optimizer = partial(torch.optim.Adam, lr=options.learning_rate)
    agents = []
    for k, name in enumerate(AGENTS):
        stream = RandomStream(seeds, Stream.BANDIT_WEIGHTS, k)
        logits = stream.uniform(options.contexts, space.prefixes, space.actions)
        knows = (torch.arange(options.contexts) * len(AGENTS) // options.contexts == k).double()
        logits.flatten(-2).scatter_add_(-1, path, options.knowledge * knows[:, None].expand(path.shape))
        agents.append(TabularAgent(name, logits, space, optimizer))
    return agents


def exact_success(agent: TabularAgent, world: BanditWorld) -> np.ndarray:
    """The probability of a right response, mean over contexts: (S,)."""
    return (agent.response_log_probs().exp() * world.answers).sum(-1).mean(-1).numpy()
