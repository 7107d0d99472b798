"""Agents that act in an environment: a response is an episode.

What agents exchange is the episode in the environment's own terms: its observations and its single moves. Each agent
has its own view of the observations and cuts the moves into the tokens of its own vocabulary, so that the same episode
may have another length for another agent, as a text has for another tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hacrl_lab.agents.actions import MakeOptimizer, Parameters, gathered_log_probs, sample
from hacrl_lab.agents.local import LocalAgent
from hacrl_lab.agents.networks import CausalNetwork
from hacrl_lab.agents.neural import batched_forward, initial_parameters
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.worlds import Starts


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


class EpisodicAgent(Parameters, LocalAgent):
    """A causal network from the agent's view of the observations to logits over its own vocabulary.

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
        super().__init__(name, initial_parameters(network, stream), optimizer, leading=int(stream.batched))
        self.network = network
        self.view = view
        self.vocabulary = vocabulary

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
        own_tokens = _packed(torch.stack(tokens, dim=-1), starts) * mask
        return RolloutBatch(self.name, episodes, episodes.terminated, own_tokens, mask)

    def _next_logits(self, seen: list[Tensor], begins: list[Tensor]) -> Tensor:
        """Logits of a token that would begin now: (..., P, G, tokens). Memory is of what earlier tokens began with."""
        if not self.network.memory:
            return self._logits(seen[-1].unsqueeze(-2)).squeeze(-2)
        starts = torch.stack([*begins[:-1], torch.ones_like(begins[-1])], dim=-1)
        observations = _packed(torch.stack(seen, dim=-2), starts)
        last = (starts.sum(-1) - 1)[..., None, None]
        return torch.take_along_dim(self._logits(observations), last, dim=-2).squeeze(-2)

    def encode(self, prompts: Starts, pool: Sequence[RolloutBatch]) -> EncodedRollouts:
        """Cut other agents' episodes into own tokens, each with the observation from which it begins."""
        cut = [
            batch.own_tokens
            if batch.sampler == self.name
            else self.vocabulary.cut(batch.responses.moves, batch.responses.mask)
            for batch in pool
        ]
        longest = max(tokens.shape[-1] for tokens, _ in cut)
        padded = [[torch.nn.functional.pad(part, (0, longest - part.shape[-1])) for part in parts] for parts in cut]
        tokens, mask = (torch.stack(parts, dim=-4) for parts in zip(*padded, strict=True))
        observations = [
            _observed(batch.responses.observations, self.vocabulary.lengths(parts[0]))
            for batch, parts in zip(pool, padded, strict=True)
        ]
        contexts = prompts.numbers.unsqueeze(-1)
        return EncodedRollouts(
            contexts, torch.ones_like(contexts, dtype=torch.bool), tokens, mask, torch.stack(observations, dim=-5)
        )

    def token_log_probs(self, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        """Log π of every token, (..., R, T)."""
        taken = encoded.take(rows)
        assert taken.observations is not None, "token_log_probs needs rollouts that were encoded by an EpisodicAgent"
        return gathered_log_probs(self._logits(taken.observations), taken.tokens)

    def _logits(self, observations: Tensor) -> Tensor:
        """(..., T, D) -> (..., T, tokens)."""
        return batched_forward(self.network, self.parameters, self.view(observations), self.leading)


def _packed(values: Tensor, begins: Tensor) -> Tensor:
    """Keep the positions where a token begins, moved to the left: (..., T[, D]) -> (..., T'[, D])."""
    order = begins.long().argsort(dim=-1, descending=True, stable=True)[..., : int(begins.sum(-1).max())]
    if values.ndim == begins.ndim:
        return values.gather(-1, order)
    return torch.take_along_dim(values, order.unsqueeze(-1), dim=-2)


def _observed(observations: Tensor, lengths: Tensor) -> Tensor:
    """The observation from which each token begins: (..., T, D) and (..., T') -> (..., T', D)."""
    begins = (lengths.cumsum(-1) - lengths).clamp_max(observations.shape[-2] - 1)
    return torch.take_along_dim(observations, begins.unsqueeze(-1), dim=-2)
