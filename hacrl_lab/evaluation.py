"""How able an agent is on fixed prompts, with an honest interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from hacrl_lab.agent import Agent
from hacrl_lab.sampling import AS_IN_TRAINING, Sampling
from hacrl_lab.seeding import RandomStream, Seeds
from hacrl_lab.worlds import World

CONFIDENCE = 0.95


def evaluate(
    agents: Sequence[Agent],
    world: World,
    prompts: Any,
    samples: int,
    seeds: Seeds,
    sampling: Sampling = AS_IN_TRAINING,
) -> dict[str, npt.NDArray[np.float64]]:
    """Sampled accuracy of every agent on every prompt: the mean verified reward of ``samples`` responses.

    Args:
        agents: who answers; each alone.
        world: who verifies.
        prompts: P prompts of that world.
        samples: responses to each prompt.
        seeds: of the sampling; every agent draws the same numbers, whoever else is evaluated.
        sampling: temperature, top-p and top-k; only language models can sample differently from training.

    Returns:
        By agent name: shape (..., P).
    """
    asked: dict[str, Any] = {} if sampling == AS_IN_TRAINING else {"sampling": sampling}
    return {
        agent.name: world.verify(prompts, agent.generate(prompts, samples, RandomStream(seeds), **asked))
        .mean(-1)
        .double()
        .numpy()
        for agent in agents
    }


def mean_interval(values: npt.ArrayLike) -> tuple[float, float]:
    """Mean and half-width of its 95 % confidence interval, mean ± t₀.₉₇₅(N − 1)·s/√N, s the sample std (ddof = 1).

    Values are independent units (prompts, or seeds); samples of one prompt are not, so average them first. For a
    comparison on the same units, pass the differences.

    Args:
        values: shape (N,), N ≥ 2.

    Raises:
        ValueError: fewer than two values.

    >>> mean_interval([0.0, 1.0, 0.0, 1.0])[0]
    0.5
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or len(data) < 2:
        raise ValueError(f"values must be one-dimensional with at least two entries, got shape {data.shape}")
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(data) - 1) * data.std(ddof=1) / np.sqrt(len(data))
    return float(data.mean()), float(half)


def pass_at_k(right: Sequence[int], samples: int, k: int) -> npt.NDArray[np.float64]:
    """The chance that one of k responses to a problem is right, from n ≥ k of which c are: 1 − C(n − c, k)/C(n, k).

    Its mean over samples is exact for every n (Chen et al. 2021, arXiv:2107.03374, Eq. 1), unlike
    1 − (1 − c/n)^k.

    Args:
        right: c, for each problem, shape (P,).
        samples: n, responses to each problem.
        k: of them.

    Returns:
        Shape (P,).

    Raises:
        ValueError: k is not in [1, n], or a count is not in [0, n].

    >>> pass_at_k([0, 1, 2], samples=4, k=2).tolist()
    [0.0, 0.5, 0.8333333333333334]
    """
    if not 1 <= k <= samples:
        raise ValueError(f"k must be in [1, {samples}], got {k}")
    if wrong := [count for count in right if not 0 <= count <= samples]:
        raise ValueError(f"right must hold counts in [0, {samples}], got {wrong[0]}")
    subsets = math.comb(samples, k)
    return np.array([1 - math.comb(samples - int(count), k) / subsets for count in right], dtype=np.float64)
