r"""Which exact answers can be compared: those that are read as mathematics, and words that are marked as text."""

from __future__ import annotations

import re

from hacrl_lab.verification.notation import rewritten
from hacrl_lab.verification.statements import in_brackets, statements
from hacrl_lab.verification.units import quantity
from hacrl_lab.verification.words import PURE_TEXT, is_balanced, is_prose

_PLAIN = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?", re.ASCII)


def is_plain_number(answer: str) -> bool:
    """Whether an exact answer is a number in digits, which is read as mathematics without any parser.

    >>> [is_plain_number(answer) for answer in ("-12", "0.25", "1/2", "", "1e5")]
    [True, True, False, False, False]
    """
    return _PLAIN.fullmatch(answer) is not None


def is_mathematics(answer: str) -> bool:
    r"""Whether an exact answer can be compared: it is read as mathematics, or is marked as text.

    Bare words are not: math-verify reads ``yes`` as a product of letters and ``nan`` as a number. ``\text{yes}`` is.
    """
    try:
        return is_balanced(answer) and _is_read(answer)
    except Exception:  # of a parser
        return False


def _is_read(answer: str) -> bool:
    text = rewritten(answer)
    pure = PURE_TEXT.fullmatch(text)
    if pure:
        return bool(pure[1].strip())
    return not is_prose(answer) and _are_values_read(text)


def _are_values_read(text: str) -> bool:
    """Whether there are statements, and the sides that are no names are expressions or lists of such."""
    from hacrl_lab.verification.expressions import read

    values = [quantity(value).value for statement in statements(text) for value in statement.values]
    return bool(values) and all(read(value) is not None or _is_list_read(value) for value in values)


def _is_list_read(value: str) -> bool:
    brackets = in_brackets(value)
    return brackets is not None and _are_values_read(brackets[1])
