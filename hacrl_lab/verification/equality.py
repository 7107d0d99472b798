r"""Is an answer equal to the exact one, as a teacher would see it?

math-verify decides, between a rewriting of both answers (:mod:`hacrl_lab.verification.notation`) and a few named
objections here: where math-verify accepts what no teacher would. ``docs/verifier.md`` lists them and the pairs in which
the verdict still is not a teacher's. Runs in the verifier's workers, which stop it when it takes too long.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from hacrl_lab.verification.notation import rewritten
from hacrl_lab.verification.plain_numbers import equal_in_base, has_base, parts_of_list, plain_numbers
from hacrl_lab.verification.units import PERCENT, Quantity, quantity

_COMMAND = re.compile(r"\\begin\s*\{(\w+)|\\([A-Za-z]+)")
_KNOWN_COMMANDS = """
    text frac over sqrt cdot times div pm mp circ degree pi infty in notin cup cap setminus emptyset mid vert lvert
    rvert le leq leqslant ge geq geqslant lt gt ne neq approx lfloor rfloor lceil rceil begin end pmatrix bmatrix matrix
    array sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp binom dbinom tbinom choose
    angle triangle overline bar vec hat mathbb mathcal operatorname boxed fbox Re Im arg imath
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta kappa lambda mu nu xi rho sigma tau phi varphi chi
    psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega
"""
_SPACES = re.compile(r"\s*([^\w\s\\])\s*")  # those that part nothing
_PURE_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_EQUALS = re.compile(r"(?<![\\<>!])=|\\approx(?![A-Za-z])")
_NAMES_NO_QUANTITY = re.compile(r"\\(?:pi|infty)(?![A-Za-z])|_\{[^{}]*\}|_\w|(?<=[A-Za-z}])\([^()]*\)")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{\w+\*?\}(?:\{[lcr|]*\})?")
_LATEX_TEXT_OR_COMMAND = re.compile(r"\\(?:text\w*|math\w+|mbox|operatorname)\s*\{[^}]*\}|\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]+")
_NO_MATHEMATICS = {"yes", "no", "na", "nan", "inf", "none", "null", "true", "false"}


def are_equal(gold: str, given: str) -> bool:
    """Whether a teacher with the exact answer would accept the given one."""
    try:
        return is_balanced(given) and _equal(rewritten(gold), rewritten(given))
    except Exception:  # whatever a parser and a computer algebra system make of answers that are none
        return False


def is_mathematics(answer: str) -> bool:
    r"""Whether an exact answer can be compared: it is read as mathematics, or is marked as text.

    Bare words are not: math-verify reads ``yes`` as a product of letters and ``nan`` as a number. ``\text{yes}`` is.
    """
    try:
        return is_balanced(answer) and _is_read(answer)
    except Exception:
        return False


def is_balanced(text: str) -> bool:
    r"""Whether every brace has its partner; ``\{`` and ``\}`` are characters, not braces."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def _is_read(answer: str) -> bool:
    text = rewritten(answer)
    words = _PURE_TEXT.fullmatch(text)
    if words:
        return bool(words[1].strip())
    return not _is_prose(answer) and any(not isinstance(reading, str) for reading in _parsed(quantity(text).value))


def _is_prose(answer: str) -> bool:
    """Whether it has words that are not marked as text; capitals are points and digits."""
    words = _WORD.findall(_LATEX_TEXT_OR_COMMAND.sub(" ", _ENVIRONMENT.sub(" ", answer)))
    return "n/a" in answer.lower() or any(
        word.lower() in _NO_MATHEMATICS or (len(word) > 3 and not word.isupper() and word != "sqrt") for word in words
    )


def _equal(gold: str, given: str) -> bool:
    """Of rewritten answers."""
    if _SPACES.sub(r"\1", gold) == _SPACES.sub(r"\1", given):
        return bool(gold)
    if _PURE_TEXT.fullmatch(gold):
        return _words(gold) == _words(given)
    words = _PURE_TEXT.fullmatch(given)
    given = words[1] if words else given
    if not _EQUALS.search(gold):
        value = _without_names(given)
        return value is not None and _equal_quantities(quantity(gold), quantity(value))
    return _equal_quantities(quantity(gold), quantity(given))


def _words(text: str) -> str:
    """What is written, without case and marks of text."""
    return " ".join(_TEXT.sub(r"\1", text).casefold().split()).strip(". ")


def _without_names(given: str) -> str | None:
    r"""The value in ``x = value``, for each part of a list; or None where an equation is false, as ``1 = 2`` is.

    A side names the quantity if it has letters and no digits, as ``f(3)``, ``x_1`` and ``\text{Area}`` do. All other
    sides must be equal.
    """
    values = []
    for part in parts_of_list(given):
        sides = [side.strip() for side in _EQUALS.split(part) if side.strip()]
        *others, value = [side for side in sides if not _is_name(side)] or sides[-1:] or [""]
        if not all(_equal_quantities(quantity(value), quantity(other)) for other in others):
            return None
        values.append(value)
    return ", ".join(values)


def _is_name(side: str) -> bool:
    kept = _NAMES_NO_QUANTITY.sub("", side)
    return re.search(r"\d", kept) is None and re.search(r"[A-Za-z]", kept) is not None


def _equal_quantities(gold: Quantity, given: Quantity) -> bool:
    if given.unit == PERCENT and gold.unit != PERCENT:
        return _equal_values(gold.value, rf"\frac{{{given.value}}}{{100}}")
    if gold.unit == PERCENT and not given.unit and _equal_values(rf"\frac{{{gold.value}}}{{100}}", given.value):
        return True
    if gold.unit and given.unit and gold.unit != given.unit:
        return False
    return _equal_values(gold.value, given.value)


def _equal_values(gold: str, given: str) -> bool:
    numbers, its_numbers = plain_numbers(gold), plain_numbers(given)
    if numbers and its_numbers and bool(numbers.brackets) == bool(its_numbers.brackets):
        return numbers == its_numbers
    if has_base(gold) or has_base(given):
        return equal_in_base(gold, given)
    if any(objection(gold, given) for objection in OBJECTIONS):
        return False
    from math_verify import verify

    return bool(verify(_parsed(gold), _parse(given), timeout_seconds=None, allow_set_relation_comp=True))


# Objections: a given answer to which one applies is wrong, whatever math-verify says.


def _has_new_commands(gold: str, given: str) -> bool:
    r"""Commands that no answer needs and the exact one does not have: ``\phantom``, ``\cancel``, ``\int``, ``\sum``."""
    return bool(_commands(given) - set(_KNOWN_COMMANDS.split()) - _commands(gold))


def _commands(text: str) -> set[str]:
    return {environment or command for environment, command in _COMMAND.findall(text)}


def _has_new_text(gold: str, given: str) -> bool:
    r"""Words that are no unit, as in ``2\text{ (or maybe 3)}``."""
    return r"\text" in given and r"\text" not in gold


def _leaves_out_dots(gold: str, given: str) -> bool:
    """``1, 2, 10`` is not the list from 1 to 10."""
    return "dots" in gold and "dots" not in given


def _mixes_set_and_tuple(gold: str, given: str) -> bool:
    """A set has no order, a tuple has one."""
    return gold.startswith(r"\{") != given.startswith(r"\{") and all(
        text[:2] == r"\{" or text[:1] in "([" for text in (gold, given)
    )


def _says_it_twice(gold: str, given: str) -> bool:
    """``5, 5`` are two answers where there is one."""
    parts = parts_of_list(given)
    return len(set(parts)) < len(parts)


OBJECTIONS: Sequence[Callable[[str, str], bool]] = (
    _has_new_commands,
    _has_new_text,
    _leaves_out_dots,
    _mixes_set_and_tuple,
    _says_it_twice,
)


# math-verify, without its own time limits, which need the main thread and are the workers' business here.


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
)


@cache
def _parsed(answer: str) -> list[Any]:
    return _parse(answer)


def _parse(answer: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    config = LatexExtractionConfig(boxed_match_priority=0)
    return parse(rf"\boxed{{{answer}}}", extraction_config=[config], parsing_timeout=0)
