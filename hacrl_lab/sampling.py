"""How an evaluation samples; training always samples at temperature 1 from the whole distribution (decision 10)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hacrl_lab.errors import SettingError


@dataclass(frozen=True)
class Sampling:
    """From which distribution a language model's next token is drawn in an evaluation.

    With τ = ``temperature`` and π the model's distribution, tokens are drawn from π^(1/τ), normalised; of these only
    the ``top_k`` likeliest, and of those only the fewest whose chances add up to at least ``top_p``, renormalised. The
    default is π itself, from which training samples.
    """

    temperature: float = 1.0
    """τ > 0; below 1 likely tokens become likelier."""
    top_p: float = 1.0
    """Share of the distribution that is kept, in (0, 1]; 1 keeps all."""
    top_k: int = 0
    """Number of tokens that are kept; 0 keeps all, 1 is greedy."""

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise SettingError(f"temperature must be a number > 0, got {self.temperature}; top_k = 1 is greedy")
        if not 0 < self.top_p <= 1:
            raise SettingError(f"top_p must be in (0, 1], got {self.top_p}")
        if self.top_k < 0:
            raise SettingError(f"top_k must be ≥ 0, got {self.top_k}")

    @property
    def is_whole(self) -> bool:
        """Whether tokens are drawn from the model's distribution itself."""
        return self.temperature == 1 and self.top_p == 1 and self.top_k == 0

    def __str__(self) -> str:
        """For sentences on pages.

        >>> str(Sampling()), str(Sampling(0.6, 0.95, 20))
        ('temperature 1', 'temperature 0.6, top-p 0.95, top-k 20')
        """
        parts = [f"temperature {self.temperature:g}"]
        parts += [f"top-p {self.top_p:g}"] if self.top_p < 1 else []
        parts += [f"top-k {self.top_k}"] if self.top_k > 0 else []
        return ", ".join(parts)


AS_IN_TRAINING = Sampling()
"""Temperature 1 from the whole distribution."""
