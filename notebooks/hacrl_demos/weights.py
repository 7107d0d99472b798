"""What clip and weight leave of another agent's answers."""

from __future__ import annotations

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from hacrl_demos.common import BLUE, GREY, ORANGE, Values, choice, finish, interactive_demo, read_data, slider
from hacrl_lab.importance import exponential_weight, hard_clip, stepwise_lower_bound
from hacrl_lab.theory.gradients import CrossWeight
from hacrl_lab.theory.passing import smallest_weight, token_budget

LONGEST_RATIO = 1.6
"""The right end of the axis of ratios; what lies beyond it is drawn in the last bin."""


def cross_weight_values(source: str, alpha: float, delta: float, delta_step: float, updates: int) -> Values:
    """What the clip of cross rollouts leaves of one source of measured ratios (Eq. 12-14).

    Args:
        source: a name among ``ratios`` of the data.
        alpha, delta, delta_step: α, δ, δ_step.
        updates: m, updates already made in the step.
    """
    low = stepwise_lower_bound(delta, delta_step, updates)
    right, wrong = source_ratios(source)
    ratio = torch.cat([right, wrong])
    weight = CrossWeight(alpha, low, high=1.0)
    return {
        "bound": low,
        "below": _share(ratio < low),
        "within": _share((ratio >= low) & (ratio <= 1)),
        "above": _share(ratio > 1),
        "within_right": _share(weight(right) > 0),
        "within_wrong": _share(weight(wrong) > 0),
        "mean_weight": float(weight(ratio).mean()),
        "smallest_weight": smallest_weight(token_budget(delta, delta_step, updates), alpha),
    }


def source_ratios(source: str) -> tuple[Tensor, Tensor]:
    """Measured ratios of right and of wrong answers, float64."""
    ratios = read_data()["ratios"][source]
    return tuple(torch.tensor(ratios[kind], dtype=torch.float64) for kind in ("right", "wrong"))  # type: ignore[return-value]


def cross_weight_curves(alpha: float, delta: float, delta_step: float, updates: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ratios s, the term c·sg(c)^α of the objective with c = clip(s), and the weight of its gradient."""
    low = stepwise_lower_bound(delta, delta_step, updates)
    ratio = torch.linspace(0.01, LONGEST_RATIO, 160, dtype=torch.float64)
    counted = hard_clip(ratio, torch.ones_like(ratio), low, 1.0)
    return ratio, counted * exponential_weight(counted, alpha), CrossWeight(alpha, low, high=1.0)(ratio)


def draw_cross_weight(source: str, alpha: float, delta: float, delta_step: float, updates: int) -> Figure:
    """Above the measured ratios, below what each of them counts."""
    values = cross_weight_values(source, alpha, delta, delta_step, updates)
    ratio = torch.cat(source_ratios(source)).clamp_max(LONGEST_RATIO - 1e-9).numpy()
    figure = Figure(figsize=(7.5, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    edges = np.linspace(0, LONGEST_RATIO, 33)
    inside = (ratio >= values["bound"]) & (ratio <= 1)
    parts = [ratio[inside], ratio[~inside]]
    above.hist(parts, edges, stacked=True, color=[BLUE, GREY], label=["keeps its gradient", "clipped, no gradient"])
    above.set(
        ylabel="answers",
        title=f"{source}: {values['within']:.0%} keep their gradient, {values['below']:.0%} are "
        f"below {values['bound']:.3g}, {values['above']:.0%} above 1",
    )
    above.legend()
    s, term, weight = cross_weight_curves(alpha, delta, delta_step, updates)
    below.plot(s, term, "--", color=ORANGE, label="term of the objective, c·sg(c)^α")
    below.plot(s, weight, color=BLUE, label="weight of the gradient, s^(1+α) inside the bounds, else 0")
    below.set(xlabel="importance ratio s of the other agent's answer", ylabel="times the advantage", ylim=(-0.03, 1.5))
    below.legend(loc="upper left")
    finish(above, below)
    return figure


def cross_weight() -> widgets.VBox:
    """How α, δ, δ_step and m decide what another agent's answer counts."""
    sources = list(read_data()["ratios"])
    return interactive_demo(
        draw_cross_weight,
        {
            "source": choice("measured ratios", [(name, name) for name in sources], sources[-1]),
            "alpha": slider("α", 1.0, 0.0, 4.0, 0.5),
            "delta": slider("δ", 0.2, 0.05, 0.8, 0.05),
            "delta_step": slider("δ_step", 0.025, 0.0, 0.05, 0.005),
            "updates": slider("m, updates made", 0, 0, 7, 1),
        },
    )


def _share(flags: Tensor) -> float:
    return float(flags.double().mean())
