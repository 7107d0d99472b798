"""Numbers that need no algebra to be compared, alone or in lists, sets, tuples and intervals, and digits in a base.

Exact, and a hundred times as fast as math-verify. Of answers in the notation of
:func:`hacrl_lab.verification.notation.rewritten`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from hacrl_lab.verification.statements import parts_of_list

_PLAIN_NUMBER = re.compile(r"([-+]?) ?\{*(?:(\d+)|\\frac\{(\d+)\}\{(0*[1-9]\d*)\})\}*", re.ASCII)
_BRACKETS = re.compile(r"(\(|\[|\\\{|)(.*?)(\)|\]|\\\}|)", re.DOTALL)
_BASED = re.compile(r"([0-9A-Z]+)_\{?(\d+)\}?", re.ASCII)


class PlainNumbers(NamedTuple):
    """A number or several: equal to others if brackets and numbers are."""

    brackets: str
    """Both, or empty."""
    numbers: tuple[Fraction, ...]
    """In ascending order but in tuples and intervals; without repetition in sets."""


def plain_numbers(text: str) -> PlainNumbers | None:
    r"""The numbers in a text, or None if it holds anything else.

    >>> plain_numbers(r"(2,\frac{1}{2}]").numbers, plain_numbers("5, 3").numbers, plain_numbers("x")
    ((Fraction(2, 1), Fraction(1, 2)), (Fraction(3, 1), Fraction(5, 1)), None)
    """
    opening, inside, closing = _BRACKETS.fullmatch(text).groups()  # type: ignore[union-attr]
    numbers = [number for part in parts_of_list(inside) if (number := _plain_number(part)) is not None]
    if len(numbers) < len(parts_of_list(inside)):
        return None
    if opening == r"\{":
        numbers = sorted(set(numbers))
    return PlainNumbers(opening + closing, tuple(numbers if opening else sorted(numbers)))


def _plain_number(text: str) -> Fraction | None:
    found = _PLAIN_NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, numerator, denominator = found.groups()
    return Fraction(int(sign + (whole or numerator)), int(denominator or 1))


def has_base(text: str) -> bool:
    """Whether it is digits with a base, as ``1011_2``."""
    return _BASED.fullmatch(text) is not None


def equal_in_base(gold: str, given: str) -> bool:
    """Whether digits and base agree; the given answer may leave out the base, and base ten may be left out anywhere.

    >>> equal_in_base("1011_2", "1011"), equal_in_base("11", "1011_2"), equal_in_base("11", "11_{10}")
    (True, False, True)
    """
    (digits, base), (its_digits, its_base) = (
        found.groups() if (found := _BASED.fullmatch(text)) else (text, "") for text in (gold, given)
    )
    return digits == its_digits and its_base in (base, "" if base else "10")
