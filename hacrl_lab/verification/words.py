r"""Answers as text: their words, their commands, whether braces have partners."""

from __future__ import annotations

import re

_COMMAND = re.compile(r"\\begin\s*\{(\w+)|\\([A-Za-z]+)")
_KNOWN_COMMANDS = """
    text frac over sqrt cdot times div pm mp circ degree pi infty in notin cup cap setminus emptyset mid le ge
    ne approx lfloor rfloor lceil rceil begin end pmatrix bmatrix matrix array cases sin cos tan cot sec csc
    arcsin arccos arctan sinh cosh tanh log ln exp binom choose angle triangle overline bar vec hat mathbb
    mathcal operatorname boxed fbox Re Im arg imath alpha beta gamma delta epsilon varepsilon zeta eta theta
    vartheta kappa lambda mu nu xi rho sigma tau phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma
    Phi Psi Omega
"""
_SPACES = re.compile(r"\s*([^\w\s\\])\s*")  # those that part nothing
PURE_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{\w+\*?\}(?:\{[lcr|]*\})?")
_LATEX_TEXT_OR_COMMAND = re.compile(r"\\(?:text\w*|math\w+|mbox|operatorname)\s*\{[^}]*\}|\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]+")
_LINK = re.compile(r"(?<![A-Za-z\\])(?:for|if|when|where|at|is|are|the|of|by|has|with|as|so|we|then)(?![A-Za-z])")
_NO_MATHEMATICS = {"yes", "no", "na", "nan", "inf", "none", "null", "true", "false"}


def is_balanced(text: str) -> bool:
    r"""Whether every brace has its partner; ``\{`` and ``\}`` are characters, not braces."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def is_prose(answer: str) -> bool:
    """Whether it has words that are not marked as text; capitals are points and digits."""
    found = _WORD.findall(_LATEX_TEXT_OR_COMMAND.sub(" ", _ENVIRONMENT.sub(" ", answer)))
    return "n/a" in answer.lower() or any(
        word.lower() in _NO_MATHEMATICS or (len(word) > 3 and not word.isupper() and word != "sqrt") for word in found
    )


def has_words(text: str) -> bool:
    """Whether it is prose, or has words between formulas, as ``x for y``: letters that make no product."""
    return _LINK.search(text) is not None or is_prose(text)


def has_new_commands(gold: str, given: str) -> bool:
    r"""Commands that no answer needs and the exact one does not have: ``\phantom``, ``\cancel``, ``\int``, ``\sum``."""
    return bool(_commands(given) - set(_KNOWN_COMMANDS.split()) - _commands(gold))


def _commands(text: str) -> set[str]:
    return {environment or command for environment, command in _COMMAND.findall(text)}


def same_text(gold: str, given: str) -> bool:
    """Whether two answers are written alike, but for spaces that part nothing."""
    return _SPACES.sub(r"\1", gold).strip() == _SPACES.sub(r"\1", given).strip()


def words(text: str) -> str:
    """What is written, without case and marks of text."""
    return " ".join(_TEXT.sub(r"\1", text).casefold().split()).strip(". ")
