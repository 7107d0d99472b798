r"""How answers are written: one way for many notations, before math-verify reads them.

Rules on text, applied to the exact answer and to the given one alike, in this order. They know notation only, no
algebra. Each stands here because math-verify reads the notation in another way than a teacher, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

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
    return NotationRule(name, re.compile(pattern, re.ASCII | re.DOTALL), replacement)


def _fraction(match: re.Match[str]) -> str:
    r"""A decimal number as the fraction that it is.

    >>> print(DECIMALS[-2].apply("0.75x"), DECIMALS[-3].apply(r"0.1\overline{6}"))
    {\frac{75}{100}}x {\frac{15}{90}}
    """
    whole, fixed, *repeated = (group or "" for group in match.groups())
    period = "".join(repeated)
    numerator = int(f"0{whole}{fixed}{period}") - (int(f"0{whole}{fixed}") if period else 0)
    return rf"{{\frac{{{numerator}}}{{{'9' * len(period) or '1'}{'0' * len(fixed)}}}}}"


def _set_of_cases(match: re.Match[str]) -> str:
    r"""Cases as a set of pairs, without the words before conditions.

    >>> print(_set_of_cases(re.match("(.*)()", r"x & \text{if } x>0 \\\\ 1 & x<0")))
    \{(x ; x>0),(1 ; x<0)\}
    """
    rows = [row for row in (match[1] or match[2]).split("\\\\") if row.strip()]
    cells = [[_CONDITION.sub("", cell).strip(" ,") for cell in row.split("&")] for row in rows]
    return r"\{" + ",".join(f"({' ; '.join(filter(None, row))})" for row in cells) + r"\}"


_CONDITION = re.compile(r"\\text\{\s*(?:if|for|when|where)?\s*\}|(?<![A-Za-z\\])(?:if|for|when)(?![A-Za-z])")

_WEIGHT = r"\\(?:mathbf|mathit|boldsymbol|bm|underline|pmb)"

LAYOUT = (
    _rule("emphasis", r"^\s*\*\*(.*)\*\*\s*$", r"\1"),
    _rule("box", r"^\s*\\f?box(?:ed)?\s*\{([^{}]*)\}\s*$", r"\1"),
    _rule("quotation marks", r'^\s*"([^"]*)"\s*$', r"\1"),
    _rule("mathematics mode", r"\\[()]|(?<!\\)\\[\[\]]", " "),
    _rule("no space between thousands", r"(?<=\d),\\!\s*(?=\d{3})", "{,}"),
    _rule("no space", r"\\!", ""),
    _rule("spaces", r"(?<!\\)\\[,;: >]|~|\\q?quad(?![A-Za-z])|\s+", " "),
    _rule("size", r"\\(?:displaystyle|textstyle|(?:[Ll]arge|LARGE|small)(?![A-Za-z]))", ""),
    _rule(
        "size of brackets",
        r"\\(?:left|right|[bB]igg?[lr]?)(?=\s*(?:[()\[\]|.]|\\[{}|]|\\[lr](?:brace|angle|vert|floor|ceil)))",
        "",
    ),
    _rule("size of bars", r"\\(?:left|right|middle)(?=\s*(?:\||\\(?:vert|mid|[lr]?[vV]ert)))", ""),
    _rule(
        "weight of a letter", r"\\(?:mathbf|mathit|boldsymbol|bm|pmb)\s*(?:\{\s*([A-Za-z])\s*\}|([A-Za-z]))", r" \1\2"
    ),
    _rule("weight", rf"{_WEIGHT}\s*\{{([^{{}}]*)\}}", r"{\1}"),
    _rule("text", r"\\(?:text(?:bf|it|rm|sf|up|normal)|mathrm|mathsf|mbox|hbox)\s*\{", r"\\text{"),
    _rule("text", r"\{\s*\\rm\s+([^{}]*)\}", r"\\text{\1}"),
    _rule("text of one letter", r"\\(?:text|mathrm)\s+([A-Za-z])(?![A-Za-z])", r"\\text{\1}"),
    _rule("upright letters", r"\\(?:text|operatorname)\{\s*([ied])\s*\}", r" \1 "),
    _rule(
        "upright functions",
        r"\\(?:text|operatorname)\*?\s*\{\s*(arc(?:sin|cos|tan)|sin|cos|tan|cot|ln|log|exp)\s*\}",
        r"\\\1 ",
    ),
    _rule("functions", r"(?<![\\A-Za-z])(?<!operatorname\{)(sin|cos|tan|ln|log|exp|pi|sqrt)(?![A-Za-z])", r"\\\1 "),
    _rule("natural logarithm", r"\\log *_ *(?:\{ *e *\}|e(?![A-Za-z]))", r"\\ln "),
    _rule("root in brackets", r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    _rule("numbers set as text", r"\\text\{\s*([-+\d.,/]+)\s*\}", r"\1"),
    _rule("empty text", r"\\text\{\s*\}", ""),
    _rule(
        "and, or",
        r",?\s*(?:\\text\{\s*(?:and|or),?\s*\}|\\(?:lor|land)(?![A-Za-z])|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))",
        ", ",
    ),
    _rule("dots", r"\\[lc]?dots(?![A-Za-z])|\.\.\.", r"\\ldots"),
    _rule("extreme", r"(?:\\|(?<![A-Za-z\\]))(max|min)\.? at(?![A-Za-z]) *", r"\\text{\1}="),
    _rule("definition", r":=|\\coloneqq(?![A-Za-z])", "="),
    _rule("full stop", r"(?:\s|[.,;]|\\\\)+$", ""),
    _rule("leading space", r"^\s+", ""),
    _rule("braces", r"\\lbrace(?![A-Za-z])", r"\\{"),
    _rule("braces", r"\\rbrace(?![A-Za-z])", r"\\}"),
    _rule("angle brackets", r"\\langle(?![A-Za-z])", "("),
    _rule("angle brackets", r"\\rangle(?![A-Za-z])", ")"),
    _rule("bars", r"\\[lr]vert(?![A-Za-z])|\\vert(?![A-Za-z])", "|"),
    _rule(
        "cases",
        r"(?:\\\{\s*\\begin\{(?:array|aligned|matrix)\}(?:\s*\{[^}]*\})?(.*)\\end\{\w+\}|\\begin\{cases\}(.*)\\end\{cases\})\s*\.?$",
        _set_of_cases,
    ),
    _rule(
        "matrix in brackets",
        r"[\[(]\s*\\begin\{array\}(?:\s*\{[^}]*\})?((?:(?!\\begin).)*?)\\end\{array\}\s*[\])]",
        r"\\begin{pmatrix}\1\\end{pmatrix}",
    ),
    _rule("digits of a base", r"(?<=\d)\\text\{([A-F])\}(?=_)", r"\1"),
    _rule("the answer is", r"^(?:\\text\{)?\s*(?:[Tt]he )?(?:[Ff]inal )?[Aa]nswer(?: is)?\s*:?\s*\}?\s*(?=\S)", ""),
    _rule("outward brackets", r"^\](.*)\[$", r"(\1)"),
    _rule("infinity", r"\\text\{\s*infinity\s*\}|(?<![\\A-Za-z])infinity(?![A-Za-z])", r"\\infty "),
    _rule("empty set", r"\\varnothing(?![A-Za-z])|\\\{\s*\\\}", r"\\emptyset "),
    _rule("choice", r"^(?:\\text)?\{?\s*\(?\s*([A-Za-z])\s*\)?\.?\s*\}?$", r"\1"),
    _rule("money", r"^(-?)\s*\\?([$£€])\s*(.+)$", r"\1\3\\text{ \2}"),
    _rule("comparisons", r"\\(leq|leqslant|geq|geqslant|lt|gt|neq)(?![A-Za-z])", lambda m: _COMPARISONS[m[1]]),
    _rule("degrees", r"\^\s*\{\s*\\circ\s*\}", r"^\\circ"),
)
_COMPARISONS = {
    "leq": r"\le ",
    "leqslant": r"\le ",
    "geq": r"\ge ",
    "geqslant": r"\ge ",
    "lt": "<",
    "gt": ">",
    "neq": r"\ne ",
}
NUMBERS = (
    _rule("ratio of three or more", r"^[^:,=]+(?::[^:,=]+){2,}$", lambda m: _quotients(m[0].split(":"))),
    _rule("thousands in braces", r"(?<![\d.])(\d{1,3}(?:\{,\}\d{3})+)(?!\d)", lambda m: _digits(m[1])),
    _rule("thousands apart", r"(?<![\d.,/^_}])(\d{1,3}(?: \d{3})+)(?![\d/])", lambda m: _digits(m[1])),
    _rule(
        "power of ten",
        r"(^|[=(\[{<>,] ?|\\(?:approx|le|ge) ?)([-+]?(?:\d+\.?\d*|\.\d+))[eE]([-+]?\d{1,3})(?![\w.^(])",
        r"\1\2\\times 10^{\3}",
    ),
    _rule("fraction", r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
    _rule("fraction of digits", r"\\frac *([\dA-Za-z]) *(?=[\dA-Za-z{])", r"\\frac{\1}"),
    _rule("fraction of digits", r"(\\frac *\{(?:[^{}]|\{[^{}]*\})*\}) *([\dA-Za-z])", r"\1{\2}"),
    _rule("root of a digit", r"\\sqrt *(\[[^\]]*\])? *([\dA-Za-z]|\\[A-Za-z]+)", r"\\sqrt\1{\2}"),
    _rule("mixed number", r"(?<![\d.}/^_])(\d+) (\d+)/(\d+)(?!\d)", r"\1\\frac{\2}{\3}"),
    _rule("binomial", r"\\[dt]binom(?![A-Za-z])", r"\\binom"),
)
THOUSANDS = _rule(
    "thousands",
    r"(?<![\d.,(\[])([1-9]\d{0,2}(?:,\d{3})+)(?![\d]|,\d)|(?<=[(\[])([1-9]\d{0,2}(?:,\d{3})+)(?=\.\d|,(?!\d)|;)",
    lambda m: _digits(m[0]),
)
DECIMALS = (
    _rule("and so on", r"(\d*)\.(\d*?)(\d)\3\3+ ?\\ldots$", r"\1.\2\\overline{\3}"),
    _rule("repeating decimal", r"(\d*)\.(\d*)\\(?:overline|bar|dot) ?(?:\{(\d+)\}|(\d))", _fraction),
    _rule("decimal", r"(\d*)\.(\d+)", _fraction),
    _rule("decimal point", r"(?<=\d)\.(?!\d)", ""),
)
_BETWEEN = re.compile(r"(?<=[^\s$,+*/=<>-])\$\s+\$(?=[^\s$])")  # not in a formula that continues
_DOLLAR = re.compile(r"(?<!\\)\$")


def _quotients(terms: list[str]) -> str:
    quotients = (rf"\frac{{{one}}}{{{other}}}" for one, other in pairwise(terms))
    return f"({';'.join(quotients)})"


def _digits(number: str) -> str:
    return re.sub(r"[ ,{}]", "", number)


def rewritten(answer: str, thousands: bool = True) -> str:
    r"""An answer with all rules applied.

    Args:
        answer: as it was given.
        thousands: whether ``100,200`` is one number, and not two.

    >>> print(rewritten(r"\$1\,000."), rewritten("1e-5"), rewritten(r"\left(0,5\right]"))
    1000\text{ $} 1\times 10^{-5} (0,5]
    """
    text = _BETWEEN.sub(", ", answer.translate(_CHARACTERS))
    if len(_DOLLAR.findall(text)) % 2 == 0:  # else it is money
        text = _DOLLAR.sub(" ", text)
    for rule in (*LAYOUT, *NUMBERS, *([THOUSANDS] if thousands else []), *DECIMALS):
        text = rule.apply(text)
    return text
