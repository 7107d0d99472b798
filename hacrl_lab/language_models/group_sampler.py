"""Sampling with the very model that is trained: a prompt is read once for its group, and answers that end leave."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor
from tqdm.auto import tqdm
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from hacrl_lab.errors import NonFiniteError
from hacrl_lab.language_models.attention import attending
from hacrl_lab.language_models.grouped_attention import NAME, Groups, can_group, next_logits, read_prompts
from hacrl_lab.language_models.sampler import Generation, Sampler, SamplingSettings, as_generation
from hacrl_lab.language_models.transformers_sampler import TransformersSampler
from hacrl_lab.sampling import Sampling

_LOGGER = logging.getLogger("hacrl_lab")
LEAVING = 1 / 16
"""Share of answers that must have ended before these leave, since what remains is then copied."""


def own_sampler(
    name: str, model: Any, grouped: bool, device: str = "cpu", rows: int = 0, in_step: bool = False
) -> Sampler:
    """What samples from a model in this process: a :class:`GroupSampler` where it is wanted and possible.

    Args:
        name: of the agent, for a sentence if it is not possible.
        model: the policy.
        grouped: it is wanted.
        device: where the model computes, as torch names it.
        rows, in_step: see :class:`GroupSampler`.
    """
    if grouped and can_group(model, device):
        return GroupSampler(model, rows, in_step)
    if grouped:
        _LOGGER.warning("agent %r is sampled by transformers: its attention is of another kind than grouped's", name)
    return TransformersSampler(model, rows, in_step)


class GroupSampler:
    """Samples from a model in this process.

    Every answer has its own random numbers, drawn before the first token, so that what is sampled does not depend on
    how many answers are sampled side by side, nor on when others end.

    Args:
        model: the policy, one for which :func:`~hacrl_lab.language_models.grouped_attention.can_group` is true.
        rows: answers that are sampled side by side at most, which bounds memory; 0 for all at once.
        in_step: the model is divided among processes, which must compute as many tokens as the slowest of them.
    """

    def __init__(self, model: Any, rows: int = 0, in_step: bool = False) -> None:
        self._model = model
        self._rows = rows
        self._in_step = in_step

    def weights_changed(self) -> None:
        """Nothing to do: the model that samples is the one that changed."""

    @torch.no_grad()
    def sample(
        self, contexts: Tensor, context_mask: Tensor, group_size: int, settings: SamplingSettings, seed: int
    ) -> Generation:
        """See :class:`hacrl_lab.language_models.sampler.Sampler`."""
        count, length, device = len(contexts) * group_size, settings.max_new_tokens, contexts.device
        generator = torch.Generator(device).manual_seed(seed)
        chances = torch.rand(count, length, generator=generator, dtype=torch.float64, device=device)
        out = _Out(
            torch.full((count, length), settings.pad_token, device=device), torch.zeros(count, length, device=device)
        )
        parts = torch.arange(count, device=device).split(self._rows or count)
        with tqdm(total=len(parts) * length, desc=f"{settings.agent} answers", unit="token", leave=False) as bar:
            for rows in parts:
                prompts, prompt_of_row = (rows // group_size).unique_consecutive(return_inverse=True)
                mask = context_mask[prompts]
                width = int(mask.sum(-1).max())
                ids, mask = contexts[prompts, -width:], mask[:, -width:]
                self._write(rows, ids, mask, prompt_of_row, chances, settings, out, bar)
        tokens, log_probs = (values[:, : out.longest] for values in (out.tokens, out.log_probs))
        return as_generation(tokens, log_probs, group_size, settings)

    def _write(
        self,
        rows: Tensor,
        ids: Tensor,
        mask: Tensor,
        prompt_of_row: Tensor,
        chances: Tensor,
        settings: SamplingSettings,
        out: _Out,
        bar: tqdm,
    ) -> None:
        """Write the answers of some rows, token by token, until the last one ends.

        Args:
            rows: numbers of the answers, (R,).
            ids, mask: of their prompts, (U, C).
            prompt_of_row: (R,).
            chances, out: of all answers.
            settings: how answers end.
            bar: moved by every token.
        """
        read = read_prompts(self._model, ids, mask)
        groups = Groups(read.cache, mask, prompt_of_row, settings.max_new_tokens)
        logits, positions = read.logits[prompt_of_row], read.lengths[prompt_of_row]
        stop_tokens = torch.tensor(settings.stop_tokens, device=rows.device)
        going = torch.ones_like(rows, dtype=torch.bool)
        with attending(self._model, NAME):
            for place in range(settings.max_new_tokens):
                new, log_probs = choose_tokens(logits, chances[rows, place], settings)
                out.tokens[rows, place] = new.where(going, settings.pad_token)
                out.log_probs[rows, place] = log_probs.where(going, 0.0)
                out.longest = max(out.longest, place + 1)
                going &= ~torch.isin(new, stop_tokens)
                left = int(going.sum())
                bar.update()
                if place + 1 == settings.max_new_tokens or self._all_ended(left, rows.device):
                    return
                if left <= (1 - LEAVING) * len(rows):
                    kept = going.nonzero()[:, 0] if left > 0 else rows.new_zeros(1)  # others may need this process
                    rows, new, positions, going = (values[kept] for values in (rows, new, positions, going))
                    groups.keep(kept)
                logits = next_logits(self._model, new, positions, groups)
                positions = positions + 1

    def _all_ended(self, left: int, device: torch.device) -> bool:
        if not self._in_step:
            return left == 0
        everywhere = torch.tensor(left, device=device)
        dist.all_reduce(everywhere)
        return int(everywhere) == 0


@dataclass
class _Out:
    """What has been sampled: tokens and their log-probabilities, (R, T), and how many columns are in use."""

    tokens: Tensor
    log_probs: Tensor
    longest: int = 1


def choose_tokens(logits: Tensor, chances: Tensor, settings: SamplingSettings) -> tuple[Tensor, Tensor]:
    """One token of every row: the first whose cumulative probability is above the row's random number.

    Args:
        logits: (R, V).
        chances: uniform in [0, 1), float64, (R,).
        settings: of the sampling.

    Returns:
        Tokens (R,), and their log-probabilities under the whole distribution at temperature 1, nats, (R,).

    Raises:
        NonFiniteError: logits are inf or nan.
    """
    logits = logits.float()
    total = logits.logsumexp(-1, keepdim=True)
    if not bool(torch.isfinite(total).all()):
        raise NonFiniteError(f"the logits of agent {settings.agent!r} are not finite; a smaller learning rate may help")
    if settings.greedy:
        tokens = logits.argmax(-1, keepdim=True)
    else:
        log_probs = logits - total if settings.sampling.is_whole else drawn_from(logits, settings.sampling)
        cumulative = log_probs.exp().cumsum(-1, dtype=torch.float64)
        place = torch.searchsorted(cumulative, chances[:, None] * cumulative[:, -1:], right=True)
        tokens = place.clamp_max(logits.shape[-1] - 1)
    return tokens[:, 0], (logits.gather(-1, tokens) - total)[:, 0]


def drawn_from(logits: Tensor, sampling: Sampling) -> Tensor:
    """Log-probabilities of the tokens that an evaluation draws from, -inf elsewhere; see Sampling: (R, V)."""
    steps = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_k > 0:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(TopPLogitsWarper(sampling.top_p))
    return steps(cast(Any, None), cast(Any, logits)).log_softmax(-1)
