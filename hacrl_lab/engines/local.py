"""All agents in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Result = TypeVar("Result")


class InProcess:
    """One call after the other, so that agents never compete for memory."""

    def together(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        """The results in the order given."""
        return [call() for call in calls]

    def statistics(self) -> Mapping[str, float]:
        """None."""
        return {}
