"""How a language model is asked, and how texts become its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerBase

from hacrl_lab.errors import LabError, ModelLoadError, first_line
from hacrl_lab.interrupt import time_limit
from hacrl_lab.rollouts import RolloutBatch

PROBE = "How much is 17 + 25?"
"""A question that is put through every chat template before it is used."""
TEMPLATE_SECONDS = 10.0
"""A chat template that takes longer for it does not end."""


@dataclass(frozen=True)
class Prompting:
    """How a question is put."""

    template: str = "{question}\n"
    """The prompt, ``{question}`` replaced; the user's message in the chat template of a model that has one."""
    system: str | None = None
    """The system message, for models with a chat template."""
    enable_thinking: bool = False
    """Told to the chat template, which may open a thinking block or close it at once; templates without thinking do
    not read it. Other agents see all of a thinking block, see :mod:`hacrl_lab.verification.answer_rules`."""


class TextCodec:
    """Texts to tokens and back, for one agent.

    Args:
        name: of the agent, for messages.
        tokenizer: its own; needs an end token.
        prompting: how questions are put.
        context_size: tokens of prompt and response that the model can read.
        max_new_tokens: of them, for the response.

    Raises:
        ModelLoadError: the tokenizer has no end token, or no chat template and there is a system message; or its chat
            template fails, does not end, or leaves the question out.
    """

    def __init__(
        self,
        name: str,
        tokenizer: PreTrainedTokenizerBase,
        prompting: Prompting,
        context_size: int,
        max_new_tokens: int,
    ) -> None:
        if tokenizer.eos_token_id is None:
            raise ModelLoadError(f"the tokenizer of agent {name!r} has no end token, so its answers could never end")
        if prompting.system is not None and tokenizer.chat_template is None:
            raise ModelLoadError(f"the tokenizer of agent {name!r} has no chat template for a system prompt")
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.tokenizer = tokenizer
        self._name = name
        self._prompting = prompting
        self._context_size = context_size
        self._max_new_tokens = max_new_tokens
        self._check_prompts()

    @property
    def end_token(self) -> int:
        """Ends a response."""
        return cast(int, self.tokenizer.eos_token_id)

    @property
    def pad_token(self) -> int:
        """Fills rows up."""
        return cast(int, self.tokenizer.pad_token_id)

    def prompt(self, question: str) -> str:
        """The whole text that the model reads before it answers."""
        text = self._prompting.template.replace("{question}", question)
        if self.tokenizer.chat_template is None:
            return text
        messages = [{"role": "user", "content": text.strip()}]
        if self._prompting.system is not None:
            messages.insert(0, {"role": "system", "content": self._prompting.system})
        return cast(
            str,
            self.tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=self._prompting.enable_thinking,
            ),
        )

    def _check_prompts(self) -> None:
        try:
            with time_limit(TEMPLATE_SECONDS):
                asked = self.prompt(PROBE)
        except Exception as error:  # templates are programs, and raise what they like
            reason = first_line(error)
            raise ModelLoadError(f"the chat template of agent {self._name!r} cannot be used: {reason}") from error
        if PROBE not in asked:
            raise ModelLoadError(f"the chat template of agent {self._name!r} leaves the question out")

    def prompts(self, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Left-padded tokens of the prompts, and their mask: (P, C).

        Raises:
            LabError: naming the longest prompt, if it leaves no room for a response.
        """
        encoded = self._encoded(questions, padding=True, return_tensors="pt")
        ids, mask = (cast(Tensor, encoded[name]) for name in ("input_ids", "attention_mask"))
        if ids.shape[1] > self.room:
            raise LabError(
                f"prompt {questions[int(mask.sum(-1).argmax())][:60]!r} takes {ids.shape[1]} tokens of agent "
                f"{self._name!r}, but its context of {self._context_size} leaves room for {self.room} beside a "
                f"response of {self._max_new_tokens}"
            )
        return ids, mask.bool()

    @property
    def room(self) -> int:
        """Tokens of a prompt at most, beside the longest response."""
        return self._context_size - self._max_new_tokens

    def prompt_lengths(self, questions: Sequence[str]) -> list[int]:
        """Tokens of each prompt."""
        return [len(row) for row in cast(Any, self._encoded(questions)["input_ids"])]

    def fits(self, questions: Sequence[str]) -> list[bool]:
        """Whether each prompt leaves room for the longest response."""
        return [length <= self.room for length in self.prompt_lengths(questions)]

    def texts(self, batch: RolloutBatch) -> tuple[Tensor, Tensor]:
        """Another agent's texts as this agent's tokens and mask, (P, G, T), with a stop token where finished.

        A text that spells a special token stays ordinary characters: it cannot end an answer in its middle.
        """
        texts = [text for group in batch.responses for text in group]
        rows = cast(Any, self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"])
        rows = [
            torch.tensor(row + [self.end_token] * int(done), dtype=torch.int64)
            for row, done in zip(rows, batch.finished.flatten(), strict=True)
        ]
        lengths = torch.tensor([len(row) for row in rows])
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pad_token)
        if tokens.shape[1] == 0:  # nobody said anything
            tokens = torch.full((len(rows), 1), self.pad_token)
        mask = torch.arange(tokens.shape[1]) < lengths[:, None]
        shape = batch.finished.shape
        return tokens.unflatten(0, shape), mask.unflatten(0, shape)

    def decode(self, tokens: Tensor, mask: Tensor) -> list[list[str]]:
        """What was said, without special tokens.

        Args:
            tokens, mask: (P, G, T).
        """
        return [
            self.tokenizer.batch_decode(
                [row[keep].tolist() for row, keep in zip(rows, masks, strict=True)],
                skip_special_tokens=True,
                clean_up_tokenization_spaces=False,
            )
            for rows, masks in zip(tokens, mask, strict=True)
        ]

    def _encoded(self, questions: Sequence[str], **settings: Any) -> BatchEncoding:
        """The tokens of whole prompts; a chat template writes its special tokens itself."""
        return self.tokenizer(
            [self.prompt(question) for question in questions],
            add_special_tokens=self.tokenizer.chat_template is None,
            **settings,
        )
