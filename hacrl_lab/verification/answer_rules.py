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
_HASHES = re.compile(r"####[ \t]*(.*)")
_NUMBER = re.compile(r"[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?")


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
    r"""What the last complete ``\boxed{}`` holds, or None.

    >>> print(boxed_answer(r"so \boxed{1}, no: \boxed{\frac{1}{2}}."))
    \frac{1}{2}
    """
    open_braces: list[int | None] = []  # for every open brace, where its box's content starts, if it is a box's
    found: tuple[int, int] | None = None
    for place, character in enumerate(text):
        if character == "{":
            is_box = text.endswith("\\boxed", 0, place)
            open_braces.append(place + 1 if is_box else None)
        elif character == "}" and open_braces:
            start = open_braces.pop()
            if start is not None and (found is None or start > found[0]):
                found = start, place
    return None if found is None else text[slice(*found)]


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
    """The last number, without commas between thousands, or None.

    >>> last_number("17 + 25 = 42."), last_number("-1,234.5 dollars"), last_number("none")
    ('42', '-1234.5', None)
    """
    found = _NUMBER.findall(text)
    return found[-1].replace(",", "").replace("−", "-") if found else None


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
