"""How a language model is asked, and how texts become its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hacrl_lab import thinking
from hacrl_lab.errors import LabError, ModelLoadError, first_line
from hacrl_lab.language_models import continuations
from hacrl_lab.limits import memory_limit, time_limit
from hacrl_lab.rollouts import RolloutBatch

QUESTION = "How much is 17 + 25?"
"""A question that is put through every chat template before it is used."""
ANSWER = "It is 42."
"""An answer to it, which shows how a chat template ends a turn."""
TEMPLATE_SECONDS = 10.0
"""A chat template that takes longer for a question does not end."""
TEMPLATE_BYTES = 2**29
"""More memory than a chat template needs for a question."""


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
    template_date: str | None = None
    """The day that chat templates take for today, YYYY-MM-DD; None: today. Some write it into every prompt, and a run
    that is continued on another day must ask the same."""


class Template:
    """The texts that an agent reads, through its chat template if it has one.

    Args:
        name: of the agent, for messages.
        tokenizer: its own; needs an end token.
        prompting: how questions are put.

    Raises:
        ModelLoadError: the chat template fails, does not end, or leaves the question out; or there is none, and there
            is a system message.
    """

    def __init__(self, name: str, tokenizer: PreTrainedTokenizerBase, prompting: Prompting) -> None:
        if prompting.system is not None and tokenizer.chat_template is None:
            raise ModelLoadError(f"the tokenizer of agent {name!r} has no chat template for a system prompt")
        self._name = name
        self._tokenizer = tokenizer
        self._prompting = prompting
        self.opening = self._opening(self._checked())
        """What a prompt writes already of every response: the mark of a thinking block, if it opens one."""
        self.end_of_turn = self._end_of_turn()
        """The token that ends a response; the tokenizer's end token may be another one, which ends documents."""

    def prompt(self, question: str) -> str:
        """The whole text that the model reads before it answers.

        Raises:
            ModelLoadError: the chat template fails for this question, or takes too much time or memory.
        """
        if self._tokenizer.chat_template is None:
            return self._user_text(question)
        try:
            return self._conversation(self._messages(question), add_generation_prompt=True)
        except Exception as error:  # templates are programs, and raise what they like
            about = "" if question == QUESTION else f" for the question {question[:60]!r}"
            reason = first_line(error) or type(error).__name__
            raise ModelLoadError(
                f"the chat template of agent {self._name!r} cannot be used{about}: {reason}"
            ) from error

    def _user_text(self, question: str) -> str:
        return self._prompting.template.replace("{question}", question)

    def _messages(self, question: str) -> list[dict[str, str]]:
        messages = [{"role": "user", "content": self._user_text(question).strip()}]
        if self._prompting.system is not None:
            messages.insert(0, {"role": "system", "content": self._prompting.system})
        return messages

    def _conversation(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """Messages in the chat template, within limits."""
        day = self._prompting.template_date
        pinned: dict[str, Any] = {} if day is None else {"strftime_now": date.fromisoformat(day).strftime}
        with time_limit(TEMPLATE_SECONDS), memory_limit(TEMPLATE_BYTES):
            text = self._tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                enable_thinking=self._prompting.enable_thinking,
                **pinned,
            )
        return cast(str, text)

    def _checked(self) -> str:
        """The prompt of a question."""
        asked = self.prompt(QUESTION)
        if QUESTION not in asked:
            raise ModelLoadError(f"the chat template of agent {self._name!r} leaves the question out")
        return asked

    def _opening(self, asked: str) -> str:
        *_, added = asked.rpartition(self._user_text(QUESTION).strip())
        opens = thinking.is_open(added) or asked.rstrip().endswith(thinking.BEGINS)
        return thinking.BEGINS if opens else ""

    def _end_of_turn(self) -> int:
        """The first added token that the chat template writes after an answer, or else the tokenizer's end token.

        A template may write nothing after an answer, or know questions only.
        """
        end = cast(int, self._tokenizer.eos_token_id)
        if self._tokenizer.chat_template is None:
            return end
        answered = [*self._messages(QUESTION), {"role": "assistant", "content": ANSWER}]
        try:
            conversation = self._conversation(answered, add_generation_prompt=False)
        except Exception:  # as above; such a template still asks questions
            return end
        *_, after = conversation.rpartition(ANSWER)
        tokens = cast("list[int]", self._tokenizer(after, add_special_tokens=False)["input_ids"])
        first = next((token for token in tokens if cast(str, self._tokenizer.decode([token])).strip()), end)
        return first if first in self._tokenizer.added_tokens_decoder else end


class TextCodec:
    """Texts to tokens and back, for one agent.

    Args:
        name: of the agent, for messages.
        tokenizer: its own; needs an end token.
        prompting: how questions are put.
        context_size: tokens of prompt and response that the model can read.
        max_new_tokens: of them, for the response.

    Raises:
        ModelLoadError: the tokenizer has no end token, or does not give texts back as they were; or its chat template
            cannot be used, see :class:`Template`.
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
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        continuations.check(tokenizer, name)
        self.tokenizer = tokenizer
        self._name = name
        self._template = Template(name, tokenizer, prompting)
        self._context_size = context_size
        self._max_new_tokens = max_new_tokens
        self._appended = _appended(tokenizer)

    @property
    def end_token(self) -> int:
        """Ends a response: the token that ends a turn in the chat template, or the tokenizer's end token."""
        return self._template.end_of_turn

    @property
    def stop_tokens(self) -> set[int]:
        """Tokens that end a response when the agent says them."""
        return {self.end_token, cast(int, self.tokenizer.eos_token_id)}

    @property
    def pad_token(self) -> int:
        """Fills rows up."""
        return cast(int, self.tokenizer.pad_token_id)

    @property
    def opening(self) -> str:
        """What prompts write already of every response, see :class:`Template`."""
        return self._template.opening

    def prompt(self, question: str) -> str:
        """The whole text that the model reads before it answers."""
        return self._template.prompt(question)

    def prompts(self, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Left-padded tokens of the prompts, and their mask: (P, C).

        Raises:
            LabError: naming the longest prompt, if it leaves no room for a response.
        """
        rows = self._prompt_rows(questions)
        lengths = torch.tensor([len(row) for row in rows])
        longest = int(lengths.max())
        if longest > self.room:
            raise LabError(
                f"prompt {questions[int(lengths.argmax())][:60]!r} takes {longest} tokens of agent "
                f"{self._name!r}, but its context of {self._context_size} leaves room for {self.room} beside a "
                f"response of {self._max_new_tokens}"
            )
        ids = torch.tensor([[self.pad_token] * (longest - len(row)) + row for row in rows])
        return ids, torch.arange(longest) >= longest - lengths[:, None]

    @property
    def room(self) -> int:
        """Tokens of a prompt at most, beside the longest response."""
        return self._context_size - self._max_new_tokens

    def prompt_lengths(self, questions: Sequence[str]) -> list[int]:
        """Tokens of each prompt."""
        return [len(row) for row in self._prompt_rows(questions)]

    def fits(self, questions: Sequence[str]) -> list[bool]:
        """Whether each prompt leaves room for the longest response."""
        return [length <= self.room for length in self.prompt_lengths(questions)]

    def texts(self, batch: RolloutBatch) -> tuple[Tensor, Tensor]:
        """Another agent's texts as this agent's tokens and mask, (P, G, T), with :attr:`end_token` where finished."""
        texts = [text for group in batch.responses for text in group]
        rows = [
            torch.tensor(row + [self.end_token] * int(done), dtype=torch.int64)
            for row, done in zip(continuations.encoded(self.tokenizer, texts), batch.finished.flatten(), strict=True)
        ]
        lengths = torch.tensor([len(row) for row in rows])
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pad_token)
        if tokens.shape[1] == 0:  # nobody said anything
            tokens = torch.full((len(rows), 1), self.pad_token)
        mask = torch.arange(tokens.shape[1]) < lengths[:, None]
        shape = batch.finished.shape
        return tokens.unflatten(0, shape), mask.unflatten(0, shape)

    def decode(self, tokens: Tensor, mask: Tensor) -> list[list[str]]:
        """What was said, without special tokens and without the token that ended it.

        Args:
            tokens, mask: (P, G, T).
        """
        ends = torch.tensor(sorted(self.stop_tokens))
        said = mask & ~torch.isin(tokens, ends)
        return [
            continuations.decoded(self.tokenizer, [row[keep].tolist() for row, keep in zip(rows, masks, strict=True)])
            for rows, masks in zip(tokens, said, strict=True)
        ]

    def _prompt_rows(self, questions: Sequence[str]) -> list[list[int]]:
        """The tokens of whole prompts; a chat template writes its special tokens itself."""
        rows = self.tokenizer(
            [self.prompt(question) for question in questions],
            add_special_tokens=self.tokenizer.chat_template is None,
        )["input_ids"]
        return [row[: len(row) - self._appended] for row in cast("list[list[int]]", rows)]


def _appended(tokenizer: PreTrainedTokenizerBase) -> int:
    """How many special tokens a tokenizer puts after a text: after them a model would begin another one."""
    if tokenizer.chat_template is not None:
        return 0
    bare, whole = (
        cast("list[int]", tokenizer(QUESTION, add_special_tokens=special)["input_ids"]) for special in (False, True)
    )
    before = next((n for n in range(len(whole)) if whole[n : n + len(bare)] == bare), len(whole) - len(bare))
    return len(whole) - len(bare) - before
