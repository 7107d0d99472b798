"""The kinds of agents that the contract is checked on, and what they are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

import gymnasium
import torch
from torch import Tensor

from hacrl_envs.chain import ChainFeatures, ChainTask, QuestionFeatures
from hacrl_envs.episodes import EpisodeWorld, reached_the_end
from hacrl_envs.long_answers import LongAnswerTask
from hacrl_lab.agent import Agent, Policy
from hacrl_lab.agents.actions import MakeOptimizer, plain_ascent
from hacrl_lab.agents.episodic import EpisodicAgent, Vocabulary
from hacrl_lab.agents.networks import GRU, MLP, CausalNetwork, Linear, Transformer
from hacrl_lab.agents.neural import NeuralAgent
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.baselines.turns import TurnTakingTeam
from hacrl_lab.language_models.causal_lm import CausalLMSettings
from hacrl_lab.language_models.loading import load_agent
from hacrl_lab.language_models.prompting import Prompting
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream, Seeds
from hacrl_lab.worlds import TextPrompts
from hacrl_studies.common.writers import Writer

P, G = 4, 3
NETWORKS: dict[str, Callable[[int, int], CausalNetwork]] = {
    "linear": Linear,
    "mlp": MLP,
    "gru": GRU,
    "transformer": Transformer,
}
TABULAR = ("tabular", "tabular-seeds", "tabular-stops")
TEAMS = ("team", "team-seeds")
WRITERS = ("writer", "writer-seeds", "writer-style-cost")
PLAIN_ASCENT = (*TABULAR, *WRITERS)  # the others have Adam
EPISODIC = ("moves", "moves-seeds", "macro-moves", "macro-moves-gru")
LANGUAGE = ("qwen3", "llama", "gpt2")
KINDS = (*TABULAR, *TEAMS, *WRITERS, *NETWORKS, *(f"{name}-seeds" for name in NETWORKS), *EPISODIC, *LANGUAGE)
SETTINGS = CausalLMSettings(12, 1e-4, 1.0, Prompting(), "cpu", "float32", tokens_per_pass=0)
LONG_TASK = LongAnswerTask(length=7, symbols=3, skills=1, attributes=6, period=2)
TASK = ChainTask(skills=2, symbols=3, longest=2)
ADAM: MakeOptimizer = partial(torch.optim.Adam, lr=1e-3)


class LocalAgent(Agent, Policy, Protocol):
    """An agent that lives in this process."""

    tokens_per_pass: int


@dataclass(frozen=True)
class Kind:
    """A kind of agent."""

    name: str
    folders: Sequence[str]
    """Settings of the language models."""

    @property
    def seeds(self) -> Seeds:
        return range(2) if self.name.endswith("-seeds") else 0

    def stream(self, *key: int) -> RandomStream:
        return RandomStream(self.seeds, *key)

    def prompts(self) -> Any:
        """P prompts, two of them equal where prompts are numbers."""
        if self.name in LANGUAGE:
            return TextPrompts(["8+8", "10+12", "9+11", "12+12"], [()] * P)
        numbers = torch.tensor([4, 0, 2, 2])
        numbers = numbers if isinstance(self.seeds, int) else numbers.expand(2, P)
        return frozen_lake().starts_at(numbers) if self.name in EPISODIC else numbers

    def make(self, name: str, optimizer: MakeOptimizer | None = None) -> LocalAgent:
        """A fresh agent; names of different lengths are different policies."""
        if self.name in LANGUAGE:
            agent = load_agent(self.folders[LANGUAGE.index(self.name)], name, SETTINGS)
            with torch.no_grad():
                cast(Any, agent.model.get_output_embeddings()).weight.mul_(1 / len(name))  # less certain
            return agent
        if self.name in TABULAR:
            space = ResponseSpace(2, 3, stops=True) if self.name == "tabular-stops" else ResponseSpace(3, 2)
            logits = self.stream(len(name)).uniform(5, space.prefixes, 3)
            return TabularAgent(name, logits, space, optimizer or plain_ascent)
        if self.name in EPISODIC:
            vocabulary = Vocabulary(4, pairs=self.name.startswith("macro"))
            network = GRU(16, vocabulary.size) if self.name.endswith("gru") else MLP(16, vocabulary.size)
            stream = self.stream(len(name))
            return EpisodicAgent(name, network, lambda seen: seen, vocabulary, stream, optimizer or ADAM)
        if self.name in WRITERS:
            shapes = (2, 3), (1, 7, 2, 3)
            style, skills = (self.stream(len(name), part).uniform(*shape) for part, shape in enumerate(shapes))
            cost = 2.0 if self.name == "writer-style-cost" else 0.0
            return Writer(name, LONG_TASK, 2 * style, skills, optimizer or plain_ascent, cost)
        if self.name in TEAMS:
            members = [self._network(f"{name}, {part}", optimizer) for part in ("first", "the other")]
            return TurnTakingTeam(name, members)
        return self._network(name, optimizer)

    def _network(self, name: str, optimizer: MakeOptimizer | None) -> NeuralAgent:
        kind = "mlp" if self.name in TEAMS else self.name.removesuffix("-seeds")
        features = QuestionFeatures(TASK) if kind == "mlp" else ChainFeatures(TASK)
        network = NETWORKS[kind](features.size, TASK.space.actions)
        return NeuralAgent(name, network, features, TASK.space, self.stream(len(name)), optimizer or ADAM)


def frozen_lake() -> EpisodeWorld:
    """The ice slips; at most nine moves."""
    return EpisodeWorld(partial(gymnasium.make, "FrozenLake-v1", disable_env_checker=True), reached_the_end, 9)


class ChanceWorld:
    """Always the same prompts; every response is right or wrong by chance, those to the first prompt all right."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def sample_prompts(self, count: int, stream: RandomStream) -> Any:
        assert count == P
        return self.kind.prompts()

    def verify(self, prompts: Any, rollouts: RolloutBatch) -> Tensor:
        rewards = (self.kind.stream(9, len(rollouts.sampler)).uniform(P, G) < 0.5).double()
        rewards[..., 0, :] = 1
        return rewards
