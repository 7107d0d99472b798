"""Small neural policies: a causal network over features of the prompt and the actions so far, batched over seeds."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn
from torch.func import functional_call, vmap

from hacrl_lab.agents.actions import ActionPolicy, MakeOptimizer, Parameters
from hacrl_lab.agents.networks import CausalNetwork
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.seeding import RandomStream


class Features(Protocol):
    """An agent's observation of a prompt and its own actions so far; agents may observe the same world differently."""

    @property
    def size(self) -> int:
        """F, the number of features."""
        ...

    def __call__(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """Features of every position, from the prompt and the actions *before* it.

        Args:
            prompts: question or context numbers, (..., R).
            tokens: (..., R, T).

        Returns:
            (..., R, T, F), float64.
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


class SequenceNetwork(Parameters):
    """A causal network over features of prompts and the tokens so far, whatever its outputs are used for.

    Args:
        name: unique name.
        network: (B, T, F) -> (B, T, outputs), for instance of :mod:`hacrl_lab.agents.networks`; only its shape is used.
        features: the observation of prompts and actions.
        stream: of the initial parameters; its seeds are the leading axis.
        optimizer: see :data:`hacrl_lab.agents.actions.MakeOptimizer`.
        scale: of the initial weights.
    """

    def __init__(
        self,
        name: str,
        network: CausalNetwork,
        features: Features,
        stream: RandomStream,
        optimizer: MakeOptimizer,
        scale: float = 1.0,
    ) -> None:
        super().__init__(name, initial_parameters(network, stream, scale), optimizer, leading=int(stream.batched))
        self.network = network
        self.features = features

    def outputs(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """One forward pass, (..., R) and (..., R, T) -> (..., R, T, outputs)."""
        return batched_forward(self.network, self.parameters, self.features(prompts, tokens), self.leading)


def batched_forward(network: nn.Module, parameters: dict[str, Tensor], inputs: Tensor, leading: int) -> Tensor:
    """A network's outputs, with parameters of its own for every index of the leading axis.

    Args:
        network: (B, T, F) -> (B, T, outputs).
        parameters: by name, (S?, ...).
        inputs: (S?, ..., T, F).
        leading: 1 if there is a leading axis S, else 0.

    Returns:
        (S?, ..., T, outputs).
    """

    def forward(parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(network, parameters, (inputs,))

    flat = inputs.flatten(leading, -3)
    outputs = vmap(forward)(parameters, flat) if leading else forward(parameters, flat)
    return outputs.reshape(*inputs.shape[:-1], outputs.shape[-1])


class NeuralAgent(SequenceNetwork, ActionPolicy):
    """A causal network that turns features into logits.

    Args:
        name, network, features, stream, optimizer, scale: see :class:`SequenceNetwork`; the network has
            ``space.actions`` outputs.
        space: what the agent can say.
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
        super().__init__(name, network, features, stream, optimizer, scale)
        self.space = space

    def action_logits(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """One forward pass, (..., R, T, actions)."""
        return self.outputs(prompts, tokens)


class Critic(SequenceNetwork):
    """A causal network with one output, the value of a prompt and the actions so far: the expected reward from there.

    Args:
        name, network, features, stream, optimizer, scale: see :class:`SequenceNetwork`.
    """

    def values(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """V *before* each action, differentiable: (..., R) and (..., R, T) -> (..., R, T)."""
        return self.outputs(prompts, tokens).squeeze(-1)
