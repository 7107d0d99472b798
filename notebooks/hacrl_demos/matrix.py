"""From a table of right and wrong answers to what each of them counts."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from hacrl_demos.common import BLUE, ORANGE, Values, choice, interactive_demo, sign_colours, slider
from hacrl_lab.advantages import (
    capability_aware_baseline,
    capability_aware_mean,
    group_advantages,
    group_mean_baseline,
)
from hacrl_lab.capability import CapabilityTracker, capability_ratio_matrix

REWARDS = ((1, 1, 0, 1), (0, 1, 0, 0))
"""Agent A's and agent B's rewards to begin with."""
AGENTS = ("A", "B")
EARLIER = (0.8, 0.4)
"""Their mean rewards in the steps before, to begin with."""
WINDOW = 5
"""K, the steps whose mean rewards are an agent's capability (Eq. 8)."""


def reward_matrix_values(rewards: Sequence[Sequence[int]], earlier: Sequence[float], learner: int) -> Values:
    """From rewards to advantages and to what each rollout counts, for one prompt (Eq. 6-10).

    Args:
        rewards: of agent A's and agent B's four answers, 0 or 1.
        earlier: mean reward of each agent in each of the four steps before.
        learner: 0 for A, 1 for B.
    """
    table = torch.tensor(rewards, dtype=torch.float64).unsqueeze(1)  # (n, P = 1, G)
    tracker = CapabilityTracker(WINDOW)
    for _ in range(WINDOW - 1):
        tracker.update(torch.tensor(earlier, dtype=torch.float64))
    capability = tracker.update(table.mean((-2, -1)))
    omega = capability_ratio_matrix(capability)
    baseline = capability_aware_baseline(table, omega, learner)
    advantages = group_advantages(table, baseline)
    coefficients = omega[:, learner]  # ω[j, k], 1 for the learner's own
    mean = float(capability_aware_mean(table, omega, learner))
    values: Values = {
        "capability_a": float(capability[0]),
        "capability_b": float(capability[1]),
        "omega": float(omega[learner, 1 - learner]),
        "coefficient": float(coefficients[1 - learner]),
        "mean": mean,
        "baseline": float(baseline),
        "plain_mean": float(group_mean_baseline(table, omega, learner)),
        "sigma": float(table.flatten().std(correction=1)),
        "guard": _guard(table, mean),
    }
    for j, agent in enumerate("ab"):
        for i in range(4):
            values[f"advantage_{agent}{i + 1}"] = float(advantages[j, 0, i])
            values[f"counts_{agent}{i + 1}"] = float(coefficients[j] * advantages[j, 0, i])
    return values


def _guard(rewards: Tensor, mean: float) -> str:
    """Which decision replaced the mean of Eq. 7, if any."""
    if bool((rewards == rewards.flatten()[0]).all()):
        return "all rewards are equal: every advantage is 0 (decision 5)"
    return "the mean is above 1: the learner's own mean instead (decision 4)" if mean > 1 else "none"


def draw_reward_matrix(rewards: Sequence[Sequence[int]], earlier: Sequence[float], learner: int) -> Figure:
    """Left the rewards, right the advantages and what the answers count in the learner's update."""
    values = reward_matrix_values(rewards, earlier, learner)
    figure = Figure(figsize=(8.5, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.5])
    left.imshow(rewards, cmap=sign_colours(), vmin=-1, vmax=1, aspect="auto")
    left.hlines(0.5, -0.5, 3.5, color="white", linewidth=4)
    left.vlines((0.5, 1.5, 2.5), -0.5, 1.5, color="white", linewidth=4)
    for j, row in enumerate(rewards):
        for i, reward in enumerate(row):
            left.text(i, j, ("wrong", "right")[reward], ha="center", va="center")
    left.set_xticks(range(4), ["1", "2", "3", "4"])
    left.set_yticks(range(2), [f"agent {name}" for name in AGENTS])
    left.set(xlabel="answer to the same question")
    left.set_title(
        f"ω[{AGENTS[learner]}, {AGENTS[1 - learner]}] = {values['omega']:.3f}\nmean of all rewards "
        f"{values['plain_mean']:.3f}, baseline {values['baseline']:.3f}",
        fontsize=11,
    )
    names = [f"{agent}{i}" for agent in "ab" for i in range(1, 5)]
    positions = np.arange(8)
    right.bar(
        positions - 0.2, [float(values[f"advantage_{name}"]) for name in names], 0.38, color=BLUE, label="advantage"
    )
    counts = [float(values[f"counts_{name}"]) for name in names]
    right.bar(positions + 0.2, counts, 0.38, color=ORANGE, label="advantage × ω[sampler, learner]")
    right.axhline(0, color="black", linewidth=0.8)
    right.set_xticks(positions, [name.upper() for name in names])
    right.set(ylabel="standard deviations", xlabel="answer")
    right.set_title(f"Agent {AGENTS[learner]} learns", fontsize=11)
    right.grid(alpha=0.25)
    figure.legend(loc="outside lower right", ncols=2)
    return figure


def reward_matrix() -> widgets.VBox:
    """What a table of right and wrong answers comes to in one learner's update."""
    boxes = [[widgets.ToggleButton(value=bool(reward), layout={"width": "90px"}) for reward in row] for row in REWARDS]
    for row in boxes:
        for box in row:
            widgets.dlink((box, "value"), (box, "description"), ("wrong", "right").__getitem__)
    earlier = [slider(f"{name}: mean reward before", EARLIER[k], 0.0, 1.0, 0.05) for k, name in enumerate(AGENTS)]
    learner = choice("who learns", [("agent A", 0), ("agent B", 1)], 0)
    flat = {f"{j}{i}": box for j, row in enumerate(boxes) for i, box in enumerate(row)}

    def draw(earlier_a: float, earlier_b: float, learner: int, **rewards: bool) -> Figure:
        table = [[int(rewards[f"{j}{i}"]) for i in range(4)] for j in range(2)]
        return draw_reward_matrix(table, (earlier_a, earlier_b), learner)

    controls = {"earlier_a": earlier[0], "earlier_b": earlier[1], "learner": learner}
    made = interactive_demo(draw, {**flat, **controls})
    rows = [widgets.HBox([widgets.Label(f"agent {name}"), *row]) for name, row in zip(AGENTS, boxes, strict=True)]
    made.children = [*rows, *controls.values()]
    return made
