"""Entries of data that are no problems: all of them refused at once, or left out and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from hacrl_envs.records import Unusable
from hacrl_envs.sources import Reading, is_remote
from hacrl_lab.errors import LabError

Unreadable = Callable[[Sequence[str]], Sequence[str]]
"""Of some exact answers those that cannot be compared with, for instance
:meth:`hacrl_lab.verification.verifier.MathVerifier.unreadable`."""
MOST_ALIKE = 20
"""Entries that are listed one by one though no entry can be used, for one reason: a wrong column, for instance."""


def with_readable_answers(reading: Reading, unreadable: Unreadable) -> Reading:
    """With the problems whose exact answers cannot be compared with among what is no problem.

    Args:
        reading: as :func:`hacrl_envs.sources.read_problems` gives it.
        unreadable: finds them.
    """
    wrong = set(unreadable([problem.answer for problem in reading.problems]))
    faults = [
        Unusable(
            problem.location, "is not mathematics that the verifier can read", reading.answer_column, problem.answer
        )
        for problem in reading.problems
        if problem.answer in wrong
    ]
    usable = [problem for problem in reading.problems if problem.answer not in wrong]
    return replace(reading, problems=usable, unusable=[*reading.unusable, *faults])


def left_out(readings: Sequence[Reading], skip_unusable: bool) -> list[str]:
    """A sentence for each source that holds something that is no problem: how many, and why.

    Args:
        readings: of all sources.
        skip_unusable: leave it out. What a data set of a hub holds is always left out: nobody can put it right there.

    Raises:
        LabError: what must not be left out, all of it with its place; or a source without any problem.
    """
    faulty = [reading for reading in readings if reading.unusable]
    refused = [reading for reading in faulty if not (skip_unusable or is_remote(reading.source))]
    if refused:
        raise LabError("\n".join(map(_all_of, refused)))
    for reading in faulty:
        if not reading.problems:
            first = min(reading.unusable, key=_location)
            raise LabError(f"no entry of {reading.source!r} is a problem, beginning with {first}")
    return [f"{_count(reading)} were left out: {reasons_of(reading)}." for reading in faulty]


def reasons_of(reading: Reading) -> str:
    """What is wrong with how many entries, the most frequent first."""
    counts = Counter(fault.reason for fault in reading.unusable).most_common()
    return ", ".join(f"{count} × {reason}" for reason, count in counts)


def _all_of(reading: Reading) -> str:
    """A line for each entry; the first one alone if very many and no others are there, all for the same reason."""
    remedy = "put them right, or leave them out with skip_unusable"
    guesses = [f"{setting} was guessed to be {column!r}" for setting, column in reading.guessed.items()]
    columns = f" ({' and '.join(guesses)})" if guesses else ""
    one_reason = len({fault.reason for fault in reading.unusable}) == 1
    only_first = not reading.problems and one_reason and len(reading.unusable) > MOST_ALIKE
    faults = sorted(reading.unusable, key=_location)
    lines = [f"{faults[0]}, and so on"] if only_first else map(str, faults)
    return "\n    ".join([f"{_count(reading)} cannot be used{columns}; {remedy}:", *lines])


def _location(fault: Unusable) -> tuple[str, int]:
    """File and line."""
    words, _, number = fault.location.rpartition(" ")
    return words, int(number)


def _count(reading: Reading) -> str:
    total = len(reading.problems) + len(reading.unusable)
    return f"{len(reading.unusable)} of {total} entries of {reading.source!r}"
