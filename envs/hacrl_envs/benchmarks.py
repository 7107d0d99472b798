"""Problems that are known by a name: the paper's training set and its seven benchmarks, GSM8K for training.

Hub ids, splits and columns were read in the data sets' descriptions and in public code that loads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class NamedSource:
    """Problems of a hub."""

    hub_id: str
    """OWNER/NAME."""
    question: str
    """Column of the questions."""
    answer: str
    """Column of the exact answers, or of solutions that end with them."""
    test: str
    """Split for evaluations."""
    training: str | None = None
    """Split for training; None for what is for evaluations only."""
    config: str | None = None
    """Configuration, where the data set has several."""
    title: str = ""
    """As tables write it."""


NAMED: Mapping[str, NamedSource] = {
    "math500": NamedSource("HuggingFaceH4/MATH-500", "problem", "answer", "test", title="MATH-500"),
    "math": NamedSource("DigitalLearningGmbH/MATH-lighteval", "problem", "solution", "test", "train", title="MATH"),
    "gsm8k": NamedSource("openai/gsm8k", "question", "answer", "test", "train", "main", title="GSM8K"),
    "aime2025": NamedSource("math-ai/aime25", "problem", "answer", "test", title="AIME 2025"),
    "amc23": NamedSource("math-ai/amc23", "question", "answer", "test", title="AMC 23"),
    "minerva": NamedSource("math-ai/minervamath", "question", "answer", "test", title="Minerva"),
    "olympiad": NamedSource("math-ai/olympiadbench", "question", "final_answer", "test", title="Olympiad"),
}
"""In the order of the paper's tables."""
