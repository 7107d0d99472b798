r"""What the cells of a record say: questions and answers as text, from plain columns, nested ones and conversations.

A column is named by its name, by a path of names and places with dots between for what is nested in one
(``reward_model.ground_truth``, ``messages.0.content``), or by a template that puts several together
(``{Body} {Question}``).

The exact answer is taken out of a solution: what follows the last ``####`` (GSM8K), without commas between thousands,
or the last box (MATH), whichever comes later; any other text is the answer as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from hacrl_envs.records import Number, Record, Unusable
from hacrl_lab.verification.answer_rules import boxed_answer, hashed_answer

MOST_DIGITS = 300
"""Of a whole number that a reward function is given as one: Python reads no longer ones than a few thousand."""
_FIELD = re.compile(r"\{([^{}]+)\}")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def has_cell(record: Record, column: str) -> bool:
    """Whether a record has all that a column, a path or a template names, if only as null.

    >>> has_cell(Record("line 1", {"a": [{"b": None}]}), "a.0.b"), has_cell(Record("line 1", {"a": 1}), "{a} {b}")
    (True, False)
    """
    if column not in record.values and (fields := _FIELD.findall(column)):
        return all(has_cell(record, field) for field in fields)
    try:
        _cell(record, column)
    except Unusable:
        return False
    return True


def text_of(record: Record, column: str) -> str:
    """What a column, a path or a template says. In a template, what is null or empty is left out.

    >>> text_of(Record("line 1", {"Body": "Mia has 3 pears. ", "Question": "How many?"}), "{Body} {Question}")
    'Mia has 3 pears.  How many?'
    >>> text_of(Record("line 1", {"prompt": [{"role": "user", "content": "1 + 1?"}]}), "prompt")
    '1 + 1?'

    Raises:
        Unusable: it is missing, empty, or neither text nor a number.
    """
    if column in record.values or not _FIELD.search(column):
        text = _said(record, column, _cell(record, column))
    else:
        text = _FIELD.sub(lambda match: _part(record, match[1]), column).strip()
    if not text.strip():
        raise Unusable(record.location, "is empty", column)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unusable(record.location, "holds half of a character (a lone surrogate)", column) from error
    return text


def exact_answer_of(record: Record, column: str) -> str:
    """The exact answer that a column or path holds, or the solution in it.

    Raises:
        Unusable: see :func:`text_of`; or the solution announces an answer and does not give it.
    """
    exact = exact_answer(text_of(record, column))
    if exact is None:
        raise Unusable(record.location, r"has #### or \boxed without an answer", column)
    return exact


def exact_answer(solution: str) -> str | None:
    r"""The answer in a solution, or None if the solution announces one and does not give it.

    >>> exact_answer("999 + 8 =" + chr(10) + "#### 1,007"), exact_answer(r"so $x = \boxed{7}$."), exact_answer(" 7 ")
    ('1007', '7', '7')
    """
    solution = solution.replace("\\fbox", "\\boxed")  # a few solutions of MATH
    hashes, box = solution.rfind("####"), solution.rfind("\\boxed")
    if box > hashes:
        return boxed_answer(solution)
    if hashes >= 0:
        answer = hashed_answer(solution)
        return None if answer is None else _THOUSANDS.sub("", answer)
    return solution.strip() or None


def python_value(value: Any) -> Any:
    """What a reward function is given of a cell: numbers of JSON as Python's.

    Raises:
        RecursionError: it is nested too deeply.
    """
    if isinstance(value, Number):
        is_integer = value.removeprefix("-").isdigit() and len(value) <= MOST_DIGITS
        return int(value) if is_integer else float(value)
    if isinstance(value, list):
        return [python_value(entry) for entry in value]
    if isinstance(value, dict):
        return {key: python_value(entry) for key, entry in value.items()}
    return value


def _cell(record: Record, column: str) -> Any:
    """The value of a column, or of what a path names."""
    if column in record.values:
        return record.values[column]
    value: Any = record.values
    for name in column.split("."):
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise Unusable(record.location, f"has no {column!r}")
    return value


def _part(record: Record, column: str) -> str:
    """What a field of a template becomes."""
    value = _cell(record, column)
    return "" if value is None else _said(record, column, value)


def _said(record: Record, column: str, value: Any) -> str:
    """A value as text: a number in digits, entries of a list with commas between, a conversation of one turn."""
    if isinstance(value, list) and value:
        if all(isinstance(entry, Mapping) and "role" in entry for entry in value):
            return _turn(record, column, value)
        return ", ".join(_written(record, column, entry) for entry in value)
    return _written(record, column, value)


def _turn(record: Record, column: str, messages: list[Mapping[str, Any]]) -> str:
    """What the only message says, after those of the system, with an empty line between."""
    roles = [message["role"] for message in messages]
    if any(role != "system" for role in roles[:-1]) or roles[-1] == "system":
        raise Unusable(
            record.location, f"is a conversation of several turns; name one of them, as in '{column}.0.content'", column
        )
    return "\n\n".join(_content(record, column, message.get("content")) for message in messages)


def _content(record: Record, column: str, content: Any) -> str:
    """The text of a message, which may be in parts."""
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise Unusable(record.location, "has a message that is not text", column)
    return "".join(map(str, texts))


def _written(record: Record, column: str, value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping) and value:
        inner = f"{column}.{next(iter(value))}"
        raise Unusable(record.location, f"holds columns of its own; name one of them, as in {inner!r}", column)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise Unusable(record.location, "is neither text nor a number", column, repr(value))
    return str(value) if isinstance(value, int) else np.format_float_positional(value, trim="-")
