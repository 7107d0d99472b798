"""What runs the calls of several agents: the interface, and the engine that runs them in this process."""

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


class InProcess:
    """One call after the other, so that agents never compete for memory."""

    def together(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        """The results in the order given."""
        return [call() for call in calls]

    def statistics(self) -> Mapping[str, float]:
        """None."""
        return {}
