"""The page's numbers and tables, the figures and the score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hacrl_lab.theory.gradients import CrossWeight
from hacrl_lab.theory.problems import opposed_coins
from hacrl_runs.tables import Csv
from hacrl_studies.common.study import Results
from hacrl_studies.theorems import alignment_map, cost, training_figures, windows
from hacrl_studies.theorems.alignment_map import CLIPS, CORRELATIONS
from hacrl_studies.theorems.alternatives import (
    ALTERNATIVES,
    FIRST,
    WORLDS,
    alternatives_table,
    gain,
    rates_section,
    trained,
)
from hacrl_studies.theorems.finding import findings_table
from hacrl_studies.theorems.gradients import align
from hacrl_studies.theorems.study import FINDINGS, Options


def value(results: Results, name: str) -> Any:
    """What an enumerated cell holds."""
    return results[name]["value"]


def score(options: Options, results: Results) -> dict[str, float]:
    """Largest error of each result where it is given what it needs; aligned shares; gains of the alternatives."""
    errors = {f"error/{name}": value(results, name).max_error for name in FINDINGS}
    aligned = {f"aligned/{name}": float(1 - cells.misaligned.mean()) for name, cells in value(results, "map").items()}
    gains = {
        f"gain/{world}/{method}": float(gain(results, (world, method)).mean())
        for world in WORLDS
        for method in ALTERNATIVES
    }
    return {**errors, **aligned, **gains}


def tables(options: Options, results: Results) -> dict[str, str]:
    """Every number on the page."""
    free, clipped, capped = (value(results, "map")[name] for name in CLIPS)
    distant = [index for index, rho in enumerate(CORRELATIONS) if rho <= 0.5]
    world, last = trained(options, FIRST), value(results, "cost")[-1]
    return {
        "coins": "\n".join("    " + line for line in counterexample().splitlines()),
        "prompt_bias": f"{value(results, 'theorem_4_1').violations[0].mean:.2f}",
        "identity_error": f"{value(results, 'theorem_d11').max_error:.0e}",
        "d12_range": _range(free.hypothesis[:4]),
        "aligned_range": _range(1 - free.misaligned[:4]),
        "clip_aligned_range": _range(1 - clipped.misaligned[:, distant]),
        "near": f"{CORRELATIONS[-1]:g}",
        "near_clipped": f"{clipped.cosine[1, -1]:.2f}",
        "near_capped": f"{capped.cosine[1, -1]:.2f}",
        "time_ratio": f"{float(results['time']['ratio']):.2f}",
        "findings_table": findings_table([value(results, name) for name in FINDINGS]),
        "bandit_setting": f"{options.seeds} seeds, {options.steps} steps, {world.training.prompts_per_step} prompts × "
        f"{world.training.group_size} answers a step, {world.contexts} contexts with one right response each",
        "bandit_rate": f"{world.learning_rate:g}",
        "alternatives_table": alternatives_table(results, options),
        "sweep": rates_section(results, options.tuning_seeds),
        "responses": f"{last.responses:,}",
        "length": str(last.length),
        "seconds": f"{last.seconds:.1f}",
    }


def counterexample() -> str:
    """Theorem 4.3 without its conditions, refuted in three lines."""
    result = align(opposed_coins(), CrossWeight(alpha=0.0))
    return (
        "two tosses, wanted one heads and one tails; P(heads): learner 3/7, sampler 3/4; α = 0\n"
        "∇J_homo pushes the log-odds of heads by +12/343, ∇J_hete by −213/4802: the opposite way\n"
        f"inner product {float(result.inner):.6f} = E_P[C]·‖v‖² {float(result.mean_c * result.norm_squared):+.6f} "
        f"+ Cov(C, Z) {float(result.covariance):+.6f}, cosine {float(result.cosine):.0f}"
    )


def _range(shares: np.ndarray) -> str:
    return f"{shares.min():.0%} to {shares.max():.0%}"


def figures(options: Options, results: Results, folder: Path) -> None:
    """Enumerated figures, and those of the trained alternatives."""
    problems = options.problems
    alignment_map.plot_alignment_map(value(results, "map"), problems, folder / "alignment_map.png")
    lengths = value(results, "lengths")
    alignment_map.plot_misaligned_by_length(lengths, problems, folder / "misaligned_by_length.png")
    alignment_map.plot_cross_weight(folder / "cross_weight.png")
    windows.plot_windows(folder / "windows.png")
    cost.plot_costs(value(results, "cost"), problems, folder / "cost.png")
    training_figures.plot_gains(results, options.seeds, folder / "alternatives.png")


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """None: what is enumerated is in the tables."""
    return {}
