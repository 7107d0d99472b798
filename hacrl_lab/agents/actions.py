"""What agents whose tokens are actions have in common, whatever computes their logits; batched over seeds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from hacrl_lab.agents.local import LocalAgent
from hacrl_lab.agents.state import load_policy, save_policy
from hacrl_lab.divergence import too_large
from hacrl_lab.errors import NonFiniteError
from hacrl_lab.learner import LearnerBatch
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch, pad_stack
from hacrl_lab.schedules import EmptyUpdates
from hacrl_lab.seeding import RandomStream

MakeOptimizer = Callable[[list[Tensor]], Optimizer]
"""From the list of parameters, each seed's apart, to their optimiser."""


def plain_ascent(parameters: list[Tensor]) -> Optimizer:
    """Gradient steps of length 1."""
    return torch.optim.SGD(parameters, lr=1.0)


class Parameters:
    """Named parameters with their optimiser, one copy for every seed.

    The seeds of a parameter are one tensor, so that one pass computes all of them. The optimiser sees each seed's part
    of that tensor as a parameter of its own, so that its state, for instance Adam's number of steps, is the seed's own.

    Args:
        name: of the agent or critic that they belong to.
        parameters: by name, leading axes (...) are seeds; copied.
        optimizer: see :data:`MakeOptimizer`.
        leading: number of leading axes.
    """

    def __init__(self, name: str, parameters: Mapping[str, Tensor], optimizer: MakeOptimizer, leading: int) -> None:
        self.name = name
        self.leading = leading
        self.parameters = {
            key: value.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
            for key, value in parameters.items()
        }
        self._parts = {
            key: [part.requires_grad_() for part in _by_seed(value, leading)] for key, value in self.parameters.items()
        }
        self._optimizer = optimizer([part for parts in self._parts.values() for part in parts])
        self._reference: dict[str, Tensor] | None = None

    def set_reference(self) -> None:
        """Keep the parameters as they are now."""
        self._reference = {key: value.detach().clone() for key, value in self.parameters.items()}

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Within it, the parameters are those that :meth:`set_reference` kept.

        Raises:
            ValueError: none were kept.
        """
        if self._reference is None:
            raise ValueError(f"agent {self.name!r} has no reference: set_reference() must come before training")
        mine, self.parameters = self.parameters, self._reference
        try:
            yield
        finally:
            self.parameters = mine

    def gradient_norm(self) -> Tensor:
        """The L2 norm of the gradients gathered since the last update, each seed's own: (...).

        Parameters through which no backward pass went have gradient 0.

        Raises:
            NonFiniteError: it is inf or nan.
        """
        squares = []
        for value in self.parameters.values():
            if value.grad is None:
                value.grad = torch.zeros_like(value)
            squares.append(value.grad.square().flatten(self.leading).sum(-1))
        norm = torch.stack(squares).sum(0).sqrt()
        if not bool(torch.isfinite(norm).all()):
            raise NonFiniteError(f"the gradient of agent {self.name!r} is not finite; the update was not applied")
        return norm

    def apply_gradients(self, empty: EmptyUpdates = "skip") -> Tensor:
        """One optimiser step of every seed that has a gradient; see :meth:`hacrl_lab.agent.Policy.apply_gradients`."""
        norm = self.gradient_norm()
        moves = (norm > 0).flatten().tolist() if empty == "skip" else [True] * norm.numel()
        for key, value in self.parameters.items():
            assert value.grad is not None, "gradient_norm gives every parameter a gradient"
            gradients = _by_seed(value.grad, self.leading)
            for part, gradient, its_seed_moves in zip(self._parts[key], gradients, moves, strict=True):
                part.grad = gradient if its_seed_moves else None  # optimisers leave such a part and its state alone
            value.grad = None
        self._optimizer.step()
        return norm

    def divergence(self, batch: LearnerBatch) -> str:
        """See :func:`hacrl_lab.divergence.too_large`."""
        return too_large(self.parameters.values(), self.name, batch.step)

    def scale_learning_rate(self, factor: float) -> None:
        """Multiply the learning rate of all later updates; the optimiser keeps its state.

        Args:
            factor: > 0.

        Raises:
            ValueError: it is not.
        """
        if not factor > 0:
            raise ValueError(f"factor must be > 0, got {factor}")
        for group in self._optimizer.param_groups:
            group["lr"] *= factor

    def save(self, folder: Path) -> None:
        """Write parameters and the optimiser's state."""
        save_policy(folder, self._named_parts(), self._optimizer)

    def load(self, folder: Path) -> None:
        """Continue from :meth:`save`."""
        load_policy(folder, self._named_parts(), self._optimizer)

    def _named_parts(self) -> dict[str, Tensor]:
        """Each seed's part of every parameter; with one seed the parameters by their own names."""
        if self.leading == 0:
            return {key: part for key, (part,) in self._parts.items()}
        return {f"{key}/{seed}": part for key, parts in self._parts.items() for seed, part in enumerate(parts)}


def _by_seed(values: Tensor, leading: int) -> list[Tensor]:
    """Each seed's part of a contiguous tensor, in the tensor's own memory, detached."""
    parts = values.detach().view(-1, *values.shape[leading:])
    return [parts[seed] for seed in range(len(parts))]


class ActionPolicy(LocalAgent):
    """How to answer in actions of a :class:`ResponseSpace`, given the logits of the next action."""

    space: ResponseSpace
    """What can be said."""

    @abstractmethod
    def action_logits(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """Logits of every action at every position, given the actions before it.

        Args:
            prompts: question or context numbers, (..., R).
            tokens: (..., R, T).

        Returns:
            (..., R, T, actions); position t does not depend on tokens t and later.
        """

    @torch.no_grad()
    def generate(self, prompts: Tensor, group_size: int, stream: RandomStream) -> RolloutBatch:
        """Sample by inverse transform; prompts are question or context numbers (..., P)."""
        rows = prompts.repeat_interleave(group_size, -1)  # (..., P·G)
        uniforms = stream.uniform(prompts.shape[-1], group_size, self.space.length).flatten(-3, -2)  # (..., P·G, T)
        actions = torch.zeros(uniforms.shape, dtype=torch.int64)
        for t in range(self.space.length):
            logits = self.action_logits(rows, actions[..., : t + 1])[..., t, :]  # (..., P·G, A)
            actions[..., t] = sample(logits, uniforms[..., t])
        actions = actions.unflatten(-2, (-1, group_size))
        mask = self.space.mask_of(actions)
        stopped = (actions == self.space.symbols).any(-1)
        finished = stopped if self.space.stops else torch.ones_like(stopped)
        return RolloutBatch(self.name, actions * mask, finished, actions * mask, mask)

    def encode(self, prompts: Tensor, pool: Sequence[RolloutBatch]) -> EncodedRollouts:
        """Actions are their own tokens: responses are taken as they are."""
        tokens = pad_stack([batch.responses for batch in pool], 0)
        mask = pad_stack([self.space.mask_of(batch.responses) for batch in pool], False)
        contexts = prompts.unsqueeze(-1)
        return EncodedRollouts(contexts, torch.ones_like(contexts, dtype=torch.bool), tokens, mask)

    def token_log_probs(self, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        """Log π of every action, (..., R, T)."""
        taken = encoded.take(rows)
        logits = self.action_logits(taken.contexts.squeeze(-1), taken.tokens)
        return gathered_log_probs(logits, taken.tokens)


class ActionAgent(Parameters, ActionPolicy):
    """An agent with parameters of its own that answers in actions.

    Args:
        name, parameters, optimizer, leading: see :class:`Parameters`.
        space: what the agent can say.
    """

    def __init__(
        self,
        name: str,
        space: ResponseSpace,
        parameters: Mapping[str, Tensor],
        optimizer: MakeOptimizer,
        leading: int,
    ) -> None:
        super().__init__(name, parameters, optimizer, leading)
        self.space = space


def gathered_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probabilities of given tokens: (..., T, A) and (..., T) -> (..., T)."""
    return logits.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def sample(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Draw from softmax distributions by inverse transform: (..., A) and (...) -> (...)."""
    edges = logits.softmax(-1).cumsum(-1)
    return (uniforms.unsqueeze(-1) >= edges[..., :-1]).sum(-1)
