r"""What an answer says: several statements, each of one side or of sides with relations between them.

Of answers in the notation of :func:`hacrl_lab.verification.notation.rewritten`. Text is parted here, outside all
brackets, braces and matrices; expressions are read by :mod:`hacrl_lab.verification.expressions`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

EQUATIONS = frozenset(("=", r"\approx", r"\in"))
"""Relations that name or state a value."""
_FLIPPED = {">": "<", r"\ge": r"\le"}
_PIECE = re.compile(
    r"\\(?:begin|end)(?![A-Za-z])|\\(?:le|ge|ne|approx|in|notin|equiv|cup|cap|setminus|subset|to|cdot|mp|pm)(?![A-Za-z])"
    r"|\\[A-Za-z]+|\\.|.",
    re.DOTALL,
)
_WRITTEN_RELATIONS = r"= < > \le \ge \ne \approx \in \notin \equiv \subset \to"
_RELATIONS = frozenset(_WRITTEN_RELATIONS.split())
_OPENING = frozenset(("(", "[", "{", r"\{", r"\begin"))
_CLOSING = frozenset((")", "]", "}", r"\}", r"\end"))
_NAMES_NO_QUANTITY = re.compile(r"\\(?:pi|infty)(?![A-Za-z])|_\{[^{}]*\}|_\w|(?<=[A-Za-z}'])\([^()]*\)")
_CONDITION = re.compile(
    r"\\\{ *([A-Za-z])(?: *\\in *(?:\\mathbb *\{?R\}?|R))? *(?:\||\\mid(?![A-Za-z])|:|;) *((?:(?!\\[{}]).)*)\\\}",
    re.DOTALL,
)


class Statement(NamedTuple):
    """``a < b = c``: sides and the relations between them; one side without a relation is a value."""

    sides: tuple[str, ...]
    relations: tuple[str, ...]

    @property
    def is_equation(self) -> bool:
        """Whether it names or states a value."""
        return bool(self.relations) and set(self.relations) <= EQUATIONS

    @property
    def values(self) -> tuple[str, ...]:
        """The sides that name nothing; the last side if all do."""
        return tuple(side for side in self.sides if not is_name(side)) or self.sides[-1:]

    @property
    def name(self) -> str | None:
        """The side of an equation that only names what the others are."""
        names = [side for side in self.sides if is_name(side)]
        return names[0] if self.is_equation and names else None


def split_outside(text: str, separators: frozenset[str]) -> tuple[list[str], list[str]]:
    r"""Text between separators that stand outside all brackets, and the separators.

    >>> split_outside("(1,2), x=3; 4", frozenset(",;"))
    (['(1,2)', 'x=3', '4'], [',', ';'])
    """
    depth, parts, found = 0, [""], []
    for piece in _PIECE.findall(text):
        depth += (piece in _OPENING) - (piece in _CLOSING)
        if piece in separators and depth == 0:
            parts.append("")
            found.append(piece)
        else:
            parts[-1] += piece
    return [part.strip() for part in parts], found


def parts_of_list(text: str) -> list[str]:
    r"""What is between commas and semicolons outside all brackets; a part with a double sign is two.

    >>> parts_of_list(r"(1,2), \pm x; 4")
    ['(1,2)', '+ x', '- x', '4']
    """
    parts: list[str] = []
    for part in split_outside(text, frozenset(",;"))[0]:
        signs = ("+-", "-+") if re.search(r"\\(?:pm|mp)(?![A-Za-z])", part) else ("",)
        for sign in signs:
            parts.append(re.sub(r"\\(pm|mp)(?![A-Za-z])", lambda match: sign[match[1] == "mp"], part))  # noqa: B023
    return [part for part in parts if part]


def statements(text: str) -> list[Statement]:
    r"""What a text states.

    >>> statements(r"1>x\ge 0, y")
    [Statement(sides=('0', 'x', '1'), relations=('\\le', '<')), Statement(sides=('y',), relations=())]
    """
    condition = _CONDITION.fullmatch(text.strip())
    return [_statement(part) for part in parts_of_list(condition[2] if condition else text)]


def _statement(part: str) -> Statement:
    sides, relations = split_outside(part, _RELATIONS)
    if relations and not sides[0]:  # "= 5"
        sides, relations = sides[1:], relations[1:]
    sides = [condition[2] if (condition := _CONDITION.fullmatch(side)) else side for side in sides]
    if len(sides) == 1 and _has_relation(sides[0]):
        return _statement(sides[0])
    if relations and set(relations) <= set(_FLIPPED):
        return Statement(tuple(reversed(sides)), tuple(_FLIPPED[relation] for relation in reversed(relations)))
    return Statement(tuple(sides), tuple(relations))


def _has_relation(side: str) -> bool:
    return bool(split_outside(side, _RELATIONS)[1])


def is_name(side: str) -> bool:
    r"""Whether a side only names a quantity: it has letters, no digits and no minus before it, as ``f(3)`` and ``x_1``.

    >>> is_name("f(3)"), is_name(r"\text{Area}"), is_name("x+1"), is_name(r"\pi")
    (True, True, False, False)
    """
    kept = _NAMES_NO_QUANTITY.sub("", side)
    return re.fullmatch(r"(?!-|i$)[^\d]*[A-Za-z][^\d]*", kept) is not None


def as_interval(statement: Statement) -> str | None:
    r"""The interval that an inequality for one letter describes.

    >>> print(as_interval(statements(r"0 \le x < 1")[0]), as_interval(statements("x > 3")[0]))
    [0,1) (3,\infty )
    """
    sides, relations = statement
    if relations == (r"\ne",) and is_letter(sides[0]):
        return rf"(-\infty ,{sides[1]})\cup ({sides[1]},\infty )"
    if not relations or not set(relations) <= {"<", r"\le"}:
        return None
    if len(sides) == 2 and is_letter(sides[0]):
        sides, relations = (r"-\infty ", *sides), ("<", *relations)
    elif len(sides) == 2 and is_letter(sides[1]):
        sides, relations = (*sides, r"\infty "), (*relations, "<")
    if len(sides) != 3 or not is_letter(sides[1]):
        return None
    opening, closing = "[(", "])"
    return f"{opening[relations[0] == '<']}{sides[0]},{sides[2]}{closing[relations[1] == '<']}"


def is_letter(side: str) -> bool:
    """Whether a side is one letter, perhaps with an index, or a function of one."""
    return (
        re.fullmatch(r"\\?[A-Za-z](?:[a-z]*(?<=\\[a-z]{2})|)(?:_(?:\w|\{\w+\}))?(?:\([a-z]\))?|\\[a-zA-Z]+", side)
        is not None
    )


def in_brackets(text: str) -> tuple[str, str, str] | None:
    r"""Opening bracket, inside and closing bracket of a text that one pair of brackets encloses.

    >>> in_brackets("(1,2]"), in_brackets("(1)(2)")
    (('(', '1,2', ']'), None)
    """
    pieces = _PIECE.findall(text)
    if len(pieces) < 2 or pieces[0] not in ("(", "[", r"\{") or pieces[-1] not in (")", "]", r"\}"):
        return None
    depth = 0
    for place, piece in enumerate(pieces):
        depth += (piece in _OPENING) - (piece in _CLOSING)
        if depth == 0 and place < len(pieces) - 1:
            return None
    return pieces[0], "".join(pieces[1:-1]), pieces[-1]
