"""Small neural policies: a causal network over features of the prompt and the actions so far, batched over seeds."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from hacrl_lab.agents.actions import ActionAgent, MakeOptimizer
from hacrl_lab.agents.networks import CausalNetwork
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.seeding import RandomStream


class Features(Protocol):
    """How an agent sees a prompt and its own actions so far; agents may see the same world differently."""

    @property
    def size(self) -> int:
        """F, the number of features."""
        ...

    def __call__(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """Features of every position, from the prompt and the actions *before* it.

        Args:
            prompts: (..., P).
            tokens: (..., n, P, G, T).

        Returns:
            (..., n, P, G, T, F), float64.
        """
        ...


def initial_parameters(network: nn.Module, stream: RandomStream, scale: float = 1.0) -> dict[str, Tensor]:
    """Random parameters in the shapes of a network: weights uniform with variance scale²/fan_in, biases 0; float64.

    Args:
        network: gives names and shapes.
        stream: source of randomness; with several seeds every parameter has their leading axis.
        scale: 1 keeps the variance of activations.
    """
    parameters = {}
    for name, value in network.named_parameters():
        draws = stream.uniform(*value.shape)
        width = scale * (12 / value.shape[-1]) ** 0.5 if value.ndim > 1 else 0.0
        parameters[name] = width * (draws - 0.5)
    return parameters


class NeuralAgent(ActionAgent):
    """A causal network that turns features into logits.

    Args:
        name: unique name.
        network: (B, T, F) -> (B, T, actions), for instance of :mod:`hacrl_lab.agents.networks`; only its shape is used.
        features: how the agent sees prompts and actions.
        space: what the agent can say.
        stream: of the initial parameters; its seeds are the leading axis.
        optimizer: see :data:`hacrl_lab.agents.actions.MakeOptimizer`.
        scale: of the initial weights.
    """

    def __init__(
        self,
        name: str,
        network: CausalNetwork,
        features: Features,
        space: ResponseSpace,
        stream: RandomStream,
        optimizer: MakeOptimizer,
        scale: float = 1.0,
    ) -> None:
        super().__init__(name, space, initial_parameters(network, stream, scale), optimizer)
        self.network = network
        self.features = features
        self._batched = stream.batched

    @property
    def leading(self) -> int:
        """1 with several seeds, else 0."""
        return int(self._batched)

    def action_logits(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """One forward pass, (..., n, P, G, T, actions)."""
        inputs = self.features(prompts, tokens)
        flat = inputs.flatten(self.leading, -3)  # (S?, n·P·G, T, F)
        logits = vmap(self._forward)(self.parameters, flat) if self._batched else self._forward(self.parameters, flat)
        return logits.reshape(*inputs.shape[:-1], self.space.actions)

    def _forward(self, parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(self.network, parameters, (inputs,))


def one_hot(values: Tensor, classes: int) -> Tensor:
    """Float64 one-hot vectors: (...) -> (..., classes)."""
    return torch.nn.functional.one_hot(values, classes).double()
