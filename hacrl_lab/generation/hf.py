"""Sampling with transformers' own ``generate``: temperature 1, no truncation, from an explicit seed (decision 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from hacrl_lab.errors import NonFiniteError


@dataclass(frozen=True)
class Generation:
    """What came out, without the prompts."""

    tokens: Tensor
    """(B, T), filled up with the pad token after the stop token."""
    mask: Tensor
    """True up to and including the stop token: (B, T)."""
    finished: Tensor
    """True where a stop token was sampled: (B,)."""
    log_probs: Tensor
    """Log-probability of each sampled token as computed while sampling, nats: (B, T); 0 outside the mask."""


def sample(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    *,
    max_new_tokens: int,
    stop_tokens: list[int],
    pad_token: int,
    seed: int,
    agent: str,
) -> Generation:
    """Sample one continuation of every left-padded prompt.

    Args:
        model: the policy; its own generation defaults (top-p, repetition penalty ...) are not used.
        input_ids, attention_mask: (B, C).
        max_new_tokens: length limit T.
        stop_tokens: tokens that end a response.
        pad_token: fills up finished rows.
        seed: of the sampling; the global random state is left as it was.
        agent: name, for the progress bar and errors.

    Raises:
        NonFiniteError: the model's logits became inf or nan.
    """
    config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=stop_tokens,
        pad_token_id=pad_token,
    )
    devices = [input_ids.device] if input_ids.device.type == "cuda" else []
    own_defaults, model.generation_config = model.generation_config, GenerationConfig()
    try:
        with (
            torch.random.fork_rng(devices=devices),
            tqdm(total=max_new_tokens, desc=f"{agent} answers", unit="token", leave=False) as bar,
        ):
            torch.manual_seed(seed)
            recorder = _SampledLogProbs(bar, agent)
            sequences = cast(Any, model).generate(
                input_ids=input_ids,
                attention_mask=attention_mask,
                generation_config=config,
                logits_processor=LogitsProcessorList([recorder]),
            )
    finally:
        model.generation_config = own_defaults
    assert isinstance(sequences, Tensor)
    tokens = sequences[:, input_ids.shape[1] :]
    is_stop = torch.isin(tokens, torch.tensor(stop_tokens, device=tokens.device))
    mask = is_stop.cumsum(-1) - is_stop.long() == 0  # no stop token before this one
    return Generation(tokens, mask, is_stop.any(-1), recorder.finish(tokens) * mask)


class _SampledLogProbs(LogitsProcessor):
    """Keeps the sampled tokens' log-probabilities without keeping every step's logits; moves the progress bar."""

    def __init__(self, bar: tqdm, agent: str) -> None:
        self._bar = bar
        self._agent = agent
        self._latest: Tensor | None = None
        self._columns: list[Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if self._latest is not None:
            self._columns.append(self._pick(input_ids[:, -1]))
        if not bool(torch.isfinite(scores).all()):
            raise NonFiniteError(
                f"the logits of agent {self._agent!r} are not finite; a smaller learning rate may help"
            )
        self._latest = scores.float().log_softmax(-1)
        self._bar.update()
        return scores

    def finish(self, tokens: Tensor) -> Tensor:
        """All columns, (B, T)."""
        return torch.stack([*self._columns, self._pick(tokens[:, -1])], dim=-1)

    def _pick(self, chosen: Tensor) -> Tensor:
        assert self._latest is not None
        return self._latest.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
