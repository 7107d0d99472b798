"""Thinking blocks: what a model that thinks aloud writes between ``<think>`` and ``</think>`` before it answers."""

from __future__ import annotations

BEGINS = "<think>"
ENDS = "</think>"


def is_open(text: str) -> bool:
    """Whether a text ends within a thinking block.

    >>> is_open("<think> 1 + 1"), is_open("<think> 1 + 1 </think> 2"), is_open("2")
    (True, False, False)
    """
    return BEGINS in text.rpartition(ENDS)[-1]
