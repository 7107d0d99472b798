"""What the theorem tests share: problems drawn by Hypothesis, one statistical test and its error rate."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import hypothesis
import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from torch import Tensor

from hacrl_lab.capability import capability_ratio_matrix
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.problems import Problem

FALSE_ALARM = 1e-6
"""Upper bound on the chance that a right program fails one statistical test; seeds are fixed besides."""

Found = TypeVar("Found")

many = settings(derandomize=True, deadline=None, max_examples=100)
some = settings(derandomize=True, deadline=None, max_examples=25)


def f64(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def spaces(stops: Sequence[bool] = (False, True), max_length: int = 3) -> st.SearchStrategy[ResponseSpace]:
    """Two to about fifty responses."""
    space = st.builds(ResponseSpace, st.integers(1, 3), st.integers(1, max_length), st.sampled_from(stops))
    return space.filter(lambda one: one.size >= 2)


@st.composite
def problems(
    draw: st.DrawFn,
    agents: Sequence[int] = (2, 3),
    prompts: Sequence[int] = (1, 2),
    levels: Sequence[float] = (0.0, 1.0),
    space: st.SearchStrategy[ResponseSpace] | None = None,
) -> Problem:
    """Agents that remember different things, logits in quarters from −2 to 2, a reward for every response.

    The first response of every prompt has the last level, so that nobody's expected reward is 0.
    """
    what = draw(spaces() if space is None else space)
    count, asked = draw(st.sampled_from(agents)), draw(st.sampled_from(prompts))

    def table() -> Tensor:
        rows = draw(st.sampled_from((what.prefixes, what.length, 1)))
        quarters = draw(hnp.arrays(np.int64, (asked, rows, what.actions), elements=st.integers(-8, 8)))
        return torch.from_numpy(quarters) / 4.0

    tables = tuple(table().double() for _ in range(count))
    rewards = draw(hnp.arrays(np.float64, (asked, what.size), elements=st.sampled_from(levels)))
    rewards[:, 0] = levels[-1]
    return Problem(what, tables, torch.from_numpy(rewards))


def ratio_matrices(agents: int) -> st.SearchStrategy[Tensor]:
    """ω of agents with capabilities in twentieths."""
    twentieths = st.lists(st.integers(1, 20), min_size=agents, max_size=agents)
    return twentieths.map(lambda values: capability_ratio_matrix(f64(values) / 20))


def find(strategy: st.SearchStrategy[Found], condition: Callable[[Found], bool]) -> Found:
    """The simplest example that Hypothesis finds, the same on every run."""
    search = settings(max_examples=2000, derandomize=True, database=None, deadline=None)
    return hypothesis.find(strategy, condition, settings=search, random=random.Random(0))


def assert_close(actual: Tensor, expected: Tensor | float, tolerance: float = 1e-12) -> None:
    """Equal up to rounding: ``tolerance`` relative to the largest number, or absolute below 1."""
    expected = torch.as_tensor(expected, dtype=torch.float64).expand(actual.shape)
    scale = max(1.0, float(expected.abs().max()))
    assert float((actual - expected).abs().max()) <= tolerance * scale


def assert_mean_is(samples: Tensor, exact: Tensor | float) -> None:
    """The mean of independent samples (S, ...) is compatible with the exact expectation (...).

    Student's t of each component, two-sided, together at most FALSE_ALARM (Bonferroni); components that do not vary
    must be exact. S is in the thousands and the samples are bounded, so that t is the right law to good accuracy.
    """
    exact = torch.as_tensor(exact, dtype=torch.float64)
    count, components = len(samples), max(1, exact.numel())
    error, std = (samples.mean(0) - exact).abs(), samples.std(0)
    constant = std < 1e-12
    assert bool((error[constant] < 1e-9).all())
    t = (error / (std / count**0.5))[~constant]
    assert bool((t < stats.t.isf(FALSE_ALARM / 2 / components, count - 1)).all()), float(t.max())
