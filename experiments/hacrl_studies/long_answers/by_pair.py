"""The law pair by pair: what an agent gains against how far its partner's style is from its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hacrl_lab.plotting import method_style, new_figure, save
from hacrl_lab.theory.passing import token_budget
from hacrl_studies.common.study import Results
from hacrl_studies.long_answers.by_length import LENGTHS, REFERENCE, run_at
from hacrl_studies.long_answers.law import distances
from hacrl_studies.long_answers.options import Options

LONGEST = LENGTHS[-1]


def style_distances(options: Options) -> np.ndarray:
    """κ of the partner's style before training, nats per token: (agents, S), seeds as they are reported."""
    beginning = run_at(options, LONGEST, REFERENCE).beginning
    return np.array([distance.style for distance in distances(beginning, range(options.seeds))])


def gains(options: Options, results: Results) -> np.ndarray:
    """HACPO − GSPO in the longest answers: (agents, S)."""
    shared, alone = (results[run_at(options, LONGEST, method)]["success"][-1] for method in ("hacpo", REFERENCE))
    return shared - alone


def budget(options: Options) -> float:
    """λ in the last update of a step, the tightest."""
    training = options.training
    return token_budget(training.objective.delta, training.objective.delta_step, training.minibatches - 1)


def by_side(options: Options, results: Results) -> dict[str, tuple[int, float, float]]:
    """Agents whose partner's style is within the budget and beyond it: how many, mean gain, share that lost."""
    within = style_distances(options) < budget(options)
    gained = gains(options, results)
    sides = {"within": gained[within], "beyond": gained[~within]}
    return {name: (len(values), *_summary(values)) for name, values in sides.items()}


def _summary(values: np.ndarray) -> tuple[float, float]:
    return (float(values.mean()), float((values < 0).mean())) if len(values) else (float("nan"), float("nan"))


def sentence(options: Options, results: Results) -> str:
    """For the page."""
    sides = by_side(options, results)
    parts = [
        f"{count} agents {name} the budget: mean gain {mean:+.3f}, {lost:.0%} of them lose"
        for name, (count, mean, lost) in sides.items()
    ]
    return f"λ = {budget(options):.3f} nats per token in the last update of a step; {'; '.join(parts)}"


def figure(options: Options, results: Results, path: Path) -> None:
    """A dot for each agent of each pair, and the budget."""
    drawing = new_figure(3.6)
    axes = drawing.subplots()
    style = method_style("hacpo")
    axes.plot(style_distances(options).ravel(), gains(options, results).ravel(), "o", color=style["color"], alpha=0.7)
    axes.axvline(budget(options), color="black", linestyle="--", linewidth=1)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.annotate("λ", (budget(options), axes.get_ylim()[1]), xytext=(4, -12), textcoords="offset points")
    axes.set(
        xlabel="distance of the partner's style before training, κ, nats per token",
        ylabel="HACPO − GSPO",
        title=f"One dot for each agent of {options.seeds} pairs, answers of {LONGEST} tokens",
    )
    axes.title.set_fontsize(11)
    axes.grid(alpha=0.25)
    save(drawing, path)
