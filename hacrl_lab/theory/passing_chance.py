"""The chance that a cross rollout passes the clip: limits that hold at every length, the normal approximation, and the
exact law for one row of style.

The setting and the law are in :mod:`hacrl_lab.theory.passing`. From the limits here, where λL > nκ + D,

    P(pass) ≥ 1 − exp(−2·(λL − nκ − D)²/(n·r²)) − e^(−D/2)·ρⁿ.

For κ < λ both terms vanish exponentially in the length, unless styles are equal: then ρ = 1 and Δ = D exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hacrl_lab.errors import SettingError
from hacrl_lab.theory.passing import CrossAnswers, Number, StyleDistance, passes

LARGEST_LAW = 10**6
"""More cases than this are not listed."""


def style_distance(sampler: Tensor, learner: Tensor) -> StyleDistance:
    """κ, v, r and ρ per style token, when the style tokens go through the rows of a table in turn.

    With d_a = log π_j(a) − log π_k(a) in each of R rows: κ is the mean over rows of Σ_a π_j(a)·d_a, v the mean of the
    variances within rows, r the root mean square of the ranges max_a d_a − min_a d_a, and ρ the geometric mean of
    Σ_a √(π_j(a)·π_k(a)). So n·κ, n·v, n·r² and ρⁿ are the sums and the product over n style tokens, exactly if n is a
    multiple of R. (For any other n, the n rows that are taken, ``table[torch.arange(n) % R]``, give them exactly.)

    Args:
        sampler, learner: log-probabilities, nats, (..., R, A), finite.

    Returns:
        Fields of shape (...).

    Raises:
        ValueError: a row does not add up to 1, or a log-probability is not finite.

    >>> style = style_distance(torch.tensor([[0.5, 0.5]]).double().log(), torch.tensor([[0.2, 0.8]]).double().log())
    >>> round(float(style.mean), 3), round(float(style.overlap), 3)
    (0.223, 0.949)
    """
    for name, table in (("sampler", sampler), ("learner", learner)):
        if not table.isfinite().all() or not torch.allclose(table.exp().sum(-1), torch.ones((), dtype=table.dtype)):
            raise ValueError(f"{name} must hold finite log-probabilities whose rows add up to 1, got {table}")
    deficit, probability = sampler - learner, sampler.exp()
    mean = (probability * deficit).sum(-1)  # (..., R)
    variance = (probability * (deficit - mean.unsqueeze(-1)).square()).sum(-1)
    spread = deficit.amax(-1) - deficit.amin(-1)
    overlap = ((sampler + learner) / 2).logsumexp(-1)
    return StyleDistance(
        mean=mean.mean(-1).clamp_min(0),  # a KL divergence, up to rounding
        variance=variance.mean(-1),
        spread=spread.square().mean(-1).sqrt(),
        overlap=overlap.mean(-1).exp().clamp_max(1),
    )


def below_bound_limit(answers: CrossAnswers, budget: float) -> Tensor:
    """exp(−2·(λL − nκ − D)²/(n·r²)), which limits the chance of the less likely side of the lower bound.

    P(s < bound) is at most this if λL > nκ + D (L > L*, for D > λ·c and κ < λ); P(s ≥ bound) is if λL < nκ + D.

    Proof: s < bound iff Σ_style d_t − nκ > λL − nκ − D, and s ≥ bound iff nκ − Σ_style d_t ≥ nκ + D − λL. Both are
    deviations of a sum of n independent numbers of range r from its mean: Hoeffding's inequality.

    So with c and D fixed, P(s ≥ bound) tends to 1 for κ < λ and to 0 for κ > λ: (λL − nκ − D)/L tends to λ − κ, and the
    exponent grows as 2·(λ − κ)²·L/r². (For κ = λ and v > 0 it tends to ½, by the central limit theorem.)

    Args:
        answers: whose chance.
        budget: λ_m.

    Returns:
        In [0, 1], broadcast shape.
    """
    gap = budget * answers.tokens - answers.mean_deficit
    limit = torch.exp(-2 * gap.square() / (answers.style_tokens * answers.style.spread**2))
    return torch.where(gap == 0, 1, limit)


def above_one_limit(answers: CrossAnswers) -> Tensor:
    """min(1, e^(−D/2)·ρⁿ), which limits P(s > 1), the chance of being above the upper bound.

    Proof: s > 1 iff Δ < 0, and P(Δ < 0) ≤ E[e^(−Δ/2)] = e^(−D/2)·E[e^(−d/2)]ⁿ; under the sampler
    E[e^(−d/2)] = Σ_a π_j(a)·√(π_k(a)/π_j(a)) = ρ (Chernoff's inequality at ½).

    So the upper side opens exponentially with the length too, unless styles are equal. With equal styles Δ = D: s = 1
    at every length for D = 0, s > 1 at every length for D < 0.
    """
    skill = torch.as_tensor(answers.skill_deficit, dtype=torch.float64)
    return (torch.exp(-skill / 2) * answers.style.overlap**answers.style_tokens).clamp_max(1)


def pass_probability(answers: CrossAnswers, budget: float) -> Tensor:
    """The normal approximation of P(0 ≤ Δ ≤ λL), for predictions.

    Φ((λL − nκ − D)/√(nv)) − Φ((−nκ − D)/√(nv)); for nv = 0 it is whether 0 ≤ nκ + D ≤ λL.

    For independent style tokens from one row the error is at most 2·0.4748·E|d − κ|³/(v^(3/2)·√n) (Berry-Esseen with
    Shevtsova's constant, once for each bound).

    Args:
        answers: whose chance.
        budget: λ_m.

    Returns:
        In [0, 1], broadcast shape.
    """
    mean, std = answers.mean_deficit, answers.deficit_std
    approximation = torch.special.ndtr((budget * answers.tokens - mean) / std) - torch.special.ndtr(-mean / std)
    return torch.where(std > 0, approximation, passes(mean, answers.length, budget).double())


def mean_weight_limits(answers: CrossAnswers, alpha: float) -> tuple[Tensor, Tensor]:
    """Limits of E[s^(1+α)], the mean weight of these answers where nothing is clipped.

    e^(−(1+α)·E[Δ]/L) ≤ E[s^(1+α)] ≤ e^(−(1+α)·E[Δ]/L)·e^((1+α)²·n·r²/(8·L²))

    Proof: s^(1+α) = e^(−(1+α)·Δ/L); Jensen's inequality, and Hoeffding's lemma for each style token.

    Both tend to e^(−(1+α)·κ) as L grows: the weight of long answers depends on the style distance, not on the skills.
    For 0 < κ < λ that is also the mean over those that pass, as nearly all do.

    Args:
        answers: whose weight.
        alpha: α ≥ 0.
    """
    exponent = (1 + alpha) / answers.tokens
    low = torch.exp(-exponent * answers.mean_deficit)
    return low, low * torch.exp(exponent.square() * answers.style_tokens * answers.style.spread**2 / 8)


def style_deficit_law(sampler: Tensor, learner: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """The exact distribution of Σ_style d_t, for independent tokens from one row: all counts of the A tokens.

    Args:
        sampler, learner: log-probabilities, nats, (A,), A ≥ 2.
        tokens: n.

    Returns:
        Values (M,), nats, and their probabilities (M,).

    Raises:
        SettingError: more than a million cases.
    """
    free = len(sampler) - 1
    if (tokens + 1) ** free > LARGEST_LAW:
        raise SettingError(f"there are up to {tokens + 1}^{free} counts, too many to list; use fewer tokens")
    counts = torch.cartesian_prod(*[torch.arange(tokens + 1)] * free).reshape(-1, free)
    rest = tokens - counts.sum(-1, keepdim=True)
    counts = torch.cat([counts, rest], -1)[rest.squeeze(-1) >= 0].double()  # (M, A)
    ways = torch.lgamma(torch.tensor(tokens + 1.0).double()) - torch.lgamma(counts + 1).sum(-1)
    return counts @ (sampler - learner), torch.exp(ways + counts @ sampler)


def exact_pass_probability(law: tuple[Tensor, Tensor], skill_deficit: float, length: Number, budget: float) -> Tensor:
    """P(0 ≤ Δ ≤ λL) under :func:`style_deficit_law`.

    Args:
        law: of the L − c style tokens.
        skill_deficit: D, nats.
        length: L.
        budget: λ_m.
    """
    values, probabilities = law
    return probabilities[passes(values + skill_deficit, length, budget)].sum()
