"""What the paradigms that are not HACRL's share with the training loop: prompts, random streams and mini-batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from hacrl_lab.agents.base import World
from hacrl_lab.config import TrainingConfig
from hacrl_lab.seeding import RandomStream, Seeds
from hacrl_lab.trainer import GENERATION, MINIBATCHES, PROMPTS


class Paradigm(ABC):
    """Another way to learn from verified answers, on the same prompts in the same order as :class:`Trainer`.

    The Trainer is HACRL's loop: everyone samples, everyone is verified, rewards become advantages. What learns from a
    teacher or from a critic does not fit into it and should not; these are the few lines that they need instead.

    Args:
        world: prompts and verification.
        config: sizes and clip widths; its method is not used.
        seeds: as for the Trainer.
    """

    def __init__(self, world: World, config: TrainingConfig, seeds: Seeds) -> None:
        self.world = world
        self.config = config
        self.seeds = seeds
        self.steps_done = 0

    def step(self) -> None:
        """Draw the step's prompts and learn from them."""
        self.learn(self.world.sample_prompts(self.config.prompts_per_step, self._stream(PROMPTS)))
        self.steps_done += 1

    @abstractmethod
    def learn(self, prompts: Any) -> None:
        """One step on P prompts: rollouts and updates."""

    def generation_stream(self, sampler: int) -> RandomStream:
        """The numbers with which agent ``sampler`` draws its rollouts in this step."""
        return self._stream(GENERATION, sampler)

    def minibatch_indices(self, learner: int) -> Iterator[Tensor]:
        """The step's prompts in mini-batches, in the order that the Trainer would take: indices (..., P/M)."""
        order = self._stream(MINIBATCHES, learner).permutation(self.config.prompts_per_step)
        yield from order.tensor_split(self.config.minibatches, dim=-1)

    def _stream(self, *key: int) -> RandomStream:
        return RandomStream(self.seeds, self.steps_done, *key)
