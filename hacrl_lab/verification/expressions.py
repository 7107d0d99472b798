r"""Expressions: math-verify's parser reads them, and they are equal if their values are.

``verify`` of math-verify computes with 15 digits whatever the size of the numbers, so that :math:`1/20!` is
:math:`1/21!`, and does not find that :math:`\sqrt{1/n}` is :math:`1/\sqrt n`. Here sympy computes both with 60 digits
and the same values in place of letters; ``verify`` decides what has no such values: sets, equations, inequalities.
Imported by workers only, since sympy and math-verify are large.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

import math_verify
import mpmath
import sympy
from latex2sympy2_extended import latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from sympy.core.function import AppliedUndef

DIGITS = 60
_CONTEXT = mpmath.MPContext()
_CONTEXT.dps = DIGITS
_TOLERANCE = _CONTEXT.mpf(10) ** -50  # relative
_MANY_DIGITS = 1200  # more than an answer that is read can have
_CANCELLED = 20  # bits; a value of which no more are known is zero
_SCALES = (1, 0, 5, -1, 40, -3, 0)  # of the letters' values at each point; 0: whole numbers, -1: of both signs
_FEW = 2  # points that are needed

# Reading. The parser takes some letters for something else: I for the imaginary unit, \gamma for a number or a
# function, d for a differential, ^T for a transposed matrix, a prime for nothing. They become names.

_LETTER = (
    r"(?:[A-Za-z]|\\(?:alpha|beta|[gG]amma|[dD]elta|(?:var)?epsilon|zeta|eta|(?:var)?theta|Theta|kappa|[lL]ambda|mu|nu"
    r"|[xX]i|(?:var)?rho|[sS]igma|tau|(?:var)?phi|Phi|chi|[pP]si|[oO]mega|ell|hbar|nabla)(?![A-Za-z]))"
)
_INDEX = r"(?: ?_ ?(?:\{(?:[^{}]|\{[^{}]*\})*\}|\d+|\\[A-Za-z]+|[A-Za-z]))"
_PRIMES = r"(?: ?'+|\^ ?(?:\\prime|\{ ?(?:\\prime ?)+\}))"
_POWER = r"(?: ?\^ ?(?:\d|\{\d\}))?"
_PIECE = re.compile(
    r"(?P<kept>\\(?:text|operatorname|begin|end|mathbb|mathcal|variable) ?\{[^{}]*\}|\\(?:log|int|sum|prod|lim) ?_)"
    rf"|\\frac ?\{{ ?(?P<d>d|\\partial){_POWER} ?(?:{_LETTER}{_INDEX}?)? ?\}}"
    rf" ?\{{(?: ?(?P=d) ?{_LETTER}{_INDEX}?{_POWER})+ ?\}}"
    rf"|(?:{_LETTER}(?:{_INDEX}{_PRIMES}?|{_PRIMES}{_INDEX}?)|[IET])(?:\(\d+\))?"
    r"|\\(?:gamma|ell|hbar|nabla|ldots)(?![A-Za-z])|\\Gamma(?! ?\(|[A-Za-z])"
    r"|(?P<differential>d)|(?P<command>\\[A-Za-z]+)"
)
_CONFIG = ConversionConfig(lowercase_symbols=False)
_OPERATORS = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, sympy.Derivative)
_INFINITY = {sympy.oo: sympy.Rational(987654321, 1357), -sympy.oo: -sympy.Rational(987654321, 1357)}
_IMAGINARY = sympy.Symbol("i", real=True)


def _with_names(text: str) -> str:
    r"""A text in which everything that names a quantity is a letter or ``\variable``.

    >>> print(_with_names(r"\gamma x"), _with_names("2I_{0}"))
    \variable{z92zgamma}  x 2\variable{Iz95z0}
    """

    def name(match: re.Match[str]) -> str:
        if match["kept"] or match["command"] or (match["differential"] and r"\int" in text):
            return match[0]
        plain = re.sub(r"\\text|[{} ]", "", match[0])
        return r"\variable{" + re.sub(r"[^A-Za-z0-9]", lambda sign: f"z{ord(sign[0])}z", plain) + "} "

    return _PIECE.sub(name, text)


@cache
def _parsed(text: str) -> Any | None:
    """What the parser reads, nothing computed; None if it cannot."""
    try:
        expression = latex2sympy(
            _with_names(text), is_real=True, convert_degrees=True, normalization_config=None, conversion_config=_CONFIG
        )
        expression = sympy.ImmutableMatrix(expression) if isinstance(expression, sympy.MatrixBase) else expression
        return expression if isinstance(expression, sympy.Basic) else None
    except Exception:  # the parser raises plain exceptions, and sympy all kinds
        return None


@cache
def read(text: str) -> Any | None:
    """What a text means to sympy, or None if the parser cannot read it."""
    expression = _parsed(text)
    if expression is None:
        return None
    try:
        return expression.xreplace({_IMAGINARY: sympy.I}).replace(_has_other_value, _other_value)
    except Exception:  # sympy raises all kinds
        return None


def _has_other_value(part: Any) -> bool:
    """Calls of unknown functions, sums and the like, and odd roots of negative numbers, complex to sympy."""
    if isinstance(part, sympy.Pow):
        odd = isinstance(part.exp, sympy.Rational) and part.exp.q > 1 and part.exp.q % 2 == 1
        return odd and part.base.is_negative is True
    return isinstance(part, (AppliedUndef, *_OPERATORS))


def _other_value(part: Any) -> Any:
    """For a root the real one; else its value, or a number that depends on the name and the arguments only."""
    if isinstance(part, sympy.Pow) and isinstance(part.exp, sympy.Rational):
        return (-1) ** part.exp.p * (-part.base) ** part.exp
    if isinstance(part, _OPERATORS) and not part.free_symbols:
        return part.doit()
    tuples = (one if isinstance(one, sympy.Tuple) else (one,) for one in part.args)  # a sum's are its ranges
    arguments: list[Any] = [one.xreplace(_INFINITY) for one in chain(*tuples) if isinstance(one, sympy.Expr)]
    rng = random.Random(part.func.__name__)
    total = sympy.Add(rng.randint(1, 99), *(sympy.Mul(rng.randint(1, 99), one) for one in arguments))
    return 2 + sympy.cos(total / 7)


# Comparing.


def are_equal_expressions(gold: str, given: str) -> bool:
    r"""Whether two expressions have the same value wherever both have one.

    math-verify decides about sets and about what has no values that sympy can compute.

    >>> are_equal_expressions(r"\sqrt{1/n}", r"\frac{1}{\sqrt{n}}"), are_equal_expressions("2^{-120}", "2^{-119}")
    (True, False)
    """
    first, second = read(gold), read(given)
    if first is None or second is None:
        return False
    agree = _agree(first, second)
    if agree is None and not hasattr(first, "shape"):  # without its own time limit, which needs the main thread
        return bool(math_verify.verify(first, second, timeout_seconds=None, allow_set_relation_comp=True))
    return agree is True


def are_equal_equations(gold: Sequence[str], given: Sequence[str]) -> bool:
    """Whether two equations of two sides are multiples of each other, as ``x=1/y`` and ``2xy=2`` are."""
    first, second = _difference_of_sides(gold), _difference_of_sides(given)
    return None not in (first, second) and (
        _ratio_sign(first, second) != 0 or _ratio_sign(_numerator(first), _numerator(second)) != 0
    )


def are_equal_inequalities(gold: Sequence[str], given: Sequence[str]) -> bool:
    """Whether two inequalities of two sides are positive multiples of each other."""
    first, second = _difference_of_sides(gold), _difference_of_sides(given)
    return None not in (first, second) and _ratio_sign(first, second) > 0


def _difference_of_sides(sides: Sequence[str]) -> Any | None:
    left, right = map(read, sides)
    are_numbers = all(isinstance(side, sympy.Expr) and not hasattr(side, "shape") for side in (left, right))
    return _difference(left, right) if are_numbers else None


def _difference(first: Any, second: Any) -> Any:
    return sympy.Add(first, sympy.Mul(-1, second, evaluate=False), evaluate=False)


def _numerator(expression: Any) -> Any:
    return sympy.fraction(sympy.together(expression))[0]


def _ratio_sign(first: Any, second: Any) -> int:
    """The sign of the ratio if it is constant, else 0; it must be of expressions with letters: all numbers have one."""
    if not (first.free_symbols and second.free_symbols):
        return 0
    ratios = [one / other for [one], [other] in _values(first, second) if one and other]
    if len(ratios) < _FEW or not all(_are_close(ratio, ratios[0]) for ratio in ratios):
        return 0
    return 1 if _CONTEXT.re(ratios[0]) > 0 else -1


def asks_other(gold: str, given: str) -> bool:
    """Whether a computation without letters is another one, as ``i^7`` and ``i^3``: equations say what it gives."""
    first, second = _parsed(gold), _parsed(given)
    is_computed = isinstance(first, sympy.Expr) and not first.is_Atom and first.free_symbols <= {_IMAGINARY}
    return is_computed and first != second


def _agree(first: Any, second: Any) -> bool | None:
    """Whether two numbers or matrices are the same whatever their letters are; None if they have too few values."""
    if first.has(sympy.zoo, sympy.nan) or second.has(sympy.zoo, sympy.nan):  # divided by zero
        return False
    if first == second:
        return True
    if not all(isinstance(one, sympy.Expr) for one in (first, second)):
        return None
    if getattr(first, "shape", None) != getattr(second, "shape", None):
        return False
    compared = 0
    for ours, theirs in _values(first, second):
        if not all(map(_are_close, ours, theirs)):
            return False
        compared += 1
    if first.free_symbols | second.free_symbols:
        return True if compared >= _FEW else None
    if not compared or hasattr(first, "shape"):
        return True if compared else None
    return _number(_difference(first, second).evalf(15, maxn=_MANY_DIGITS)) == 0


def _values(first: Any, second: Any) -> Iterator[tuple[list[Any], list[Any]]]:
    """Entries of both at each point at which both have a value, which is real if neither has the imaginary unit."""
    letters = first.free_symbols | second.free_symbols
    is_real = not (first.has(sympy.I) or second.has(sympy.I))
    bases = _bases(first) | _bases(second) if is_real and letters else frozenset()
    for number in range(len(_SCALES) if letters else 1):
        point = {letter: _coordinate(letter.name, number) for letter in letters}
        if any(base.evalf(15, subs=point).is_negative for base in bases):
            continue
        entries = [_entries(one, point, is_real) for one in (first, second)]
        if None not in entries:
            yield tuple(entries)  # type: ignore[misc]


@cache
def _bases(expression: Any) -> frozenset[Any]:
    """What must not be negative in real numbers: bases of roots and the like, and arguments of logarithms."""
    powers = expression.atoms(sympy.Pow, sympy.log)
    bases = (part.args[0] for part in powers if isinstance(part, sympy.log) or not part.exp.is_Integer)
    return frozenset(base for base in bases if base.free_symbols)


@cache
def _coordinate(letter: str, number: int) -> Any:
    """The value of a letter at a point."""
    rng = random.Random(f"{letter} at {number}")
    if _SCALES[number] == 0:
        return sympy.Integer(rng.randint(2, 12))
    sign = rng.choice((-1, 1)) if _SCALES[number] == -1 else 1
    return sympy.Rational(sign * _SCALES[number] * rng.randint(5, 96), 97)


def _entries(expression: Any, point: dict[Any, Any], is_real: bool) -> list[Any] | None:
    try:
        flat = list(expression.xreplace(point).doit().as_explicit()) if hasattr(expression, "shape") else [expression]
        numbers = [_number(entry.evalf(DIGITS, subs=point, maxn=2 * DIGITS)) for entry in flat]
    except Exception:  # sympy raises all kinds where something has no value
        return None
    has_value = not any(_CONTEXT.isnan(one) for one in numbers)
    return numbers if has_value and not (is_real and any(one.imag for one in numbers)) else None


def _number(value: Any) -> Any:
    """Of mpmath; one of which too few digits are known, since all others were cancelled, is zero."""
    parts = [0 if _is_zero(part) else _CONTEXT.mpf(part) for part in value.as_real_imag()]
    return _CONTEXT.mpc(*parts) if parts[1] else _CONTEXT.mpf(parts[0])


def _is_zero(value: Any) -> bool:
    return value == 0 or (isinstance(value, sympy.Float) and value._prec <= _CANCELLED)


def _are_close(ours: Any, theirs: Any) -> bool:
    return ours == theirs or abs(ours - theirs) <= _TOLERANCE * max(abs(ours), abs(theirs))
