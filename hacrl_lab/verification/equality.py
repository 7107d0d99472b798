r"""Is an answer equal to the exact one, as a teacher would see it?

Both answers are rewritten in one notation (:mod:`hacrl_lab.verification.notation`) and parted into statements
(:mod:`hacrl_lab.verification.statements`); math-verify reads what is left and compares it, with the objections of
:mod:`hacrl_lab.verification.expressions`. ``docs/verifier.md`` lists the pairs in which the verdict still is not a
teacher's. Runs in the verifier's workers, which stop it when it takes too long.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hacrl_lab.verification.notation import rewritten
from hacrl_lab.verification.plain_numbers import equal_in_base, has_base, plain_numbers
from hacrl_lab.verification.statements import Statement, as_interval, in_brackets, split_outside, statements
from hacrl_lab.verification.units import PERCENT, Quantity, quantity
from hacrl_lab.verification.words import PURE_TEXT, has_new_commands, has_words, is_balanced, same_text, words

_CHOICE = re.compile(r"[A-Za-z]")
_SET_OPERATIONS = frozenset((r"\cup", r"\cap", r"\setminus"))


def are_equal(gold: str, given: str) -> bool:
    """Whether a teacher with the exact answer would accept the given one."""
    try:
        if not is_balanced(given):
            return False
        return _equal(rewritten(gold), rewritten(given)) or (
            "," in given and _equal(rewritten(gold, thousands=False), rewritten(given, thousands=False))
        )
    except Exception:  # whatever a parser and a computer algebra system make of answers that are none
        return False


def _equal(gold: str, given: str) -> bool:
    """Of rewritten answers."""
    if same_text(gold, given):
        return bool(gold)
    if has_new_commands(gold, given):
        return False
    if PURE_TEXT.fullmatch(gold):
        return words(gold) == words(given)
    pure = PURE_TEXT.fullmatch(given)
    given = pure[1] if pure else given
    if _CHOICE.fullmatch(gold) and _CHOICE.fullmatch(given):
        return gold.casefold() == given.casefold()
    same_numbers = _are_same_numbers(gold, given)
    return _equal_lists(_elements(gold), _elements(given)) if same_numbers is None else same_numbers


def _are_same_numbers(gold: str, given: str) -> bool | None:
    """Of plain numbers; None if there is anything else, or if only one of them has brackets."""
    numbers, its_numbers = plain_numbers(gold), plain_numbers(given)
    if numbers is None or its_numbers is None or bool(numbers.brackets) != bool(its_numbers.brackets):
        return None
    return numbers == its_numbers


# Lists, sets and tuples of statements.


class Elements(NamedTuple):
    """Of a list without brackets, or of one set or tuple, which may be named."""

    brackets: str
    parts: list[Statement]
    name: str | None = None


def _elements(text: str) -> Elements:
    found = statements(text)
    if len(found) == 1 and (not found[0].relations or found[0].name) and len(found[0].values) == 1:
        opening, inside, closing = in_brackets(found[0].values[0]) or ("", "", "")
        parts = statements(inside)
        if len(parts) > 1 or (opening not in ("", "(") and inside.strip() != r"\emptyset" and parts):
            return Elements(opening + closing, parts, found[0].name)
    return Elements("", found)


def _equal_lists(gold: Elements, given: Elements) -> bool:
    (brackets, ours, name), (its_brackets, theirs, its_name) = gold, given
    if not ours or not theirs or (name and its_name and not _equal_sides(name, its_name)):
        return False
    if _equal_intervals(gold, given):
        return True
    if r"\{\}" in (brackets, its_brackets) and {brackets, its_brackets} <= {r"\{\}", ""}:
        ours = _distinct(ours) if brackets else ours
        return _partners(ours, _distinct(theirs) if its_brackets else theirs, _equal_statements)
    if brackets == its_brackets == "":
        return _partners(ours, theirs, _equal_statements) or _are_values_of(ours, theirs)
    if brackets == its_brackets or {brackets, its_brackets} == {"()", ""}:
        return _equal_in_order(_unnamed(ours) if its_brackets else ours, _unnamed(theirs))
    return False


def _are_values_of(ours: list[Statement], theirs: list[Statement]) -> bool:
    """Whether ``1, 2`` stands for ``x=1, y=2``."""
    return len(ours) > 1 and not any(part.relations for part in theirs) and _equal_in_order(_unnamed(ours), theirs)


def _unnamed(parts: list[Statement]) -> list[Statement]:
    """Values of quantities with different names, in their order: of ``x=1, y=2`` 1 and 2."""
    names = {part.name for part in parts}
    if None in names or len(names) < len(parts):
        return parts
    return [Statement(part.values[-1:], ()) for part in parts]


def _equal_in_order(ours: Sequence[Statement], theirs: Sequence[Statement]) -> bool:
    return len(ours) == len(theirs) and all(map(_equal_statements, ours, theirs))


def _partners(ours: Sequence[Any], theirs: Sequence[Any], are_partners: Callable[[Any, Any], bool]) -> bool:
    """Whether every one has its partner, in any order."""
    left = list(theirs)
    for one in ours:
        partner = next((place for place, other in enumerate(left) if are_partners(one, other)), None)
        if partner is None:
            return False
        del left[partner]
    return not left


def _distinct(parts: Sequence[Statement]) -> list[Statement]:
    kept: list[Statement] = []
    for part in parts:
        if not any(_equal_statements(part, other) for other in kept):
            kept.append(part)
    return kept


def _equal_intervals(gold: Elements, given: Elements) -> bool:
    r"""Inequalities as intervals: ``x<1, x>2`` is the union of two."""
    our_set, their_set = _union(gold), _union(given)
    return (gold.parts[0].relations != given.parts[0].relations) and bool(
        our_set and their_set and _equal_sides(our_set, their_set)
    )


def _union(elements: Elements) -> str | None:
    """What a set of numbers is as a union of intervals, if it is written as one or as inequalities."""
    brackets, parts, _ = elements
    if brackets:
        half = len(brackets) // 2
        return brackets[:half] + ",".join(part.sides[0] for part in parts) + brackets[half:]
    if len(parts) == 1 and not parts[0].relations:
        return parts[0].sides[0]
    intervals = [as_interval(part) for part in parts]
    return None if None in intervals else r"\cup ".join(map(str, intervals))


# One statement.


def _equal_statements(gold: Statement, given: Statement) -> bool:
    if not gold.relations:
        value = _value_of(given)
        return value is not None and _equal_sides(gold.sides[0], value)
    if not given.relations:
        has_value = gold.name is not None or r"\approx" in gold.relations
        return has_value and any(_equal_sides(value, given.sides[0]) for value in gold.values)
    if gold.is_equation and given.is_equation:
        return _equal_relations(gold, given) or _equal_equations(gold, given)
    return _equal_relations(gold, given) or _equal_inequalities(gold, given)


def _value_of(given: Statement) -> str | None:
    r"""The value in ``x = value``, or None where an equation is false, as ``1 = 2`` is."""
    if given.relations and not given.is_equation:
        return None
    *others, value = given.values
    return value if all(_equal_sides(value, other) for other in others) else None


def _equal_relations(gold: Statement, given: Statement) -> bool:
    """Whether all sides are equal, in order or, where the relation has none, in the other order."""
    from hacrl_lab.verification.expressions import asks_other

    if _alike(gold.relations) != _alike(given.relations):
        return False
    orders = [given.sides]
    if set(gold.relations) <= {"=", r"\approx", r"\ne", r"\equiv"}:
        orders.append(given.sides[::-1])
    return any(
        all(map(_equal_sides, gold.sides, sides)) and not any(map(asks_other, gold.sides, sides)) for sides in orders
    )


def _alike(relations: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("=" if relation == r"\approx" else relation for relation in relations)


def _equal_equations(gold: Statement, given: Statement) -> bool:
    from hacrl_lab.verification.expressions import are_equal_equations

    if len(gold.sides) == len(given.sides) == 2 and are_equal_equations(gold.sides, given.sides):
        return True
    if gold.name is None or given.name is None or not _equal_sides(gold.name, given.name):
        return False
    value = _value_of(given)
    return (
        value is not None
        and any(_equal_sides(one, value) for one in gold.values)
        and all(any(_equal_sides(one, side) for one in gold.sides) for side in given.sides)
    )


def _equal_inequalities(gold: Statement, given: Statement) -> bool:
    from hacrl_lab.verification.expressions import are_equal_inequalities

    is_one = gold.relations == given.relations and gold.relations in (("<",), (r"\le",))
    return is_one and are_equal_inequalities(gold.sides, given.sides)


# One side: a quantity, whose value is a number, an interval, a union, a matrix or an expression.


def _equal_sides(gold: str, given: str) -> bool:
    return same_text(gold, given) or _equal_quantities(quantity(gold), quantity(given))


def _equal_quantities(gold: Quantity, given: Quantity) -> bool:
    if given.unit == PERCENT and gold.unit != PERCENT:
        return _equal_values(gold.value, rf"\frac{{{given.value}}}{{100}}")
    if gold.unit == PERCENT and not given.unit and _equal_values(rf"\frac{{{gold.value}}}{{100}}", given.value):
        return True
    if gold.unit and given.unit and gold.unit != given.unit:
        return False
    if gold.may_be_letter and not given.unit:
        return False
    return _equal_values(gold.value, given.value)


def _equal_values(gold: str, given: str) -> bool:
    if same_text(gold, given):
        return True
    same_numbers = _are_same_numbers(gold, given)
    if same_numbers is not None:
        return same_numbers
    if has_base(gold) or has_base(given):
        return equal_in_base(gold, given)
    pieces, operations = split_outside(gold, _SET_OPERATIONS)
    its_pieces, its_operations = split_outside(given, _SET_OPERATIONS)
    if operations and operations == its_operations and set(operations) != {r"\setminus"}:
        return _partners(pieces, its_pieces, _equal_values)
    brackets, its_brackets = in_brackets(gold), in_brackets(given)
    parts, its_parts = (statements(one[1]) if one else [] for one in (brackets, its_brackets))
    if brackets and its_brackets and max(len(parts), len(its_parts)) > 1:
        return brackets[::2] == its_brackets[::2] and (
            _partners(_distinct(parts), _distinct(its_parts), _equal_statements)
            if brackets[0] == r"\{"
            else _equal_in_order(parts, its_parts)
        )
    if has_words(gold) or has_words(given):
        return False
    from hacrl_lab.verification.expressions import are_equal_expressions

    return are_equal_expressions(gold, given)


def prepare_workers() -> None:
    """Import math-verify and let its parser learn its grammar, so that no answer's time limit pays for it."""
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)  # it warns of the missing time limit at every call
    for gold, given in _WARMING_UP:
        are_equal(gold, given)


_WARMING_UP = (
    ("x^2+3x", "x(x+3)"),
    (r"2\sqrt{3}", r"\sqrt{12}"),
    (r"(-\infty,2]\cup[3,\pi)", r"(-\infty,2)\cup[3,\pi)"),
    ("[0,1)", r"0\le x<1"),
    (r"\{1,\sqrt{2}\}", r"\sqrt{2},2"),
    ("y=2x+3", "y=3x+2"),
    ("(1,2)", "(2,1)"),
    (r"\frac{x+1}{2x}", r"\frac{x}{2}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    (r"\frac{\pi}{4}", r"2\pi"),
    ("6-5i", "5i-6"),
    (r"x_{1}=-\ln(x^{2}+1)e^{-2x}", r"x_{1}=\log_{2}(x)\sin 2x"),
    (r"\sum_{n=0}^{\infty}(-1)^{n}(2n+1)\frac{x^{2n}}{n!}", r"\sum_{n=1}^{\infty}\frac{x^{n}}{n}"),
)
