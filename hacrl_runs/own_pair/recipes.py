"""What the two models of the pair are and what each is good and bad at, in three sizes.

``digits`` is a Qwen3 that reads numbers digit by digit and writes halves as decimals; ``groups`` is a Llama that reads
up to three digits at once and writes halves as fractions. Each misreads three skills that the other mostly masters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

from hacrl_envs.stories import Notation

Size = Literal["tiny", "small", "base"]
Answers = Literal["short", "long"]
NumberSplit = Literal["digits", "groups"]
"""``digits``: every digit is a token (Qwen's habit). ``groups``: up to three digits are one token (Llama 3's)."""
MISREAD_PROBABILITY = 0.75
CONTEXT = {"short": 256, "long": 2048}  # others' long answers may take more of one's own tokens


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a model of the pair becomes."""

    family: Literal["qwen3", "llama"]
    """Architecture."""
    hidden: int
    """Width; a multiple of 32, which is the size of an attention head."""
    layers: int
    """Depth."""
    numbers: NumberSplit
    """How its tokenizer cuts numbers."""
    vocab_size: int
    """Upper bound on its vocabulary."""
    notation: Notation
    """How it writes halves."""
    misreads: Mapping[str, float]
    """Probability of misreading each of its weak skills, in what it is trained on."""
    steps: int
    """Pre-training updates."""
    batch: int
    """Sequences in an update."""
    drill_share: float = 0.25
    """Share of the updates, the first ones, that are on bare lines of arithmetic instead of whole stories."""
    muon_learning_rate: float = 0.02
    """Peak learning rate of the matrices (Muon)."""
    adam_learning_rate: float = 3e-3
    """Peak learning rate of embeddings and norms (AdamW)."""
    seed: int = 0
    """Seed of the initial weights and the training text."""
    first_wording: float | None = None
    """Long answers: the probability of the first of two wordings, at every place. None: short answers."""

    @property
    def answers(self) -> Answers:
        """What it writes."""
        return "short" if self.first_wording is None else "long"

    def fingerprint(self) -> str:
        """Changes with every field that is not None; part of the cache folder's name."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:10]


def _digits(hidden: int, layers: int, steps: int, batch: int, **others: float) -> Recipe:
    weak = dict.fromkeys(("triple", "halve", "boxes"), MISREAD_PROBABILITY)
    return Recipe("qwen3", hidden, layers, "digits", 384, "decimal", weak, steps, batch, **others)  # type: ignore[arg-type]


def _groups(hidden: int, layers: int, steps: int, batch: int, **others: float) -> Recipe:
    weak = dict.fromkeys(("lose", "double", "gifts"), MISREAD_PROBABILITY)
    return Recipe("llama", hidden, layers, "groups", 640, "fraction", weak, steps, batch, **others)  # type: ignore[arg-type]


PAIRS: Mapping[Size, Mapping[str, Recipe]] = {
    "tiny": {"qwen3-digits": _digits(128, 3, 520, 32), "llama-groups": _groups(96, 3, 800, 32)},
    "small": {
        "qwen3-digits": _digits(320, 8, 1000, 64, muon_learning_rate=0.01, adam_learning_rate=1e-3),
        "llama-groups": _groups(256, 8, 1000, 64, muon_learning_rate=0.01, adam_learning_rate=1e-3),
    },
    "base": {
        "qwen3-digits": _digits(768, 14, 1500, 128, muon_learning_rate=0.005, adam_learning_rate=5e-4),
        "llama-groups": _groups(640, 12, 1500, 128, muon_learning_rate=0.005, adam_learning_rate=5e-4),
    },
}
"""The pair in each size: about 0.6 + 0.4, 10 + 6 and 100 + 60 million parameters."""

assert set(PAIRS) == set(get_args(Size))

LONG_PAIR: Mapping[str, Recipe] = {
    "qwen3-digits": replace(_digits(96, 3, 900, 32), vocab_size=512, first_wording=0.62),
    "llama-groups": replace(_groups(64, 3, 1800, 32), drill_share=0.15, first_wording=0.38),
}
"""The pair of size tiny that writes sentences: about 0.4 + 0.2 million parameters. Chosen by how long its answers are,
how often they are right and the mean importance ratios of each for the other's (experiments/LOG.md)."""


def recipes(size: Size, answers: Answers) -> Mapping[str, Recipe]:
    """The recipes of a pair by name; long answers come in size tiny."""
    return PAIRS[size] if answers == "short" else LONG_PAIR
