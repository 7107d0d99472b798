r"""How answers are written: one way for many notations, before math-verify reads them.

Rules on text, applied to the exact answer and to the given one alike, in this order. They know notation only, no
algebra. Each stands here because math-verify reads the notation in another way than a teacher, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_CHARACTERS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "×": r"\times ",
        "·": r"\cdot ",
        "÷": r"\div ",
        "√": r"\sqrt ",
        "π": r"\pi ",
        "∞": r"\infty ",
        "°": r"^\circ ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "⁄": "/",
        "½": r"\frac{1}{2}",
        "¼": r"\frac{1}{4}",
        "¾": r"\frac{3}{4}",
        "²": "^{2}",
        "³": "^{3}",
        **{chr(ord("０") + digit): str(digit) for digit in range(10)},  # of full width
    }
)


@dataclass(frozen=True)
class NotationRule:
    """Rewrites what a pattern finds."""

    name: str
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]

    def apply(self, text: str) -> str:
        """The text with every place rewritten."""
        return self.pattern.sub(self.replacement, text)


def _rule(name: str, pattern: str, replacement: str | Callable[[re.Match[str]], str]) -> NotationRule:
    return NotationRule(name, re.compile(pattern, re.ASCII), replacement)


def _fraction(match: re.Match[str]) -> str:
    r"""A decimal number as the fraction that it is.

    >>> print(NUMBERS[-1].apply("0.75x"), NUMBERS[-2].apply(r"0.1\overline{6}"))
    {\frac{75}{100}}x {\frac{15}{90}}
    """
    whole, fixed, *repeated = (group or "" for group in match.groups())
    period = "".join(repeated)
    numerator = int(f"0{whole}{fixed}{period}") - (int(f"0{whole}{fixed}") if period else 0)
    return rf"{{\frac{{{numerator}}}{{{'9' * len(period) or '1'}{'0' * len(fixed)}}}}}"


LAYOUT = (
    _rule("emphasis", r"^\s*\*\*(.*)\*\*\s*$", r"\1"),
    _rule("mathematics mode", r"^\s*(?:\$([^$]*)\$|\\\((.*)\\\))\s*$", r"\1\2"),
    _rule("no space", r"\\!", ""),
    _rule("spaces", r"(?<!\\)\\[,;: ]|~|\\q?quad(?![A-Za-z])|\s+", " "),
    _rule("size", r"\\(?:displaystyle|(?:[Ll]arge|LARGE|small)(?![A-Za-z]))", ""),
    _rule("size of brackets", r"\\(?:left|right|[bB]igg?[lr]?)(?=\s*(?:[()\[\]|]|\\[{}|]|\\[lr](?:brace|angle)))", ""),
    _rule("weight", r"\\(?:mathbf|boldsymbol|bm|underline)\s*\{([^{}]*)\}", r"{\1}"),
    _rule("text", r"\\(?:textbf|textit|textrm|textnormal|mathrm|mbox|rm)\s*\{", r"\\text{"),
    _rule("numbers set as text", r"\\text\{\s*([-+\d.,/]+)\s*\}", r"\1"),
    _rule("and, or", r",?\s*(?:\\text\{\s*(?:and|or)\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))", ", "),
    _rule("dots", r"\\[lc]?dots(?![A-Za-z])", r"\\ldots"),
    _rule("definition", r":=", "="),
    _rule("full stop", r"(?:\s|[.,;]|\\\\)+$", ""),
    _rule("leading space", r"^\s+", ""),
    _rule("braces", r"\\lbrace(?![A-Za-z])", r"\\{"),
    _rule("braces", r"\\rbrace(?![A-Za-z])", r"\\}"),
    _rule("angle brackets", r"\\langle(?![A-Za-z])", "("),
    _rule("angle brackets", r"\\rangle(?![A-Za-z])", ")"),
    _rule("empty set", r"\\varnothing(?![A-Za-z])|\\\{\s*\\\}", r"\\emptyset"),
    _rule("choice", r"^(?:\\text)?\{?\s*\(?\s*([A-Za-z])\s*\)?\.?\s*\}?$", r"\1"),
    _rule("money", r"^(-?)\s*\\?([$£€])\s*(.+)$", r"\1\3\\text{ \2}"),
)
NUMBERS = (
    _rule("thousands apart", r"(?<![\d.,/^_}])(\d{1,3}(?:(?: |\{,\})\d{3})+)(?![\d/])", lambda m: _digits(m[1])),
    _rule("thousands", r"(?:^|(?<=, ))([-+]?\d{1,3}(?:,\d{3})+)(?!\d|,(?! ))", lambda m: _digits(m[1])),
    _rule("power of ten", r"^([-+]?\d+(?:\.\d*)?)[eE]([-+]?\d{1,3})$", r"\1\\times 10^{\2}"),
    _rule("exponents of digits", r"\^(\d{2,})", r"^{\1}"),
    _rule("fraction", r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
    _rule("fraction of digits", r"\\frac ?(\d) ?(\d)(?!\d)", r"\\frac{\1}{\2}"),
    _rule("fraction on one line", r"^([-+]?)(\d+) ?/ ?(\d+)$", r"\1\\frac{\2}{\3}"),
    _rule("mixed number", r"^(-?\d+) (\d+)/(\d+)$", r"\1\\frac{\2}{\3}"),
    _rule("and so on", r"(\d*)\.(\d*?)(\d)\3\3+ ?(?:\\ldots|\.\.\.)$", r"\1.\2\\overline{\3}"),
    _rule("repeating decimal", r"(\d*)\.(\d*)\\(?:overline|bar|dot) ?(?:\{(\d+)\}|(\d))", _fraction),
    _rule("decimal", r"(\d*)\.(\d+)", _fraction),
)


def _digits(number: str) -> str:
    return re.sub(r"[ ,{}]", "", number)


def rewritten(answer: str) -> str:
    r"""An answer with all rules applied.

    >>> print(rewritten(r"\$1\,000."), rewritten("1e-5"), rewritten(r"\left(0,5\right]"))
    1000\text{ $} 1\times 10^{-5} (0,5]
    """
    text = answer.translate(_CHARACTERS)
    for rule in (*LAYOUT, *NUMBERS):
        text = rule.apply(text)
    return text
