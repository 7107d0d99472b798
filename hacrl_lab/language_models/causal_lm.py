"""A causal language model of the transformers library as an agent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hacrl_lab.agents.local import LocalAgent
from hacrl_lab.agents.state import full_tensor, full_tensors, load_policy, save_policy
from hacrl_lab.divergence import LARGEST_DRIFT_OF_LANGUAGE_MODELS, ratios_after, too_far
from hacrl_lab.errors import LabError, NonFiniteError, SettingError
from hacrl_lab.files import told_by_the_system
from hacrl_lab.language_models.group_sampler import own_sampler
from hacrl_lab.language_models.prompting import Prompting, TextCodec
from hacrl_lab.language_models.sampler import Sampler, SamplingSettings
from hacrl_lab.language_models.scorer import Scorer
from hacrl_lab.language_models.sharding import Ranks, ranks_here
from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.learning_rates import CONSTANT, LearningRateSchedule
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch, pad_stack
from hacrl_lab.sampling import AS_IN_TRAINING, Sampling
from hacrl_lab.schedules import EmptyUpdates
from hacrl_lab.seeding import RandomStream
from hacrl_lab.worlds import TextPrompts


@dataclass(frozen=True)
class CausalLMSettings:
    """How a language model answers and learns."""

    max_new_tokens: int
    """Length limit of a response, in the agent's own tokens."""
    learning_rate: float
    """AdamW's learning rate, which ``learning_rate_schedule`` multiplies."""
    max_grad_norm: float
    """Gradients are clipped to this norm."""
    prompting: Prompting
    """How questions are put."""
    device: str
    """Where the model lives, as torch names it."""
    compute_dtype: Literal["float32", "bfloat16"]
    """What the model computes in; its weights and AdamW's moments are float32."""
    tokens_per_pass: int
    """Tokens of prompts and responses in one forward and backward pass of a process; 0 for no bound."""
    checkpointing: bool = False
    """Compute activations again in the backward pass, and logits in chunks: much less memory, a third more time."""
    lora_rank: int = 0
    """Rank of a LoRA adapter on all linear layers, the only thing that is trained; 0: all weights are."""
    generation: Literal["grouped", "transformers", "vllm"] = "grouped"
    """What samples; an agent whose attention cannot be grouped is sampled by transformers."""
    rows_at_once: int = 0
    """Responses that are sampled side by side at most; 0 for no bound (vLLM: 256)."""
    cache_gib: float = 1.0
    """Memory of vLLM's key-value cache, GiB."""
    ranks: int = 1
    """Processes among which the model is divided; several need ``checkpointing``."""
    offload: bool = False
    """Keep weights, gradients and moments in the host's memory; needs ``checkpointing``."""
    weight_decay: float = 0.0
    """AdamW's: an update also takes this share of the learning rate off every trained weight."""
    learning_rate_schedule: LearningRateSchedule = CONSTANT
    """How the learning rate changes from training step to training step."""
    lora_alpha: int | None = None
    """Numerator of the LoRA adapter's scale, alpha / rank; None: twice the rank."""
    lora_targets: tuple[str, ...] = ()
    """Names of the linear layers that get an adapter, for instance q_proj; none: all but the output layer."""

    def __post_init__(self) -> None:
        if not 0 <= self.weight_decay < math.inf:
            raise SettingError(f"weight_decay must be a number ≥ 0, got {self.weight_decay}")
        if self.lora_alpha is not None and self.lora_alpha < 1:
            raise SettingError(f"lora_alpha must be ≥ 1, got {self.lora_alpha}")
        if self.lora_rank == 0 and (self.lora_alpha is not None or self.lora_targets):
            raise SettingError("lora_alpha and lora_targets need lora_rank > 0, got 0")


class CausalLMAgent(LocalAgent):
    """A pre-trained causal language model with its own tokenizer.

    :func:`hacrl_lab.language_models.loading.load_agent` makes one from a folder or a hub id.

    Args:
        name: unique name.
        model: as transformers loads it, in float32, or as peft wraps it; what is trained is what requires a gradient.
        tokenizer: its own; needs an end token.
        settings: see :class:`CausalLMSettings`.
        sampler: samples from the model; by default one in this process.
        has_values: the model has weights; False only for counting what it would need.

    Raises:
        ModelLoadError: see :class:`hacrl_lab.language_models.prompting.TextCodec`.
    """

    largest_drift = LARGEST_DRIFT_OF_LANGUAGE_MODELS

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        settings: CausalLMSettings,
        sampler: Sampler | None = None,
        has_values: bool = True,
    ) -> None:
        self.name = name
        self.settings = settings
        self.ranks = ranks_here() if settings.ranks > 1 else Ranks()
        self.tokens_per_pass = settings.tokens_per_pass * self.ranks.count
        self.model = model.eval()  # no dropout: what is sampled is what is scored
        self.context_size = int(model.config.get_text_config().max_position_embeddings)
        self.codec = TextCodec(name, tokenizer, settings.prompting, self.context_size, settings.max_new_tokens)
        self._sampler = sampler or own_sampler(
            name,
            model,
            settings.generation != "transformers",
            settings.device,
            settings.rows_at_once,
            settings.ranks > 1,
        )
        self.scorer = Scorer(name, model, self.ranks, settings.device, has_values)
        self._reference: list[Tensor] | None = None
        self.optimizer = torch.optim.AdamW(
            self.trained().values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The agent's own."""
        return self.codec.tokenizer

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by name: all of the model, or its adapter."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    @property
    def keeps_first_pass(self) -> bool:
        """Not where memory is short, nor where weights are exchanged with a reference's."""
        return not self.settings.checkpointing and not self._reference

    def computing(self) -> AbstractContextManager[Any]:
        """Within it, matrix products are in the compute type."""
        low = self.settings.compute_dtype == "bfloat16"
        return torch.autocast(torch.device(self.settings.device).type, torch.bfloat16, enabled=low)

    def generate(
        self, prompts: TextPrompts, group_size: int, stream: RandomStream, sampling: Sampling | None = None
    ) -> RolloutBatch:
        """Responses are texts without special tokens.

        Args:
            prompts, group_size, stream: see :class:`hacrl_lab.agent.Agent`.
            sampling: for evaluations; None, as in training: at temperature 1 from the whole distribution.
        """
        seed = int(stream.integers(2**62)) + self.ranks.rank
        settings = replace(self._sampling_settings(), sampling=sampling or AS_IN_TRAINING)
        return self._respond(prompts, group_size, settings, seed)

    def update(self, batch: LearnerBatch) -> UpdateResult:
        """See :class:`hacrl_lab.agent.Agent`; the learning rate is that of the batch's training step."""
        rate = self.settings.learning_rate * self.settings.learning_rate_schedule.factor(batch.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return super().update(batch)

    def divergence(self, batch: LearnerBatch) -> str:
        """Some own answers are scored again, since no later update would show how far the last one went."""
        return too_far(ratios_after(self, batch), self.largest_drift, self.name, batch.step)

    def generate_greedily(self, prompts: TextPrompts) -> RolloutBatch:
        """One response to each prompt, of the likeliest token at every place; for evaluations."""
        return self._respond(prompts, 1, replace(self._sampling_settings(), greedy=True), seed=0)

    def encode(self, prompts: TextPrompts, pool: Sequence[RolloutBatch]) -> EncodedRollouts:
        """Own rollouts keep their sampled tokens; the others' texts are encoded with this agent's tokenizer."""
        contexts, context_mask = self._prompt_tokens(prompts)
        own_or_encoded = [batch.own_tokens if batch.sampler == self.name else self.codec.texts(batch) for batch in pool]
        tokens = pad_stack([tokens for tokens, _ in own_or_encoded], self.codec.pad_token)
        mask = pad_stack([mask for _, mask in own_or_encoded], False)
        longest = contexts.shape[-1] + tokens.shape[-1]
        if longest > self.context_size:
            raise LabError(
                f"a prompt with a shared response takes {longest} tokens of agent {self.name!r}, "
                f"whose context is {self.context_size}; lower max_new_tokens"
            )
        return EncodedRollouts(contexts, context_mask, tokens.to(contexts.device), mask.to(contexts.device))

    def passes(self, encoded: EncodedRollouts, by_sampler: Sequence[Tensor]) -> list[Tensor]:
        """A pass is of one sampler also without a bound: in float32 a row's last bits depend on the rows beside it."""
        sizes = [rows.shape[-1] for rows in by_sampler]
        if self.tokens_per_pass == 0:
            return list(torch.arange(sum(sizes)).split(sizes))
        starts = [sum(sizes[:j]) for j in range(len(sizes))]
        return [
            start + positions
            for start, rows in zip(starts, by_sampler, strict=True)
            for positions in self.scorer.passes(encoded, rows, self.tokens_per_pass)
        ]

    def token_log_probs(self, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        """See :class:`hacrl_lab.language_models.scorer.Scorer`; every rank computes its share of the rows."""
        with self.computing():
            if not self.settings.checkpointing:
                return self.scorer.log_probs(encoded, rows)
            self.model.train(torch.is_grad_enabled())  # transformers checkpoints in training only
            try:
                mine = self.scorer.log_probs(encoded, rows[self.ranks.share(len(rows))])
                return self.ranks.gather_log_probs(mine, len(rows))
            finally:
                self.model.eval()

    def set_reference(self) -> None:
        """Keep a copy of what is trained as it is now, all weights or those of the adapter."""
        self._reference = [weight.detach().clone() for weight in self.trained().values()]

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Within it, the model is the one that :meth:`set_reference` kept.

        Raises:
            ValueError: none was kept.
        """
        if self._reference is None:
            raise ValueError(f"agent {self.name!r} has no reference: set_reference() must come before training")
        with self._exchanged(self._reference):
            yield

    @contextmanager
    def _exchanged(self, others: Sequence[Tensor]) -> Iterator[None]:
        """Within it, what is trained has other values; these are written over with its own until the end."""

        @torch.no_grad()
        def exchange() -> None:
            for mine, other in zip(self.trained().values(), others, strict=True):
                kept = mine.clone()
                mine.copy_(other)
                other.copy_(kept)

        exchange()
        try:
            yield
        finally:
            exchange()

    def apply_gradients(self, empty: EmptyUpdates = "skip") -> Tensor:
        """Clip the gradient's norm and take one AdamW step; all ranks know the whole norm and decide alike."""
        parameters = list(self.trained().values())
        for parameter in parameters:
            if parameter.grad is None:  # no rollout contributed to it
                parameter.grad = torch.zeros_like(parameter)
        norm = full_tensor(torch.nn.utils.clip_grad_norm_(parameters, self.settings.max_grad_norm))
        if not bool(torch.isfinite(norm)):
            raise NonFiniteError(f"the gradient of agent {self.name!r} is not finite; the update was not applied")
        if empty == "step" or bool(norm > 0):
            self.optimizer.step()
            self._sampler.weights_changed()
        self.optimizer.zero_grad()
        return norm.detach().cpu()

    def save(self, folder: Path) -> None:
        """Write what is trained and AdamW's state, in a form in which any number of ranks can read it."""
        save_policy(folder, self.trained(), self.optimizer, write=self.ranks.rank == 0)

    def load(self, folder: Path) -> None:
        """Continue from :meth:`save`."""
        load_policy(folder, self.trained(), self.optimizer)
        self._sampler.weights_changed()

    def save_pretrained(self, folder: Path) -> None:
        """Write model and tokenizer as an ordinary transformers checkpoint, or an adapter as peft's."""
        first = self.ranks.rank == 0
        state = full_tensors(self.model.state_dict(keep_vars=True), keep=first)
        if first:
            folder.mkdir(parents=True, exist_ok=True)
            with told_by_the_system(folder):
                self.model.save_pretrained(folder, state_dict=state)
                self.tokenizer.save_pretrained(folder)

    def _respond(self, prompts: TextPrompts, group_size: int, settings: SamplingSettings, seed: int) -> RolloutBatch:
        contexts, context_mask = self._prompt_tokens(prompts)
        share = self.ranks.share(len(contexts))
        with self.computing():
            part = self._sampler.sample(contexts[share], context_mask[share], group_size, settings, seed)
        out = self.ranks.gather_generation(part, len(contexts), settings.pad_token)
        tokens, mask = out.tokens.cpu(), out.mask.cpu()
        texts = self.codec.decode(tokens, mask)
        log_probs, opening = out.log_probs.cpu(), self.codec.opening
        return RolloutBatch(self.name, texts, out.finished.cpu(), tokens, mask, log_probs, opening)

    def _sampling_settings(self) -> SamplingSettings:
        configured = self.model.generation_config.eos_token_id if self.model.generation_config else None
        extra = configured if isinstance(configured, list) else [configured]
        ends = sorted({*self.codec.stop_tokens, *(token for token in extra if token is not None)})
        return SamplingSettings(self.settings.max_new_tokens, tuple(ends), self.codec.pad_token, self.name)

    def _prompt_tokens(self, prompts: TextPrompts) -> tuple[Tensor, Tensor]:
        ids, mask = self.codec.prompts(prompts.questions)
        known = self.model.get_input_embeddings().num_embeddings
        if unknown := ids[ids >= known].tolist():
            raise LabError(
                f"a prompt of agent {self.name!r} holds {self.tokenizer.decode(unknown[:1])!r}, which its tokenizer "
                "has and its model has not"
            )
        return ids.to(self.settings.device), mask.to(self.settings.device)
