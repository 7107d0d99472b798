"""All responses of a small vocabulary: what tabular agents say, bandits reward and the theorems sum over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hacrl_lab.errors import SettingError


@dataclass(frozen=True)
class ResponseSpace:
    """Every response that ``symbols`` letters and, if ``stops``, a stop action can make in at most ``length`` actions.

    Without a stop action all responses have ``length`` letters: symbols^length of them. With one, a response is either
    finished, some letters and then the stop action, or cut off after ``length`` letters without it (decision 7). These
    are all strings of 0 ... ``length`` letters, Σ_{t≤length} symbols^t.

    A response is numbered by its letters: shorter strings first, then the first letter most significant. Actions
    0 ... symbols − 1 are the letters; the last action is the stop action.

    >>> ResponseSpace(symbols=2, length=2, stops=True).tokens  # stop; 0, stop; 1, stop; 00; 01; 10; 11
    tensor([[2, 0],
            [0, 2],
            [1, 2],
            [0, 0],
            [0, 1],
            [1, 0],
            [1, 1]])
    """

    symbols: int
    """Letters, ≥ 1."""
    length: int
    """T, the largest number of actions in a response, ≥ 1."""
    stops: bool = False
    """Whether the agent ends its responses itself, with an action of its own."""

    def __post_init__(self) -> None:
        if self.symbols < 1 or self.length < 1:
            raise SettingError(f"symbols and length must be ≥ 1, got {self.symbols} and {self.length}")

    @property
    def actions(self) -> int:
        """Choices at every position, the stop action included."""
        return self.symbols + self.stops

    @property
    def prefixes(self) -> int:
        """Strings after which the agent acts: those of fewer than ``length`` letters."""
        return sum(self.symbols**t for t in range(self.length))

    @property
    def size(self) -> int:
        """Y, the number of responses."""
        return self.symbols**self.length + (self.prefixes if self.stops else 0)

    @cached_property
    def tokens(self) -> Tensor:
        """Every response in the order of the numbers, 0 after its end: (Y, T)."""
        rows: list[Tensor] = []
        for letters in range(0 if self.stops else self.length, self.length + 1):
            digits = self.symbols ** torch.arange(letters - 1, -1, -1)
            strings = torch.arange(self.symbols**letters).unsqueeze(-1) // digits % self.symbols
            rows.append(torch.nn.functional.pad(strings, (0, self.length - letters)))
            if letters < self.length:
                rows[-1][:, letters] = self.symbols
        return torch.cat(rows)

    @cached_property
    def mask(self) -> Tensor:
        """True on the actions of every response, stop action included: (Y, T)."""
        return self.mask_of(self.tokens)

    @property
    def lengths(self) -> Tensor:
        """|y| of every response, stop action included: (Y,)."""
        return self.mask.sum(-1)

    def mask_of(self, tokens: Tensor) -> Tensor:
        """True up to and including the first stop action: (..., T) -> (..., T)."""
        stop = tokens == self.symbols  # never true without a stop action
        return stop.cumsum(-1) - stop.long() == 0

    def prefix_index(self, tokens: Tensor) -> Tensor:
        """The number of the letters *before* each position among all prefixes: (..., T) -> (..., T).

        Prefixes are numbered shorter ones first, then the first letter most significant. After a response's end the
        prefix is the whole response's.

        >>> ResponseSpace(symbols=2, length=3).prefix_index(torch.tensor([1, 0, 1]))
        tensor([0, 2, 5])
        """
        return self._letters_index(tokens)[..., :-1]

    def number(self, tokens: Tensor) -> Tensor:
        """The number of each response in :attr:`tokens`: (..., T) -> (...).

        >>> ResponseSpace(symbols=3, length=2).number(torch.tensor([2, 1]))
        tensor(7)
        """
        return self._letters_index(tokens)[..., -1] - (0 if self.stops else self.prefixes)

    def look_up(self, table: Tensor, prompts: Tensor, tokens: Tensor) -> Tensor:
        """What a table says of each prompt's responses, for instance their rewards.

        Args:
            table: (..., contexts, Y).
            prompts: rows of the table, (..., P).
            tokens: responses, (..., P, G, T).

        Returns:
            (..., P, G).
        """
        number = self.number(tokens)
        cell = prompts.unsqueeze(-1) * self.size + number
        return table.flatten(-2).take_along_dim(cell.flatten(-2), -1).reshape(number.shape)

    def _letters_index(self, tokens: Tensor) -> Tensor:
        """The number of the first t letters among all strings, t = 0 ... T: (..., T) -> (..., T + 1)."""
        is_letter = self.mask_of(tokens) & (tokens < self.symbols)
        index = torch.zeros(*tokens.shape[:-1], tokens.shape[-1] + 1, dtype=torch.int64)
        for t in range(tokens.shape[-1]):
            before = index[..., t]
            index[..., t + 1] = torch.where(is_letter[..., t], before * self.symbols + tokens[..., t] + 1, before)
        return index


def one_hot(values: Tensor, classes: int) -> Tensor:
    """Float64 one-hot vectors: (...) -> (..., classes)."""
    return torch.nn.functional.one_hot(values, classes).double()
