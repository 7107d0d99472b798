r"""What an answer is counted in: 5 cm is not 5 m.

A unit stands at the end: as text, ``\text{ m/s}^2``, or as a word or an abbreviation behind a number, ``6 apples``,
``3 km/h``. A single letter without ``\text`` may be a variable: it is a unit only of a plain number, with a space
between, and only in the given answer or where both answers have one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PERCENT = "%"


class Quantity(NamedTuple):
    """A value and what it is counted in."""

    value: str
    unit: str
    """In the one spelling that stands for all, or empty."""
    may_be_letter: bool = False
    """Whether the unit is a letter that may be a variable."""


_POWER = r"(?:\^(?:\{-?\d\}|\d))?"
_WORD = rf"[A-Za-z$£€µΩ%][A-Za-z.]*{_POWER}"
_TEXT = rf"\\text\{{ *{_WORD}(?:(?: |/| / |-|\*|\\cdot ?){_WORD}){{0,4}} *\}}{_POWER}"
_LETTERS = "m|s|h|g|L|l|N|J|W"
_ABBREVIATIONS = (
    r"(?:[mcdk]?m|[mkµ]?g|[mn]?s|[mk]?L|ml|[kM]?[NJWVA]|[kMG]?Hz|k?Pa|k?mol|cal|rad|oz|lbs?|ft|in|yd|mi|hr?s?|mins?|secs?"
    r"|mph|kph|cups?|pts?|qt|gal)"
)
_SIMPLE = rf"(?:(?:sq|cu)\.? ?)?{_ABBREVIATIONS}{_POWER}"
_UNIT = re.compile(
    r"(?P<value>.*?[\dA-Za-z)}|!'])\s*"
    r"(?:(?P<percent>\\?%|(?:\\text\{\s*|\b)percent(?:\s*\})?)"
    r"|(?P<degree>\^\s*\{?\s*\\circ\s*\}?|\\degree|(?:\\text\{\s*|\b)degrees?(?:\s*\})?)"
    rf"|(?P<text>{_TEXT}(?: ?(?:/|-|\\cdot|\*)? ?{_TEXT}){{0,3}})"
    rf"|(?<= )(?P<letter>{_LETTERS})"
    rf"|(?<=[\d}}])(?P<close>(?!(?:{_LETTERS})$)(?:[cmk]m|kg|ft|in|mi|hr|min|mph){_POWER})"
    rf"|(?<=[\d}}] )(?P<word>[A-Za-z]{{4,}}(?: [A-Za-z]+){{0,2}}{_POWER}"
    rf"|(?!(?:{_LETTERS})$){_SIMPLE}(?:(?:/| / | per ){_SIMPLE})*))",
    re.DOTALL,
)
_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_PLAIN = re.compile(r"(?:[-+\d.,/^{} ()]|\\(?:frac|times|cdot)(?![A-Za-z]))+")
_SPELLINGS = {
    "mm": ("millimeter", "millimetre"),
    "cm": ("centimeter", "centimetre"),
    "m": ("meter", "metre"),
    "km": ("kilometer", "kilometre"),
    "in": ("inch", "inche"),
    "ft": ("foot", "feet"),
    "yd": ("yard",),
    "mi": ("mile",),
    "mi/h": ("mph",),
    "km/h": ("kph", "kmh", "kmph"),
    "g": ("gram",),
    "kg": ("kilogram",),
    "oz": ("ounce",),
    "lb": ("pound", "lbs"),
    "s": ("sec", "second"),
    "min": ("minute", "mins"),
    "h": ("hr", "hour", "hrs"),
    "l": ("liter", "litre", "L"),
    "ml": ("milliliter", "millilitre"),
    "$": ("dollar",),
    "": ("unit",),
}
_ONE_SPELLING = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}
_POWERS = {"square": "2", "sq": "2", "squared": "2", "cubic": "3", "cu": "3", "cubed": "3"}
_NO_UNITS = """
    or and not no maybe perhaps about approx approximately roughly so wrong false none plus minus times half
    hundred thousand million billion trillion dozen if for when where
"""


def quantity(text: str) -> Quantity:
    r"""Value and unit of an answer in the notation of :func:`hacrl_lab.verification.notation.rewritten`.

    >>> quantity(r"5\text{ square centimeters}"), quantity(r"12\%")
    (Quantity(value='5', unit='cm^2', may_be_letter=False), Quantity(value='12', unit='%', may_be_letter=False))
    """
    found = _UNIT.fullmatch(text)
    if found is None:
        return Quantity(text, "")
    value = found["value"].strip()
    if found["percent"]:
        return Quantity(value, PERCENT)
    if found["degree"]:
        return Quantity(text, "") if _FUNCTION.search(value) else Quantity(value, "degree")
    words = found["text"] or found["word"] or found["close"] or found["letter"] or ""
    if set(_NO_UNITS.split()) & set(re.findall(r"[a-z]+", words.lower())) or (
        found["letter"] and not _PLAIN.fullmatch(value)
    ):
        return Quantity(text, "")
    return Quantity(value, _one_spelling(words), may_be_letter=bool(found["letter"]))


def _one_spelling(words: str) -> str:
    r"""The spelling that stands for all of a unit.

    >>> _one_spelling("Square Inches"), _one_spelling("miles per hour"), _one_spelling(r"\text{ m}^{3}")
    ('in^2', 'mi/h', 'm^3')
    """
    plain = re.sub(r"\\text|\\cdot|[{}*.-]", lambda mark: " " if mark[0] in (r"\cdot", "*", "-") else "", words)
    plain = re.sub(r"\^ (?=\d)", "^-", plain)  # the minus of an exponent
    parts: list[str] = []
    power = ""
    for word in re.findall(r"/|[^ /]+", re.sub(r"(?<![A-Za-z])per(?![A-Za-z])", "/", plain)):
        name, _, its_power = word.partition("^")
        if len(name) > 2:
            name = name.lower()
        if name in _POWERS and parts[-1:] and name.endswith("d"):
            parts[-1] = f"{parts[-1]}^{_POWERS[name]}"
        elif name.lower() in _POWERS:
            power = _POWERS[name.lower()]
        else:
            singular = name[:-1] if len(name) > 3 and name.endswith("s") else name
            unit = next((_ONE_SPELLING[word] for word in (singular, name) if word in _ONE_SPELLING), singular)
            exponent = its_power or power
            parts.append(f"{unit}^{exponent}" if exponent and unit else unit)
            power = ""
    return " ".join(part for part in parts if part).replace(" / ", "/")
