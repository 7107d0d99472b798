r"""What of a response is its answer, and how a model is asked for it.

A world's verifier compares answers; which part of a response is the answer is a setting of the task, since models that
were not trained for it do not write ``\boxed{}`` unless they are asked to, and small ones not even then.

Thinking blocks: models that think aloud write ``<think> ... </think>`` first, or have ``<think>`` opened for them by
their chat template. Only what follows the last ``</think>`` can hold the answer. The whole response, the block
included, is what other agents learn from: it is what was sampled and what log-probabilities and ratios are about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from hacrl_lab import thinking

AnswerRuleName = Literal["boxed", "tag", "hashes", "last_number", "whole"]

_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_PIECE = re.compile(r"\\boxed(?![A-Za-z])|\\.|.", re.DOTALL)
_HASHES = re.compile(r"####[ \t]*(.*)")
_APART = r"(?:,\\!|\{,\}|\\[, ]|[,\u00a0\u202f ])"  # between thousands
_DECIMAL = rf"(?:(?:\d{{1,3}}(?:{_APART}\d{{3}})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
_EXPONENT = r"(?:\{[-+−]?\d+\}|[-+−]?\d+)"
_NUMBER = re.compile(
    rf"(?:(?<![\w.)}}\]])[-−])?(?<![\d.])(?:(?:\d+ ?)?\\[dt]?frac ?(?:\{{{_DECIMAL}\}}\{{{_DECIMAL}\}}|\d ?\d)"
    rf"|\d+ \d+/\d+|{_DECIMAL}/\d+"
    rf"|{_DECIMAL}(?:[eE][-+−]?\d+|(?: ?(?:\\times|\\cdot|[×·*]) ?10)? ?\^ ?{_EXPONENT})?)"
)
_BOXED_WITHOUT_BRACES = re.compile(r"\s*([-+]?\d+(?:[.,/]\d+)*|[A-Za-z](?![A-Za-z])|\\(?:pi|infty)(?![A-Za-z]))")


@dataclass(frozen=True)
class AnswerRule:
    """Where the answer is in a response."""

    find: Callable[[str], str | None]
    """The answer in a text that is not thinking, or None."""
    instruction: str
    """Asks a model for it; put after the question."""
    description: str
    """For ``--help``."""

    def answer(self, response: str) -> str | None:
        """The answer of a response, or None: one without an answer, or that was cut off while thinking."""
        *_, spoken = response.rpartition(thinking.ENDS)
        return None if thinking.is_open(response) else self.find(spoken)


def boxed_answer(text: str) -> str | None:
    r"""What the last complete ``\boxed{}`` holds, or None; an empty box counts only if there is no other.

    A number or a letter may stand without braces. Escaped braces need no partner.

    >>> print(boxed_answer(r"so \boxed{1}, no: \boxed{\frac{1}{2}}."), boxed_answer(r"$\boxed 2$"))
    \frac{1}{2} 2
    """
    open_braces: list[int | None] = []  # for every open brace, where its box's content starts, if it is a box's
    found: list[tuple[int, int]] = []
    is_box = False
    for piece in _PIECE.finditer(text):
        if piece[0] == r"\boxed":
            is_box = True
            bare = _BOXED_WITHOUT_BRACES.match(text, piece.end())
            if bare:
                found.append(bare.span(1))
        elif piece[0] == "{":
            open_braces.append(piece.end() if is_box else None)
            is_box = False
        elif piece[0] == "}" and open_braces:
            start = open_braces.pop()
            if start is not None:
                found.append((start, piece.start()))
        else:
            is_box = is_box and piece[0].isspace()
    contents = [text[slice(*span)] for span in sorted(found)]
    return next((content for content in reversed(contents) if content.strip()), contents[-1] if contents else None)


def tagged_answer(text: str) -> str | None:
    """What is between the last ``<answer>`` and ``</answer>``, or None.

    >>> tagged_answer("<answer>1</answer> or rather <answer> 2 </answer>")
    '2'
    """
    found = _TAG.findall(text)
    return found[-1].strip() if found else None


def hashed_answer(text: str) -> str | None:
    """The rest of the line after the last ``####``, or None: the form of GSM8K's solutions.

    >>> hashed_answer("3 + 4 = 7" + chr(10) + "#### 7")
    '7'
    """
    found = _HASHES.findall(text)
    return found[-1].strip() or None if found else None


def last_number(text: str) -> str | None:
    r"""The last number, without marks between thousands, or None.

    A fraction, a power and a number in scientific notation are one number; a minus between two numbers is no sign.

    >>> last_number("17 + 25 = 42."), last_number("-1,234.5 dollars"), last_number("none"), last_number("10-7 or .5")
    ('42', '-1234.5', None, '.5')
    """
    found = list(_NUMBER.finditer(text))
    return re.sub(rf"(?<=\d){_APART}(?=\d{{3}}(?!\d))", "", found[-1][0]).replace("−", "-") if found else None


def whole_response(text: str) -> str | None:
    """All of it, without the space around, or None if it is empty.

    >>> whole_response(" 42 ")
    '42'
    """
    return text.strip() or None


ANSWER_RULES: Mapping[AnswerRuleName, AnswerRule] = {
    "boxed": AnswerRule(boxed_answer, "Put your final answer within \\boxed{}.", "the last \\boxed{}"),
    "tag": AnswerRule(
        tagged_answer, "Put your final answer between <answer> and </answer>.", "the last <answer> ... </answer>"
    ),
    "hashes": AnswerRule(
        hashed_answer, "End with a line that holds #### and your final answer.", "the line after the last ####"
    ),
    "last_number": AnswerRule(last_number, "End with your final answer, a number.", "the last number"),
    "whole": AnswerRule(whole_response, "Write the final answer only.", "all of the response"),
}
"""By name, as the setting ``answer_rule`` takes them."""
