"""What samples a language model's answers: transformers itself, or a faster engine that is handed the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hacrl_lab.sampling import AS_IN_TRAINING, Sampling


@dataclass(frozen=True)
class SamplingSettings:
    """How responses end, and from which distribution they are drawn: in training always the whole one (decision 10)."""

    max_new_tokens: int
    """Length limit T of a response."""
    stop_tokens: tuple[int, ...]
    """Tokens that end a response."""
    pad_token: int
    """Fills up finished rows."""
    agent: str
    """Name, for the progress bar and errors."""
    greedy: bool = False
    """Take the likeliest token at every place, in evaluations only; all responses to a prompt are then the same."""
    sampling: Sampling = AS_IN_TRAINING
    """Temperature, top-p and top-k, in evaluations only; not read if ``greedy``."""


@dataclass(frozen=True)
class Generation:
    """What came out, without the prompts."""

    tokens: Tensor
    """(P, G, T), filled up with the pad token after the stop token."""
    mask: Tensor
    """True up to and including the stop token: (P, G, T)."""
    finished: Tensor
    """True where a stop token was sampled: (P, G)."""
    log_probs: Tensor
    """Log-probability of each sampled token as computed while sampling, nats: (P, G, T); 0 outside the mask.

    With other settings than training's, engines differ in whether it is that of the whole distribution.
    """


class Sampler(Protocol):
    """Tokens in, tokens out: samples with the weights that the agent has at that moment."""

    def sample(
        self, contexts: Tensor, context_mask: Tensor, group_size: int, settings: SamplingSettings, seed: int
    ) -> Generation:
        """Sample G continuations of every prompt.

        Args:
            contexts, context_mask: left-padded prompt tokens, (P, C).
            group_size: G.
            settings: how responses end.
            seed: of the sampling; the global random state is left as it was.

        Raises:
            NonFiniteError: the model's logits became inf or nan.
            EngineError: an engine's weights are not the agent's.
        """
        ...

    def weights_changed(self) -> None:
        """The agent's weights are others now than when it last sampled."""
        ...


def as_generation(tokens: Tensor, log_probs: Tensor, group_size: int, settings: SamplingSettings) -> Generation:
    """Rows that may continue after their stop token as a :class:`Generation`.

    Args:
        tokens, log_probs: (P·G, T).
        group_size: G.
        settings: how responses end.
    """
    is_stop = torch.isin(tokens, torch.tensor(settings.stop_tokens, device=tokens.device))
    mask = is_stop.cumsum(-1) - is_stop.long() == 0  # no stop token before this one
    columns = (tokens, mask, is_stop.any(-1), log_probs * mask)
    return Generation(*(values.unflatten(0, (-1, group_size)) for values in columns))
