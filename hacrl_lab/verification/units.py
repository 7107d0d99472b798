"""What an answer is counted in: math-verify drops units, so 5 cm and 5 m are the same to it."""

from __future__ import annotations

import re
from typing import NamedTuple

PERCENT = "%"


class Quantity(NamedTuple):
    """A value and what it is counted in."""

    value: str
    unit: str
    """In the one spelling that stands for all, or empty."""


_UNIT = re.compile(
    r"(?P<value>.*[\dA-Za-z)}|])\s*"
    r"(?:(?P<percent>\\?%|(?:\\text\{\s*|\b)percent(?:\s*\})?)"
    r"|(?P<degree>\^\s*\{?\s*\\circ\s*\}?|\\degree|(?:\\text\{\s*|\b)degrees?(?:\s*\})?)"
    r"|\\text\{\s*(?P<text>[A-Za-z./ ]+|[$£€])\s*\}(?:\^\{?(?P<power>[23])\}?)?"
    r"|(?<=[\d} ])(?P<word>[A-Za-z]{4,}(?: [A-Za-z]+){0,2}|cm|mm|km|kg|ft|in|mi|hr|min|mph)"
    r"(?:\^\{?(?P<word_power>[23])\}?)?)",
    re.ASCII,
)
_SPELLINGS = {
    "mm": ("millimeter", "millimetre"),
    "cm": ("centimeter", "centimetre"),
    "m": ("meter", "metre"),
    "km": ("kilometer", "kilometre"),
    "in": ("inch", "inche"),
    "ft": ("foot", "feet"),
    "yd": ("yard",),
    "mi": ("mile",),
    "mph": ("mile per hour",),
    "g": ("gram",),
    "kg": ("kilogram",),
    "lb": ("pound",),
    "s": ("sec", "second"),
    "min": ("minute",),
    "h": ("hr", "hour"),
    "l": ("liter", "litre"),
    "$": ("dollar",),
    "": ("unit",),
}
_ONE_SPELLING = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}
_POWERS = {"square ": "2", "sq ": "2", "cubic ": "3", "cu ": "3"}
_NO_UNITS = """
    or and not no maybe perhaps about approx approximately roughly so wrong false none plus minus times squared cubed
    half hundred thousand million billion trillion dozen
"""


def quantity(text: str) -> Quantity:
    r"""Value and unit of an answer in the notation of :func:`hacrl_lab.verification.notation.rewritten`.

    >>> quantity(r"5\text{ square centimeters}"), quantity(r"12\%"), quantity("x+1")
    (Quantity(value='5', unit='cm^2'), Quantity(value='12', unit='%'), Quantity(value='x+1', unit=''))
    """
    found = _UNIT.fullmatch(text)
    words = (found["text"] or found["word"] or "") if found else ""
    if found is None or set(_NO_UNITS.split()) & set(words.lower().split()):
        return Quantity(text, "")
    if found["percent"] or found["degree"]:
        return Quantity(found["value"], PERCENT if found["percent"] else "degree")
    return Quantity(found["value"], _one_spelling(words, found["power"] or found["word_power"] or ""))


def _one_spelling(words: str, power: str) -> str:
    """The spelling that stands for all of a unit.

    >>> _one_spelling("Square Inches", ""), _one_spelling("miles per hour", ""), _one_spelling("m", "3")
    ('in^2', 'mph', 'm^3')
    """
    name = words.lower().replace(".", "").strip()
    for word, its_power in _POWERS.items():
        if name.startswith(word):
            name, power = name.removeprefix(word), its_power
    singular = re.sub(r"(?<=\w\w)s\b", "", name)
    unit = _ONE_SPELLING.get(singular, singular)
    return f"{unit}^{power}" if power and unit else unit
