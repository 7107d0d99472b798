"""Which questions training, validation and evaluations ask, decided by their text alone."""

from __future__ import annotations

import hashlib
from typing import Literal

from hacrl_lab.errors import SettingError

Part = Literal["training", "validation", "test"]
"""Validation chooses when to stop; the test, which evaluations ask, is never used for that."""
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
    return _hash_of(question, first_byte=0) < share * 2**64


def is_for_validation(question: str, share: float) -> bool:
    """Whether a question that is not held out is kept apart for validation; the same in every run and on every machine.

    It does not depend on :func:`is_held_out`: the share is of the questions that are left for training.

    Args:
        question: its text.
        share: of the questions that are not held out, in [0, 1].

    >>> is_for_validation("What is 1 + 1?", share=0), is_for_validation("What is 1 + 1?", share=1)
    (False, True)
    """
    return _hash_of(question, first_byte=8) < share * 2**64


def check_validation_share(validation: float) -> None:
    """Make sure that a share leaves something to train on.

    Raises:
        SettingError: it is not in [0, 1).
    """
    if not 0 <= validation < 1:
        raise SettingError(f"validation must be in [0, 1), got {validation}")


def part_of(question: str, validation: float) -> Part:
    """The only part that asks a question.

    Args:
        question: its text.
        validation: share of the questions that are not held out, in [0, 1].

    >>> part_of("What is 1 + 1?", validation=0), part_of("What is 1 + 1?", validation=1)
    ('training', 'validation')
    """
    if is_held_out(question):
        return "test"
    return "validation" if is_for_validation(question, validation) else "training"


def share_of(part: Part, validation: float) -> float:
    """The share of all questions that a part has.

    Args:
        part: which.
        validation: share of the questions that are not held out, in [0, 1].

    >>> share_of("test", 0.25), share_of("validation", 0.25), share_of("training", 0.25)
    (0.2, 0.2, 0.6000000000000001)
    """
    if part == "test":
        return TEST_SHARE
    return (1 - TEST_SHARE) * (validation if part == "validation" else 1 - validation)


def normalised(question: str) -> str:
    """A question's text without what does not change it: the case of letters and the width of white space.

    >>> normalised(" What is  1 + 1?")
    'what is 1 + 1?'
    """
    return " ".join(question.casefold().split())


def _hash_of(question: str, first_byte: int) -> int:
    """A number in [0, 2^64) that looks random: eight bytes of SHA-256 of the text."""
    return int.from_bytes(hashlib.sha256(question.encode()).digest()[first_byte : first_byte + 8])
