"""The ways to train two agents that are compared, each made from the same two agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from tqdm.auto import trange

from hacrl_envs.chain import ChainWorld
from hacrl_lab.agents.neural import Critic, NeuralAgent
from hacrl_lab.baselines.distillation import OffPolicyDistillation, OnPolicyDistillation
from hacrl_lab.baselines.ppo import PPO
from hacrl_lab.baselines.turns import TurnTakingTeam
from hacrl_lab.config import TrainingConfig
from hacrl_lab.methods import get_method
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.trainer import Trainer
from hacrl_studies.common.teams import Team
from hacrl_studies.common.testbeds import CHAIN
from hacrl_studies.common.training import final_success


class Loop(Protocol):
    """Something that trains step by step."""

    def step(self) -> object:
        """One step."""
        ...


@dataclass(frozen=True)
class Setup:
    """What a way to train starts from."""

    team: Team
    agents: list[NeuralAgent]
    world: ChainWorld
    training: TrainingConfig
    seeds: list[int]
    rate: float
    """Multiple of all learning rates in training."""
    stronger: int
    """The agent that succeeds more often before training, mean over seeds."""

    @property
    def weaker(self) -> int:
        """The other one."""
        return 1 - self.stronger


def alone(setup: Setup, method: str) -> Loop:
    """HACRL's loop with one of its methods."""
    return Trainer(setup.agents, setup.world, method, setup.training, setup.seeds)


def together(setup: Setup, method: str) -> Loop:
    """HACRL's loop with one agent: the team that answers in turns."""
    team = TurnTakingTeam("team", setup.agents)
    return Trainer([team], setup.world, method, setup.training, setup.seeds)


def with_critics(setup: Setup) -> Loop:
    """PPO; each critic has the network, the observation and the learning rate of its agent and starts untrained."""
    critics = [
        Critic(
            f"critic of {agent.name}",
            spec.network(agent.features.size, 1),
            agent.features,
            RandomStream(setup.seeds, Stream.CRITIC_WEIGHTS, k),
            partial(torch.optim.Adam, lr=spec.learning_rate),
        )
        for k, (spec, agent) in enumerate(zip(setup.team.agents, setup.agents, strict=True))
    ]
    for critic in critics:
        critic.scale_learning_rate(setup.rate)
    return PPO(setup.agents, critics, setup.world, setup.training, setup.seeds)


def distilled(setup: Setup, how: type[OffPolicyDistillation] | type[OnPolicyDistillation]) -> Loop:
    """The weaker agent learns from the stronger, who stays as it is."""
    return how(setup.agents, setup.weaker, setup.stronger, setup.world, setup.training, setup.seeds)


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    name: str
    label: str
    paradigm: str
    """What the paper's Figure 1 calls it."""
    make: Callable[[Setup], Loop]
    samplers: int
    """How many times P·G rollouts are generated in a step."""
    method: str | None = None
    """The method of HACRL's loop; None for a loop of its own."""
    deployed: Literal["alone", "in turns"] = "alone"
    """Whose success decides on the learning rate: that of each agent alone, or that of the two in turns."""

    def success(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """After training, as the agents are deployed: (S,)."""
        return final_success(arrays) if self.deployed == "alone" else arrays["team"][-1]

    def updates(self, training: TrainingConfig) -> int:
        """Optimiser updates in a step of an agent that learns."""
        agents = 2 if self.deployed == "alone" else 1
        return training.minibatches if self.method is None else training.updates(self.method, agents)


def _shared(method: str) -> Arm:
    """HACRL with one of its methods."""
    return Arm(method, get_method(method).label, "HACRL", partial(alone, method=method), 2, method)


def _team(name: str, label: str, method: str, samplers: int) -> Arm:
    """A team that is trained and deployed jointly."""
    return Arm(name, label, "joint", partial(together, method=method), samplers, method, "in turns")


ARMS = (
    Arm("gspo", "GSPO, each alone", "isolated RL", partial(alone, method="gspo"), 2, "gspo"),
    Arm("ppo", "PPO, each alone", "isolated RL", with_critics, 2),
    Arm("off_policy", "the stronger's right answers", "distillation", partial(distilled, how=OffPolicyDistillation), 1),
    Arm("on_policy", "reverse KL to the stronger", "distillation", partial(distilled, how=OnPolicyDistillation), 1),
    _team("team", "one team, in turns", "gspo", 1),
    _team("team_x2", "one team, in turns, ×2", "gspo_x2", 2),
    _shared("naive"),
    _shared("hacpo"),
    _shared("hacpo_ppo_clip_alpha0"),
)


def train(
    team: Team, arm: Arm, training: TrainingConfig, steps: int, seeds: Sequence[int], rate: float
) -> dict[str, np.ndarray]:
    """One way to train one pair, with a multiple of all learning rates, all seeds together.

    Returns:
        ``success``, of each agent alone, exact, before training and after every step, (steps + 1, agents, S); ``team``,
        of the two answering in turns, (steps + 1, S); ``stronger``, index of the stronger agent, ().
    """
    world = CHAIN.world(seeds)
    agents = CHAIN.agents(team, seeds)
    for agent in agents:
        agent.scale_learning_rate(rate)
    pair = TurnTakingTeam("team", agents)
    success = [np.stack([CHAIN.success(agent, world, seeds) for agent in agents])]
    in_turns = [CHAIN.success(pair, world, seeds)]
    stronger = int(success[0].mean(-1).argmax())
    loop = arm.make(Setup(team, agents, world, training, list(seeds), rate, stronger))
    for _ in trange(steps, desc=f"{team.name}, {arm.label}", unit="step", leave=None):
        loop.step()
        success.append(np.stack([CHAIN.success(agent, world, seeds) for agent in agents]))
        in_turns.append(CHAIN.success(pair, world, seeds))
    return {"success": np.array(success), "team": np.array(in_turns), "stronger": np.array(stronger)}
