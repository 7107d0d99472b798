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


def accuracy_interval(values: npt.ArrayLike, samples: int = 1) -> tuple[float, float, float]:
    """Mean of rewards in [0, 1] and a 95 % interval that lies in [0, 1] and always has a width.

    Single verdicts, 0 or 1, have Wilson's score interval: with p the mean, z = 1.96 and n = N it is
    (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n). Means of several responses have that of :func:`mean_interval`.
    Where it would leave [0, 1] or has no width they have Wilson's too, with n the number of single verdicts that would
    say as much (Franco et al. 2019, doi:10.1093/jssam/smy019): n = N p(1 − p)/s², but N at least, as if all responses
    to a prompt were alike, and N · samples at most, as if all were independent; N where p is 0 or 1. Rewards outside
    [0, 1] have :func:`mean_interval`'s.

    Args:
        values: of independent units (prompts), each the mean reward of ``samples`` responses, shape (N,), N ≥ 2.
        samples: responses to each prompt.

    Returns:
        Mean, lower end, upper end.

    Raises:
        ValueError: fewer than two values.

    >>> [round(value, 4) for value in accuracy_interval([0] * 10)]
    [0.0, 0.0, 0.2775]
    """
    data = np.asarray(values, dtype=np.float64)
    mean, half = mean_interval(data)
    plain = mean, mean - half, mean + half
    if data.min() < 0 or data.max() > 1 or (samples > 1 and half > 0 and plain[1] >= 0 and plain[2] <= 1):
        return plain
    count, spread = len(data), mean * (1 - mean)
    verdicts = count * spread / max(data.var(ddof=1), spread / samples) if spread > 0 else 0
    z, n = stats.norm.ppf((1 + CONFIDENCE) / 2), max(count, verdicts)
    middle = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(spread / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = max(0.0, float(middle - half)), min(1.0, float(middle + half))
    return mean, min(low, mean), max(high, mean)  # where all are wrong or right, rounding would leave the mean outside


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
