"""A causal language model of the transformers library as an agent."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from hacrl_lab.agents.local import LocalAgent
from hacrl_lab.agents.state import load_policy, save_policy
from hacrl_lab.errors import LabError, ModelLoadError, NonFiniteError
from hacrl_lab.generation.hf import sample
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch, pad_stack
from hacrl_lab.seeding import RandomStream
from hacrl_lab.worlds import TextPrompts


@dataclass(frozen=True)
class CausalLMSettings:
    """How a language model answers and learns."""

    max_new_tokens: int
    """Length limit of a response, in the agent's own tokens."""
    learning_rate: float
    """AdamW's learning rate."""
    max_grad_norm: float
    """Gradients are clipped to this norm."""
    prompt_template: str
    """The prompt, ``{question}`` replaced; put into the chat template of a model that has one."""
    device: str
    """Where the model lives, as torch names it."""
    dtype: str
    """Parameter type, as torch names it."""
    tokens_per_pass: int
    """Tokens of prompts and responses in one forward and backward pass; 0 for no bound."""


class CausalLMAgent(LocalAgent):
    """A pre-trained causal language model with its own tokenizer.

    Args:
        name: unique name.
        model, tokenizer: as transformers loads them; the tokenizer needs an end token.
        settings: see :class:`CausalLMSettings`.

    Raises:
        ModelLoadError: the tokenizer has no end token.
    """

    def __init__(
        self, name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: CausalLMSettings
    ) -> None:
        if tokenizer.eos_token_id is None:
            raise ModelLoadError(f"the tokenizer of agent {name!r} has no end token, so its answers could never end")
        self.name = name
        self.settings = settings
        self.tokens_per_pass = settings.tokens_per_pass
        self.model = model
        self.tokenizer = tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        model.eval()  # no dropout: what is sampled is what is scored
        self._reference: PreTrainedModel | None = None
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.0)

    @classmethod
    def from_pretrained(cls, source: str, name: str, settings: CausalLMSettings) -> CausalLMAgent:
        """Load an agent from a local folder or a hub id.

        Raises:
            ModelLoadError: the folder does not exist, or what it holds cannot be loaded.
        """
        looks_local = source.startswith((".", "/", "~")) or source.count("/") != 1
        path = Path(source).expanduser()
        if looks_local and not path.is_dir():
            raise ModelLoadError(f"model folder {source!r} does not exist")
        location = str(path) if path.is_dir() else source
        try:
            tokenizer = AutoTokenizer.from_pretrained(location)
            model: Any = AutoModelForCausalLM.from_pretrained(location, dtype=getattr(torch, settings.dtype))
        except Exception as error:  # transformers, safetensors and the hub client raise many kinds
            reason = str(error).strip().split("\n")[0]
            raise ModelLoadError(f"could not load a model from {source!r}: {reason}") from error
        return cls(name, model.to(torch.device(settings.device)), tokenizer, settings)

    @property
    def context_size(self) -> int:
        """The longest prompt plus response that the model can read, in its own tokens."""
        return int(self.model.config.max_position_embeddings)

    def check_prompts(self, prompts: TextPrompts) -> None:
        """Make sure that every prompt leaves room for a response.

        Raises:
            LabError: naming the longest prompt, if it does not.
        """
        self._encode_prompts(prompts)

    def generate(self, prompts: TextPrompts, group_size: int, stream: RandomStream) -> RolloutBatch:
        """Sample with transformers' ``generate``; responses are texts without special tokens."""
        contexts, context_mask = self._encode_prompts(prompts)
        out = sample(
            self.model,
            contexts.repeat_interleave(group_size, 0),
            context_mask.long().repeat_interleave(group_size, 0),
            max_new_tokens=self.settings.max_new_tokens,
            stop_tokens=self._stop_tokens,
            pad_token=cast(int, self.tokenizer.pad_token_id),
            seed=int(stream.integers(2**62)),
            agent=self.name,
        )
        texts = self.tokenizer.batch_decode(
            [row[keep].tolist() for row, keep in zip(out.tokens, out.mask, strict=True)],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        shape = (len(prompts.questions), group_size)
        grouped = [texts[start : start + group_size] for start in range(0, len(texts), group_size)]
        return RolloutBatch(
            self.name,
            grouped,
            out.finished.reshape(shape).cpu(),
            out.tokens.reshape(*shape, -1).cpu(),
            out.mask.reshape(*shape, -1).cpu(),
            out.log_probs.reshape(*shape, -1).cpu(),
        )

    def encode(self, prompts: TextPrompts, pool: Sequence[RolloutBatch]) -> EncodedRollouts:
        """Own rollouts keep their sampled tokens; the others' texts are encoded with this agent's tokenizer."""
        contexts, context_mask = self._encode_prompts(prompts)
        own_or_encoded = [
            batch.own_tokens if batch.sampler == self.name else self._encode_texts(batch) for batch in pool
        ]
        tokens = pad_stack([tokens for tokens, _ in own_or_encoded], cast(int, self.tokenizer.pad_token_id))
        mask = pad_stack([mask for _, mask in own_or_encoded], False)
        longest = contexts.shape[-1] + tokens.shape[-1]
        if longest > self.context_size:
            raise LabError(
                f"a prompt with a shared response takes {longest} tokens of agent {self.name!r}, "
                f"whose context is {self.context_size}; lower --max-new-tokens"
            )
        return EncodedRollouts(contexts, context_mask, tokens.to(contexts.device), mask.to(contexts.device))

    def passes(self, encoded: EncodedRollouts, by_sampler: Sequence[Tensor]) -> list[Tensor]:
        """A pass is of one sampler also without a bound: in float32 a row's last bits depend on the rows beside it."""
        if self.tokens_per_pass > 0:
            return super().passes(encoded, by_sampler)
        sizes = [rows.shape[-1] for rows in by_sampler]
        return list(torch.arange(sum(sizes)).split(sizes))

    def token_log_probs(self, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        """Two forward passes: the rows' prompts once each, then all rows on their prompts' keys and values.

        The last prompt token and the responses but for their last tokens are what predicts the responses. float32
        log-softmax over the vocabulary.
        """
        taken = encoded.take(rows)
        length = max(1, int(taken.mask.sum(-1).max()))  # no further than the longest response of the pass
        tokens, mask = taken.tokens[:, :length], taken.mask[:, :length]
        prompts, place = taken.prompts.unique(return_inverse=True)
        context_mask = encoded.context_mask[prompts]
        width = int(context_mask.sum(-1).max())
        contexts, context_mask = encoded.contexts[prompts, -width:], context_mask[:, -width:]  # (U, C)
        whole_mask = torch.cat([context_mask[place], mask[:, :-1]], -1)  # (R, C+T−1)
        positions = (whole_mask.cumsum(-1) - 1).clamp_min(0)
        logits = self.model(
            input_ids=torch.cat([contexts[place, -1:], tokens[:, :-1]], -1),
            attention_mask=whole_mask.long(),
            position_ids=positions[:, -length:],
            past_key_values=self._read_prompts(contexts[:, :-1], context_mask[:, :-1], place),
        ).logits  # (R, T, V)
        log_probs = -cross_entropy(logits.float().flatten(0, 1), tokens.flatten(), reduction="none")
        return pad(log_probs.unflatten(0, (-1, length)), (0, encoded.tokens.shape[-1] - length))

    def _read_prompts(self, contexts: Tensor, mask: Tensor, place: Tensor) -> DynamicCache:
        """Keys and values of prompt tokens (U, C), each prompt's for all of its rows: (R,) positions of prompts."""
        cache = DynamicCache(config=self.model.config)
        if contexts.shape[1] > 0:
            self.model(
                input_ids=contexts,
                attention_mask=mask.long(),
                position_ids=(mask.cumsum(-1) - 1).clamp_min(0),
                past_key_values=cache,
                logits_to_keep=1,
            )
            layers: Any = cache.layers
            for layer in layers:  # indexing with [place] would add gradients up in an order that differs between runs
                layer.keys, layer.values = (both.index_select(0, place) for both in (layer.keys, layer.values))
        return cache

    def set_reference(self) -> None:
        """Keep a copy of the model as it is now."""
        self._reference = copy.deepcopy(self.model).requires_grad_(False)

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Within it, the model is the one that :meth:`set_reference` kept.

        Raises:
            ValueError: none was kept.
        """
        if self._reference is None:
            raise ValueError(f"agent {self.name!r} has no reference: set_reference() must come before training")
        mine, self.model = self.model, self._reference
        try:
            yield
        finally:
            self.model = mine

    def apply_gradients(self) -> Tensor:
        """Clip the gradient's norm and take one AdamW step."""
        for parameter in self.model.parameters():
            if parameter.grad is None:  # no rollout contributed; the optimiser's moments decay all the same
                parameter.grad = torch.zeros_like(parameter)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        if not bool(torch.isfinite(norm)):
            raise NonFiniteError(f"the gradient of agent {self.name!r} is not finite; the update was not applied")
        self._optimizer.step()
        self._optimizer.zero_grad()
        return norm.detach().cpu()

    def save(self, folder: Path) -> None:
        """Write parameters and AdamW's state."""
        save_policy(folder, dict(self.model.named_parameters()), self._optimizer)

    def load(self, folder: Path) -> None:
        """Continue from :meth:`save`."""
        load_policy(folder, dict(self.model.named_parameters()), self._optimizer)

    def save_pretrained(self, folder: Path) -> None:
        """Write model and tokenizer as an ordinary transformers checkpoint."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @property
    def _stop_tokens(self) -> list[int]:
        configured = self.model.generation_config.eos_token_id if self.model.generation_config else None
        extra = configured if isinstance(configured, list) else [configured]
        return sorted({cast(int, self.tokenizer.eos_token_id), *(token for token in extra if token is not None)})

    def _encode_prompts(self, prompts: TextPrompts) -> tuple[Tensor, Tensor]:
        """Left-padded prompt tokens and their mask, (P, C)."""
        has_chat = self.tokenizer.chat_template is not None
        texts = [self.settings.prompt_template.replace("{question}", question) for question in prompts.questions]
        texts = [self._chat(text) for text in texts] if has_chat else texts
        encoded = self.tokenizer(texts, add_special_tokens=not has_chat, padding=True, return_tensors="pt")
        ids = cast(Tensor, encoded["input_ids"])
        room = self.context_size - self.settings.max_new_tokens
        if ids.shape[1] > room:
            lengths = cast(Tensor, encoded["attention_mask"]).sum(-1)
            raise LabError(
                f"prompt {prompts.questions[int(lengths.argmax())][:60]!r} takes {ids.shape[1]} tokens of agent "
                f"{self.name!r}, but its context of {self.context_size} leaves room for {room} beside a response of "
                f"{self.settings.max_new_tokens}"
            )
        return ids.to(self.settings.device), cast(Tensor, encoded["attention_mask"]).bool().to(self.settings.device)

    def _encode_texts(self, batch: RolloutBatch) -> tuple[Tensor, Tensor]:
        """Another agent's texts as this agent's tokens and mask, (P, G, T), with a stop token where finished."""
        texts = [text for group in batch.responses for text in group]
        rows = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        stop = [cast(int, self.tokenizer.eos_token_id)]
        rows = [row + stop * int(done) for row, done in zip(rows, batch.finished.flatten(), strict=True)]
        width = max(1, max(map(len, rows)))
        tokens = torch.full((len(rows), width), cast(int, self.tokenizer.pad_token_id))
        mask = torch.zeros(len(rows), width, dtype=torch.bool)
        for i, row in enumerate(rows):
            tokens[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
            mask[i, : len(row)] = True
        shape = batch.finished.shape
        return tokens.reshape(*shape, width), mask.reshape(*shape, width)

    def _chat(self, text: str) -> str:
        message = [{"role": "user", "content": text.strip()}]
        return cast(str, self.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True))
