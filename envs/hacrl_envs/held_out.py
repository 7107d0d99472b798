"""Which questions are asked in evaluations only, decided by their text alone."""

from __future__ import annotations

import hashlib

TEST_SHARE = 0.2
"""Of all questions: those are asked in evaluations only, and never in training."""


def is_held_out(question: str, share: float = TEST_SHARE) -> bool:
    """Whether a question is one of those that only evaluations ask; the same in every run and on every machine.

    Args:
        question: its text.
        share: of all questions that are held out, in [0, 1].

    >>> is_held_out("What is 1 + 1?", share=0), is_held_out("What is 1 + 1?", share=1)
    (False, True)
    """
    digest = hashlib.sha256(question.encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def normalised(question: str) -> str:
    """A question's text without what does not change it: the case of letters and the width of white space.

    >>> normalised(" What is  1 + 1?")
    'what is 1 + 1?'
    """
    return " ".join(question.casefold().split())
