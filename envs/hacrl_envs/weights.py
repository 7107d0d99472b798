"""Weights of things that are mixed, as they are written: ``SOURCE*2``, ``REWARD*0.5``, ``TASK*3``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from hacrl_lab.errors import SettingError


def split_weight(text: str) -> tuple[str, float | None]:
    """The name and the weight of ``NAME*WEIGHT``; the weight is None if no number follows the last ``*``.

    Raises:
        SettingError: the number is not finite or not > 0.

    >>> split_weight("gsm8k*2"), split_weight("gsm8k"), split_weight("a*b.csv*0.5"), split_weight("a*b.csv")
    (('gsm8k', 2.0), ('gsm8k', None), ('a*b.csv', 0.5), ('a*b.csv', None))
    """
    name, star, number = text.rpartition("*")
    try:
        weight = float(number)
    except ValueError:
        return text, None
    if not star:
        return text, None
    if not 0 < weight < math.inf:
        raise SettingError(f"the weight of {name!r} must be a number > 0, got {number}")
    return name, weight


def shares(weights: Sequence[float]) -> np.ndarray:
    """Weights divided by their sum, as probabilities: shape (len(weights),), float64.

    Raises:
        SettingError: there is no weight, one is not > 0, or their sum is not finite.

    >>> shares([1, 3]).tolist()
    [0.25, 0.75]
    """
    if not weights or not all(weight > 0 for weight in weights) or not math.isfinite(sum(weights)):
        raise SettingError(f"weights must be at least one, > 0 and with a finite sum, got {list(weights)}")
    given = torch.tensor(weights, dtype=torch.float64)
    return (given / given.sum()).numpy()
