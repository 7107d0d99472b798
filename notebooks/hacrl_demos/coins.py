"""When the gradient of another agent's answers points away from one's own."""

from __future__ import annotations

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from hacrl_demos.common import BLUE, GREY, ORANGE, Values, choice, interactive_demo, sign_colours, slider
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.gradients import CrossWeight, alignment, hete_gradient, homo_gradient, oracle_advantages
from hacrl_lab.theory.gradients import same_for_all as same_advantages
from hacrl_lab.theory.problems import Problem

CLIPS = {"no clip": "none", "HACPO's clip, [1 − δ, 1]": "hard", "lower bound, cap at 1": "capped"}
SLACK = 1e-9
"""A ratio that is 1 but for rounding counts as 1."""


def coin_problem(learner: Tensor, sampler: Tensor) -> Problem:
    """Two coins, two tosses, wanted one head and one tail, as in ``hacrl_lab.theory.problems.opposed_coins``.

    Args:
        learner, sampler: probabilities of heads, (...), float64.
    """
    tables = [torch.stack([heads, 1 - heads], -1)[..., None, None, :].log() for heads in (learner, sampler)]
    wanted = torch.tensor([[0.0, 1.0, 1.0, 0.0]], dtype=torch.float64)  # of HH, HT, TH, TT
    return Problem(ResponseSpace(symbols=2, length=2), (tables[0], tables[1]), wanted.expand(*learner.shape, 1, 4))


def coin_weight(alpha: float, clip: str, delta: float) -> CrossWeight:
    """The weight of cross gradients for one of :data:`CLIPS`."""
    if clip == "none":
        return CrossWeight(alpha)
    low = 1 - delta - SLACK
    return CrossWeight(alpha, low, high=1 + SLACK) if clip == "hard" else CrossWeight(alpha, low, cap=1.0)


def two_coins_values(learner: float, sampler: float, alpha: float, clip: str, delta: float) -> Values:
    """Own and cross gradient of the learner's coin, and whether they agree (Propositions D.5, D.6, Theorem D.11).

    Args:
        learner, sampler: probabilities of heads.
        alpha, delta: α and δ.
        clip: a value of :data:`CLIPS`.
    """
    problem = coin_problem(*(torch.tensor(heads, dtype=torch.float64) for heads in (learner, sampler)))
    weight, advantages = coin_weight(alpha, clip, delta), oracle_advantages(problem, 0)
    ratio = torch.exp((problem.log_probs(0) - problem.log_probs(1)) / 2)
    own = homo_gradient(problem, 0, same_advantages(problem, advantages))
    cross = hete_gradient(problem, 0, 1, same_advantages(problem, advantages), torch.ones(2, 2).double(), weight)
    inner = float(alignment(problem, 0, 1, advantages, torch.ones(()).double(), weight).inner)
    return {
        "success": float(problem.expected_rewards()[0, 0]),
        "own": float(own[..., 0]),
        "cross": float(cross[..., 0]),
        "inner": inner,
        "verdict": verdict(inner),
        "ratio_hh": float(ratio[0, 0]),
        "ratio_ht": float(ratio[0, 1]),
        "ratio_tt": float(ratio[0, 3]),
        "passes": float((problem.log_probs(1).exp() * (weight(ratio) > 0)).sum()),
    }


def verdict(inner: float) -> str:
    """Of an inner product, which is 0 up to rounding if one of the gradients is."""
    if abs(inner) < 1e-12:
        return "one of them is 0"
    return "aligned" if inner > 0 else "opposed"


def coin_map(alpha: float, clip: str, delta: float, cells: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Heads probabilities of a grid, (cells,), and the sign of the inner product, (sampler, learner)."""
    heads = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    learner, sampler = heads.expand(cells, cells), heads[:, None].expand(cells, cells)
    problem = coin_problem(learner, sampler)
    advantages, omega = oracle_advantages(problem, 0), torch.ones(cells, cells, dtype=torch.float64)
    inner = alignment(problem, 0, 1, advantages, omega, coin_weight(alpha, clip, delta)).inner
    return heads.numpy(), torch.where(inner.abs() < 1e-12, 0, inner.sign()).numpy()


def draw_two_coins(learner: float, sampler: float, alpha: float, clip: str, delta: float) -> Figure:
    """Left the two gradients as arrows on the curve of success, right where they agree."""
    values = two_coins_values(learner, sampler, alpha, clip, delta)
    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    heads = np.linspace(0, 1, 101)
    left.plot(heads, 2 * heads * (1 - heads), color=GREY)
    left.plot(learner, values["success"], "o", color="black", zorder=3)
    for name, colour, height in (("own", BLUE, 0.2), ("cross", ORANGE, 0.07)):
        value = float(values[name])
        length = 0.3 * np.tanh(abs(value) * 12) * np.sign(value)
        if abs(value) >= 1e-12:
            arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 3, "mutation_scale": 18}
            left.annotate("", (learner + length, height), (learner, height), arrowprops=arrow)
        left.plot(learner, height, "|", color=colour, markersize=12)
        side, align = (0.85, "right") if learner < 0.5 else (0.15, "left")
        left.text(side, height + 0.03, f"{name} gradient {value:+.4f}", color=colour, ha=align)
    left.axvline(learner, color="black", linewidth=0.6, linestyle=":")
    left.set(xlabel="the learner's probability of heads", ylabel="success", xlim=(0, 1), ylim=(0, 0.56))
    left.set_title(
        f"Arrows to the right: more heads.\nInner product {values['inner']:+.5f}: {values['verdict']}", fontsize=11
    )
    edges, sign = coin_map(alpha, clip, delta)
    right.pcolormesh(edges, edges, sign, cmap=sign_colours(), vmin=-1, vmax=1)
    right.plot(learner, sampler, "o", color="black")
    right.set(xlabel="the learner's probability of heads", ylabel="the sampler's probability of heads", aspect="equal")
    right.set_title(
        f"opposed on {(sign < 0).mean():.0%} of all pairs (orange),\naligned on {(sign > 0).mean():.0%} "
        f"(blue), 0 on {(sign == 0).mean():.0%} (grey)",
        fontsize=11,
    )
    left.grid(alpha=0.25)
    return figure


def two_coins() -> widgets.VBox:
    """When the gradient of another agent's answers points away from one's own."""
    return interactive_demo(
        draw_two_coins,
        {
            "learner": slider("learner: P(heads)", 0.43, 0.02, 0.98, 0.01),
            "sampler": slider("sampler: P(heads)", 0.75, 0.02, 0.98, 0.01),
            "alpha": slider("α", 0.0, 0.0, 4.0, 0.5),
            "clip": choice("clip", list(CLIPS.items()), "none"),
            "delta": slider("δ", 0.2, 0.05, 0.8, 0.05),
        },
    )
