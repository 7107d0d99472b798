"""What the loops of this package share with the Trainer: prompts, random streams and mini-batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor

from hacrl_lab.agent import Agent, Policy
from hacrl_lab.config import TrainingConfig
from hacrl_lab.seeding import RandomStream, Seeds, StepStream
from hacrl_lab.worlds import World


class TrainableAgent(Agent, Policy, Protocol):
    """An agent whose parameters are in this process, so that a loop can compute losses of its own with it."""


class BaselineTrainer(ABC):
    """A loop that learns from verified answers, on the same prompts in the same order as the Trainer.

    :class:`hacrl_lab.trainer.Trainer` is HACRL's loop: every agent samples, the world verifies, rewards become
    advantages. Learning from a teacher or with a critic is another loop; this class has the few lines that it shares.

    Args:
        world: prompts and verification.
        config: sizes and clip widths ε; what concerns cross rollouts is not used.
        seeds: as for the Trainer.
    """

    def __init__(self, world: World, config: TrainingConfig, seeds: Seeds) -> None:
        self.world = world
        self.config = config
        self.seeds = seeds
        self.steps_done = 0

    def step(self) -> None:
        """Draw the step's prompts and learn from them."""
        self.learn(self.world.sample_prompts(self.config.prompts_per_step, self._stream(StepStream.PROMPTS)))
        self.steps_done += 1

    @abstractmethod
    def learn(self, prompts: Any) -> None:
        """One step on P prompts: rollouts and updates."""

    @property
    def clip_bounds(self) -> tuple[float, float]:
        """1 − ε_low and 1 + ε_high."""
        return 1 - self.config.objective.epsilon_low, 1 + self.config.objective.epsilon_high

    def generation_stream(self, sampler: int) -> RandomStream:
        """The numbers with which agent ``sampler`` draws its rollouts in this step."""
        return self._stream(StepStream.GENERATION, sampler)

    def minibatches(self, learner: int) -> Iterator[Tensor]:
        """The step's prompts in mini-batches, in the order that the Trainer takes: indices (..., P/M)."""
        order = self._stream(StepStream.MINIBATCHES, learner).permutation(self.config.prompts_per_step)
        yield from order.tensor_split(self.config.minibatches, dim=-1)

    def _stream(self, *key: int) -> RandomStream:
        return RandomStream(self.seeds, self.steps_done, *key)
