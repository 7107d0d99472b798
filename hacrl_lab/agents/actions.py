"""What agents whose tokens are actions have in common, whatever computes their logits; batched over seeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from hacrl_lab.errors import NonFiniteError
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch, pad_stack
from hacrl_lab.seeding import RandomStream

MakeOptimizer = Callable[[list[Tensor]], Optimizer]
"""From the list of parameters to an elementwise optimiser, so that seeds stay independent."""


def plain_ascent(parameters: list[Tensor]) -> Optimizer:
    """Gradient steps of length 1."""
    return torch.optim.SGD(parameters, lr=1.0)


class ParameterAgent(ABC):
    """What is left of an agent without its way to act: named parameters, an optimiser, one copy for every seed.

    Args:
        name: unique name.
        parameters: by name, leading axes (...) are seeds; copied.
        optimizer: see :data:`MakeOptimizer`.
    """

    def __init__(self, name: str, parameters: Mapping[str, Tensor], optimizer: MakeOptimizer) -> None:
        self.name = name
        self.parameters = {key: value.detach().clone().requires_grad_() for key, value in parameters.items()}
        self._optimizer = optimizer(list(self.parameters.values()))

    @property
    @abstractmethod
    def leading(self) -> int:
        """The number of leading axes of the parameters."""

    def gradient_norm(self) -> Tensor:
        """The L2 norm of the gradients gathered since the last update, each seed's own: (...).

        Raises:
            NonFiniteError: it is inf or nan.
        """
        gradients = [value.grad for value in self.parameters.values()]
        assert all(one is not None for one in gradients), "an update needs a backward pass first"
        squares = [one.square().flatten(self.leading).sum(-1) for one in gradients if one is not None]
        norm = torch.stack(squares).sum(0).sqrt()
        if not bool(torch.isfinite(norm).all()):
            raise NonFiniteError(f"the gradient of agent {self.name!r} is not finite; the update was not applied")
        return norm

    def apply_gradients(self) -> Tensor:
        """One optimiser step; the norm is each seed's own."""
        norm = self.gradient_norm()
        self._optimizer.step()
        self._optimizer.zero_grad()
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Parameters and the optimiser's state."""
        parameters = {key: value.detach() for key, value in self.parameters.items()}
        return {"parameters": parameters, "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        with torch.no_grad():
            for key, value in self.parameters.items():
                value.copy_(state["parameters"][key])
        self._optimizer.load_state_dict(state["optimizer"])


class ActionPolicy(ABC):
    """How to answer in actions of a :class:`ResponseSpace`, given the logits of the next action."""

    name: str
    """Unique among the agents of a run."""
    space: ResponseSpace
    """What can be said."""

    @abstractmethod
    def action_logits(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """Logits of every action at every position, given the actions before it.

        Args:
            prompts: (..., P).
            tokens: (..., n, P, G, T).

        Returns:
            (..., n, P, G, T, actions); position t does not depend on tokens t and later.
        """

    @torch.no_grad()
    def generate(self, prompts: Tensor, group_size: int, stream: RandomStream) -> RolloutBatch:
        """Sample by inverse transform; prompts are question or context numbers (..., P)."""
        uniforms = stream.uniform(prompts.shape[-1], group_size, self.space.length)  # (..., P, G, T)
        actions = torch.zeros(uniforms.shape, dtype=torch.int64)
        for t in range(self.space.length):
            so_far = actions[..., None, :, :, : t + 1]
            logits = self.action_logits(prompts, so_far)[..., 0, :, :, t, :]  # (..., P, G, A)
            actions[..., t] = sample(logits, uniforms[..., t])
        mask = self.space.mask_of(actions)
        stopped = (actions == self.space.symbols).any(-1)
        finished = stopped if self.space.stops else torch.ones_like(stopped)
        return RolloutBatch(actions * mask, finished, actions * mask, mask)

    def encode(self, prompts: Tensor, pool: Sequence[tuple[str, RolloutBatch]]) -> EncodedRollouts:
        """Actions are their own tokens: responses are taken as they are."""
        tokens = pad_stack([batch.responses for _, batch in pool], 0)
        mask = pad_stack([batch.mask for _, batch in pool], False)
        contexts = prompts.unsqueeze(-1)
        return EncodedRollouts(contexts, torch.ones_like(contexts, dtype=torch.bool), tokens, mask)

    def token_log_probs(self, encoded: EncodedRollouts) -> Tensor:
        """Log π of every action, (..., n, P, G, T)."""
        logits = self.action_logits(encoded.contexts.squeeze(-1), encoded.tokens)
        return logits.log_softmax(-1).gather(-1, encoded.tokens.unsqueeze(-1)).squeeze(-1)


class ActionAgent(ActionPolicy, ParameterAgent):
    """An agent with parameters of its own that answers in actions.

    Args:
        name, parameters, optimizer: see :class:`ParameterAgent`.
        space: what the agent can say.
    """

    def __init__(
        self, name: str, space: ResponseSpace, parameters: Mapping[str, Tensor], optimizer: MakeOptimizer
    ) -> None:
        super().__init__(name, parameters, optimizer)
        self.space = space


def sample(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Draw from softmax distributions by inverse transform: (..., A) and (...) -> (...)."""
    edges = logits.softmax(-1).cumsum(-1)
    return (uniforms.unsqueeze(-1) >= edges[..., :-1]).sum(-1)
