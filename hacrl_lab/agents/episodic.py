"""Agents that act in an environment: a response is an episode, and every agent has its own eyes and its own moves.

What agents exchange is the episode in the environment's own terms: what could be seen and which single moves were made.
Each agent views the observations in its own way and cuts the moves into the tokens of its own vocabulary, so that the
same episode has another length for another agent: tokenizers in miniature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from hacrl_lab.agents.actions import MakeOptimizer, ParameterAgent, sample
from hacrl_lab.agents.networks import CausalNetwork
from hacrl_lab.agents.neural import initial_parameters
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.seeding import RandomStream


@dataclass(frozen=True)
class Episodes:
    """G episodes from each of P starts, in the environment's own terms."""

    observations: Tensor
    """What was seen before each move, flattened: (..., P, G, T, D)."""
    moves: Tensor
    """Single moves: (..., P, G, T)."""
    mask: Tensor
    """True on the moves that were made: (..., P, G, T)."""
    returns: Tensor
    """Sum of the environment's rewards: (..., P, G)."""
    terminated: Tensor
    """True where the environment ended the episode, false where time ran out: (..., P, G)."""


Act = Callable[[Tensor, Tensor], Tensor]
"""(observations (..., P, G, D), which episodes go on (..., P, G)) -> the next single moves (..., P, G)."""


class Starts(Protocol):
    """The prompts of an episodic world: initial states that can be played from."""

    def play(self, act: Act, group_size: int, stream: RandomStream) -> Episodes:
        """Play G episodes from every start; the stream gives the environment's own randomness."""
        ...

    @property
    def numbers(self) -> Tensor:
        """A number for each start: (..., P)."""
        ...


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of an agent: every single move, and with ``pairs`` also every macro-move of two.

    Tokens 0 ... moves − 1 are single moves; token moves + moves·a + b makes a and then b without looking in between.
    Other agents' episodes are cut into pairs from the left, a last odd move is a single one.
    """

    moves: int
    """Single moves of the environment."""
    pairs: bool = False
    """Whether there are macro-moves."""

    @property
    def size(self) -> int:
        """The number of tokens."""
        return self.moves + self.pairs * self.moves**2

    def lengths(self, tokens: Tensor) -> Tensor:
        """How many single moves each token stands for: (...) -> (...)."""
        return 1 + (tokens >= self.moves).long()

    def first(self, tokens: Tensor) -> Tensor:
        """The first move of each token."""
        return torch.where(tokens < self.moves, tokens, (tokens - self.moves) // self.moves)

    def second(self, tokens: Tensor) -> Tensor:
        """The second move of each macro-move (of a single move: meaningless)."""
        return (tokens - self.moves) % self.moves

    def cut(self, moves: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens of episodes that another agent played, and their mask: (..., T) each -> (..., T').

        >>> Vocabulary(moves=2, pairs=True).cut(torch.tensor([1, 0, 1]), torch.tensor([True, True, True]))
        (tensor([4, 1]), tensor([True, True]))
        """
        if not self.pairs:
            return moves, mask
        odd = moves.shape[-1] % 2
        moves, mask = (torch.nn.functional.pad(values, (0, odd)) for values in (moves, mask))
        (first, second), (here, whole) = moves.unflatten(-1, (-1, 2)).unbind(-1), mask.unflatten(-1, (-1, 2)).unbind(-1)
        return torch.where(whole, self.moves + self.moves * first + second, first), here


class EpisodicAgent(ParameterAgent):
    """A causal network from what the agent sees to logits over its own vocabulary.

    Args:
        name: unique name.
        network: (B, T, F) -> (B, T, vocabulary.size); only its shape is used.
        view: from flattened observations (..., D) to the agent's features (..., F).
        vocabulary: the agent's tokens.
        stream: of the initial parameters; its seeds are the leading axis.
        optimizer: see :data:`hacrl_lab.agents.actions.MakeOptimizer`.
    """

    def __init__(
        self,
        name: str,
        network: CausalNetwork,
        view: Callable[[Tensor], Tensor],
        vocabulary: Vocabulary,
        stream: RandomStream,
        optimizer: MakeOptimizer,
    ) -> None:
        super().__init__(name, initial_parameters(network, stream), optimizer)
        self.network = network
        self.view = view
        self.vocabulary = vocabulary
        self._batched = stream.batched

    @property
    def leading(self) -> int:
        """1 with several seeds, else 0."""
        return int(self._batched)

    @torch.no_grad()
    def generate(self, prompts: Starts, group_size: int, stream: RandomStream) -> RolloutBatch:
        """Play episodes; a macro-move that the end of an episode cuts short stays one token of this agent."""
        seen: list[Tensor] = []  # before every move, (..., P, G, D)
        tokens: list[Tensor] = []  # the token being carried out at every move, (..., P, G)
        begins: list[Tensor] = []  # whether it begins there

        def act(observations: Tensor, live: Tensor) -> Tensor:
            carried = torch.zeros_like(live)
            if tokens:
                carried = begins[-1] & (self.vocabulary.lengths(tokens[-1]) == 2)
            seen.append(observations)
            begins.append(live & ~carried)
            token = sample(self._next_logits(seen, begins), stream.uniform(*live.shape[-2:]))
            tokens.append(torch.where(carried, tokens[-1], token) if tokens else token)
            first, second = self.vocabulary.first(tokens[-1]), self.vocabulary.second(tokens[-1])
            return torch.where(carried, second, first)

        episodes = prompts.play(act, group_size, stream)
        starts = torch.stack(begins, dim=-1)
        mask = _packed(starts, starts)
        return RolloutBatch(episodes, episodes.terminated, _packed(torch.stack(tokens, dim=-1), starts) * mask, mask)

    def _next_logits(self, seen: list[Tensor], begins: list[Tensor]) -> Tensor:
        """Logits of a token that would begin now: (..., P, G, tokens). Memory is of what earlier tokens began with."""
        if not self.network.memory:
            return self._logits(seen[-1].unsqueeze(-2)).squeeze(-2)
        starts = torch.stack([*begins[:-1], torch.ones_like(begins[-1])], dim=-1)
        observations = _packed(torch.stack(seen, dim=-2), starts)
        last = (starts.sum(-1) - 1)[..., None, None]
        return torch.take_along_dim(self._logits(observations), last, dim=-2).squeeze(-2)

    def encode(self, prompts: Starts, pool: Sequence[tuple[str, RolloutBatch]]) -> EncodedRollouts:
        """Cut other agents' episodes into own tokens, and see at each what could be seen where it begins."""
        cut = [
            (batch.tokens, batch.mask)
            if name == self.name
            else self.vocabulary.cut(batch.responses.moves, batch.responses.mask)
            for name, batch in pool
        ]
        longest = max(tokens.shape[-1] for tokens, _ in cut)
        padded = [[torch.nn.functional.pad(part, (0, longest - part.shape[-1])) for part in parts] for parts in cut]
        tokens, mask = (torch.stack(parts, dim=-4) for parts in zip(*padded, strict=True))
        observations = [
            _observed(batch.responses.observations, self.vocabulary.lengths(parts[0]))
            for (_, batch), parts in zip(pool, padded, strict=True)
        ]
        contexts = prompts.numbers.unsqueeze(-1)
        return EncodedRollouts(
            contexts, torch.ones_like(contexts, dtype=torch.bool), tokens, mask, torch.stack(observations, dim=-5)
        )

    def token_log_probs(self, encoded: EncodedRollouts) -> Tensor:
        """Log π of every token, (..., n, P, G, T)."""
        assert encoded.observations is not None, "token_log_probs needs rollouts that were encoded by an EpisodicAgent"
        logits = self._logits(encoded.observations)
        return logits.log_softmax(-1).gather(-1, encoded.tokens.unsqueeze(-1)).squeeze(-1)

    def _logits(self, observations: Tensor) -> Tensor:
        """(..., T, D) -> (..., T, tokens)."""
        inputs = self.view(observations)
        flat = inputs.flatten(self.leading, -3)
        logits = vmap(self._forward)(self.parameters, flat) if self._batched else self._forward(self.parameters, flat)
        return logits.reshape(*inputs.shape[:-1], self.vocabulary.size)

    def _forward(self, parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(self.network, parameters, (inputs,))


def _packed(values: Tensor, begins: Tensor) -> Tensor:
    """Keep the positions where a token begins, moved to the left: (..., T[, D]) -> (..., T'[, D])."""
    order = begins.long().argsort(dim=-1, descending=True, stable=True)[..., : int(begins.sum(-1).max())]
    if values.ndim == begins.ndim:
        return values.gather(-1, order)
    return torch.take_along_dim(values, order.unsqueeze(-1), dim=-2)


def _observed(observations: Tensor, lengths: Tensor) -> Tensor:
    """What is seen where each token begins: (..., T, D) and (..., T') -> (..., T', D)."""
    begins = (lengths.cumsum(-1) - lengths).clamp_max(observations.shape[-2] - 1)
    return torch.take_along_dim(observations, begins.unsqueeze(-1), dim=-2)
