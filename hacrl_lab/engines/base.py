"""What runs the calls of several agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Engine(Protocol):
    """Runs one call of every agent, in turn or side by side; calls of one round do not depend on each other."""

    def together(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        """Make all calls and return their results in the order given; an error of any call is raised."""
        ...

    def statistics(self) -> Mapping[str, float]:
        """Numbers about the engine since its start, by name, for the log of times."""
        ...
