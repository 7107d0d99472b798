"""Sampling with transformers' own ``generate``, with the very model that is trained."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import pad
from tqdm.auto import tqdm
from transformers import Cache, GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from hacrl_lab.errors import NonFiniteError
from hacrl_lab.language_models.sampler import Generation, SamplingSettings, as_generation


class TransformersSampler:
    """Samples from a model in this process.

    Args:
        model: the policy; its own generation defaults (top-p, repetition penalty ...) are not used.
        rows: responses that are sampled side by side at most, which bounds memory; 0 for all at once.
        in_step: the model is divided among processes, which must compute as many tokens as the slowest of them.
    """

    def __init__(self, model: PreTrainedModel, rows: int = 0, in_step: bool = False) -> None:
        self._model = model
        self._rows = rows
        self._in_step = in_step

    def weights_changed(self) -> None:
        """Nothing to do: the model that samples is the one that changed."""

    def sample(
        self, contexts: Tensor, context_mask: Tensor, group_size: int, settings: SamplingSettings, seed: int
    ) -> Generation:
        """See :class:`hacrl_lab.language_models.sampler.Sampler`."""
        ids = contexts.repeat_interleave(group_size, 0)
        mask = context_mask.long().repeat_interleave(group_size, 0)
        size = self._rows or len(ids)
        parts = list(zip(ids.split(size), mask.split(size), strict=True))
        devices = [contexts.device] if contexts.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=devices),
            tqdm(
                total=len(parts) * settings.max_new_tokens, desc=f"{settings.agent} answers", unit="token", leave=False
            ) as bar,
        ):
            torch.manual_seed(seed)
            sampled = [self.sample_rows(*part, settings, bar) for part in parts]
        width = max(tokens.shape[1] for tokens, _ in sampled)
        tokens, log_probs = (
            torch.cat([pad(values, (0, width - values.shape[1]), value=fill) for values in column])
            for column, fill in zip(zip(*sampled, strict=True), (settings.pad_token, 0.0), strict=True)
        )
        return as_generation(tokens, log_probs, group_size, settings)

    def sample_rows(
        self, ids: Tensor, mask: Tensor, settings: SamplingSettings, bar: tqdm, cache: Cache | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sample one continuation of each row, from the global random state.

        Args:
            ids, mask: left-padded tokens, (B, C).
            settings: how responses end.
            bar: moved by every token.
            cache: keys and values of all tokens but the last, where they are available.

        Returns:
            Tokens and their log-probabilities, (B, T) each.
        """
        config = GenerationConfig(
            max_new_tokens=settings.max_new_tokens,
            do_sample=not settings.greedy,
            temperature=settings.sampling.temperature,
            top_k=settings.sampling.top_k,
            top_p=settings.sampling.top_p,
            eos_token_id=list(settings.stop_tokens),
            pad_token_id=settings.pad_token,
        )
        own_defaults, self._model.generation_config = self._model.generation_config, GenerationConfig()
        recorder = _SampledLogProbs(bar, settings.agent)
        try:
            sequences = cast(Any, self._model).generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                past_key_values=cache,
                logits_processor=LogitsProcessorList([recorder]),
                synced_gpus=self._in_step,
            )
        finally:
            self._model.generation_config = own_defaults
        assert isinstance(sequences, Tensor)
        tokens = sequences[:, ids.shape[1] :]
        return tokens, recorder.finish(tokens)


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

    def _pick(self, sampled_tokens: Tensor) -> Tensor:
        assert self._latest is not None
        return self._latest.gather(-1, sampled_tokens.unsqueeze(-1)).squeeze(-1)
