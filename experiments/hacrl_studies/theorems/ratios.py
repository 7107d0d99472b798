"""Lemma D.10, Equation 45, retokenisation, Remark D.2 and the concentration of the measured capability."""

from __future__ import annotations

import torch
from torch import Tensor

from hacrl_lab.importance import exponential_weight, mean_log_prob, sequence_importance_ratio
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.capability_window import WindowLaw, capability_variance, window_law
from hacrl_lab.theory.problems import Problem, draw_problems
from hacrl_studies.theorems.finding import Finding, violation

FIVE_TOKENS = ResponseSpace(symbols=4, length=5)
CLOSE, FAR = 0.99, 0.0
"""Correlations of the agents' logits."""
CAPABILITIES, ANSWERS = (0.7, 0.6), 8


def lemma_d10(problems: int) -> Finding:
    """The change of measure with the true sequence ratio and with the length-normalised one."""
    drawn = draw_problems(problems, FIVE_TOKENS, correlation=FAR)
    target = drawn.expected_rewards()[:, 0, 0]
    return Finding(
        "Lemma D.10",
        "E_Q[(P/Q)·f] = E_P[f], here f = R",
        "Q > 0 wherever P > 0, the ratio of whole sequences",
        float((_weighted(drawn, FIVE_TOKENS.length) - target).abs().max()),
        problems,
        (
            violation(
                "whole sequences: s = (P/Q)^(1/abs(y))",
                "abs(E_Q[s·R] − E_P[R])",
                (_weighted(drawn, 1) - target).abs(),
            ),
        ),
    )


def equation_45(problems: int) -> Finding:
    """C against ω·Q/P: the error is s^(α+1) − 1, whatever the length is."""
    close, far = (draw_problems(problems, FIVE_TOKENS, correlation=rho) for rho in (CLOSE, FAR))

    def error(problem: Problem, alpha: float) -> Tensor:
        """E_P |C/(ωQ/P) − 1|, C by the weights that train."""
        ratio = _ratio(problem)
        weight = ratio * exponential_weight(ratio, alpha)
        return (problem.log_probs(0).exp()[:, 0] * (weight - 1).abs()).sum(-1)

    log_ratio = (close.log_probs(0) - close.log_probs(1))[:, 0]
    c_over = torch.exp(2 / FIVE_TOKENS.length * log_ratio)  # (P/Q)^((α+1)/|y|), α = 1
    exact = _ratio(close) ** 2
    errors = [_constant_shift_error(tokens) for tokens in (1, 100, 10_000)]
    return Finding(
        "Equation 45",
        "C/(ω·Q/P) = s^(α+1), so C ≈ ω·Q/P",
        "abs((α + 1)·log s) ≪ 1 (the identity: nothing)",
        float((c_over / exact - 1).abs().max()),
        problems,
        (
            violation(f"closeness: α = 1, correlation {CLOSE}", "E_P abs(C·P/(ω·Q) − 1)", error(close, 1)),
            violation(f"closeness: α = 1, correlation {FAR:.0f}", "E_P abs(C·P/(ω·Q) − 1)", error(far, 1)),
            violation(
                "closeness: α = 0, abs(y) = 1, 100, 10 000",
                "abs(C·P/(ω·Q) − 1)",
                f64(errors),
            ),
        ),
    )


def retokenisation(problems: int) -> Finding:
    """Two agents with the same distribution over texts, one of which cuts each text into other tokens."""
    drawn = draw_problems(problems, FIVE_TOKENS, correlation=FAR)
    log_p = drawn.log_probs(0)[:, 0]

    def ratio(learner_tokens: int, sampler_tokens: int) -> Tensor:
        means = [
            mean_log_prob(_spread(log_p, n), torch.ones(n, dtype=torch.bool)) for n in (learner_tokens, sampler_tokens)
        ]
        return sequence_importance_ratio(means[0], means[1])

    def clipped(ratios: Tensor) -> Tensor:
        """The sampler's share of rollouts outside [0.8, 1]."""
        return (log_p.exp() * ((ratios < 0.8) | (ratios > 1 + 1e-12))).sum(-1)

    return Finding(
        "Retokenisation",
        "agents with one distribution over texts have s = 1",
        "the same number of tokens in both vocabularies",
        float((ratio(5, 5) - 1).abs().max()),
        problems,
        (
            violation("it: learner 4 tokens, sampler 5", "share of rollouts clipped away", clipped(ratio(4, 5))),
            violation("it: learner 5 tokens, sampler 4", "share of rollouts clipped away", clipped(ratio(5, 4))),
        ),
    )


def remark_d2(problems: int) -> Finding:
    """Dependence of the measured ratio on the current batch; ``problems`` is not used, all windows are enumerated."""
    lagged = [window_law(CAPABILITIES, ANSWERS, window, current_included=False) for window in (1, 2, 4, 8)]
    return Finding(
        "Remark D.2",
        "ω is independent of the batch: Cov(ω[k, j], R̄_j) = 0",
        "a window that ends before the batch",
        max(abs(law.dependence) for law in lagged),
        len(lagged),
        tuple(
            violation(
                f"it: the window of Eq. 8, K = {window}",
                "abs(Cov)",
                f64([abs(with_current(window).dependence)]),
            )
            for window in (1, 2, 4, 8, 16)
        ),
    )


def with_current(window: int) -> WindowLaw:
    """The window of Eq. 8."""
    return window_law(CAPABILITIES, ANSWERS, window, current_included=True)


def concentration(problems: int) -> Finding:
    """Var(P̂) against p(1 − p)/(K·B·G) for equally hard prompts and for prompts as different as those drawn."""
    window, batch, group = 5, 8, 8
    equal = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    exact = f64([capability_variance(p.expand(2), window, batch, group) for p in equal])
    drawn = draw_problems(problems, ResponseSpace(4, 1), correlation=FAR, prompts=8).expected_rewards()[:, 0]
    rate = drawn.mean(-1) * (1 - drawn.mean(-1)) / (window * batch * group)
    actual = f64([capability_variance(rewards, window, batch, group) for rewards in drawn])
    return Finding(
        "Concentration (revision of May 2026)",
        "Var(P̂) = p(1 − p)/(K·B·G)",
        "stationary agents, equally hard prompts",
        float((exact - equal * (1 - equal) / (window * batch * group)).abs().max()),
        len(equal),
        (
            violation(
                "equal prompts: 8 unequal ones, K = 5, B = G = 8",
                "Var(P̂)/(p(1 − p)/(K·B·G)) − 1",
                actual / rate - 1,
            ),
        ),
    )


def _constant_shift_error(tokens: int) -> float:
    """|C·P/(ω·Q) − 1| at α = 0 of a response whose every token has 2/3 of the sampler's probability."""
    mask = torch.ones(tokens, dtype=torch.bool)
    sampler = torch.full((tokens,), -1.0, dtype=torch.float64)
    learner = sampler + torch.tensor(2 / 3, dtype=torch.float64).log()
    ratio = sequence_importance_ratio(mean_log_prob(learner, mask), mean_log_prob(sampler, mask))
    return abs(float(ratio) - 1)


def f64(values: list[float]) -> Tensor:
    """A float64 vector."""
    return torch.tensor(values, dtype=torch.float64)


def _weighted(drawn: Problem, power: int) -> Tensor:
    """E_Q[s^power·R] with the ratio that trains: (B,)."""
    q = drawn.log_probs(1).exp()[:, 0]
    return (q * _ratio(drawn) ** power * drawn.rewards[:, 0]).sum(-1)


def _ratio(drawn: Problem) -> Tensor:
    """S of agent 0 to agent 1 for every response of the one prompt: (B, Y)."""
    learner, sampler = (drawn.log_probs(j)[:, 0] / drawn.space.lengths for j in (0, 1))
    return sequence_importance_ratio(learner, sampler)


def _spread(log_probs: Tensor, tokens: int) -> Tensor:
    """Texts' log-probabilities divided equally over their tokens: (...) -> (..., tokens)."""
    return (log_probs / tokens).unsqueeze(-1).expand(*log_probs.shape, tokens)
