"""Writes docs/theory.md: the text of ``page.md`` with every number from the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TypeVar

import numpy as np

from hacrl_lab.theory.gradients import CrossWeight
from hacrl_lab.theory.problems import opposed_coins
from theorem_study.alignment_map import CLIPS, CORRELATIONS, Cells
from theorem_study.alternatives import WORLDS, Trained, alternatives_table, gains_table, longer_step
from theorem_study.cost import Cost
from theorem_study.finding import Finding, findings_table
from theorem_study.gradients import align

PAGE = Path(__file__).with_name("page.md")
Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Study:
    """Everything that was measured."""

    problems: int
    seeds: int
    sweep_seeds: int
    steps: int
    findings: list[Finding]
    maps: dict[str, Cells]
    worlds: dict[str, list[Trained]]
    adam: dict[str, list[Trained]]
    time_ratio: float
    costs: list[Cost]


def write(study: Study) -> str:
    """The page in Markdown."""
    by_name = {finding.name.split(" / ")[0]: finding for finding in study.findings}
    free, clipped, capped = (study.maps[name] for name in CLIPS)
    distant = [index for index, rho in enumerate(CORRELATIONS) if rho <= 0.5]
    world = next(iter(WORLDS.values()))
    last = study.costs[-1]
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        command="python experiments/theorems.py",
        setting=f"{study.problems} random problems for each setting, {study.seeds} bandits. The sentences describe "
        "the run with the default settings.",
        prompt_bias=f"{by_name['Theorem 4.1'].violations[0].mean:.2f}",
        identity_error=f"{by_name['Theorem D.11'].max_error:.0e}",
        d12_range=_range(free.hypothesis[:4]),
        aligned_range=_range(1 - free.misaligned[:4]),
        clip_aligned_range=_range(1 - clipped.misaligned[:, distant]),
        near=f"{CORRELATIONS[-1]:g}",
        near_clipped=f"{clipped.cosine[1, -1]:.2f}",
        near_capped=f"{capped.cosine[1, -1]:.2f}",
        sweep_seeds=str(study.sweep_seeds),
        time_ratio=f"{study.time_ratio:.2f}",
        longer_step=f"{longer_step(world):.3f}",
        findings_table=findings_table(study.findings),
        coins="\n".join("    " + line for line in counterexample().splitlines()),
        bandit_setting=f"{study.seeds} seeds, {study.steps} steps, {world.prompts_per_step} prompts × "
        f"{world.group_size} answers a step, learning rate {world.learning_rate:g}; exact success probability, "
        "95 % intervals",
        alternatives_table=alternatives_table(study.worlds),
        adam_table=gains_table(study.adam),
        cost_sentence=f"All {last.responses:,} strings of four symbols up to length {last.length}, for "
        f"{study.problems} problems at once, with both gradients, C, Z and the covariance: {last.seconds:.1f} s on the "
        "machine that wrote this page (two cores). The number of responses grows fourfold with each token, the time by "
        "less at first, because the calls have a cost of their own.",
    )


def counterexample() -> str:
    """Theorem 4.3 without its conditions, refuted in three lines."""
    result = align(opposed_coins(), CrossWeight(alpha=0.0))
    return (
        "two tosses, wanted one heads and one tails; P(heads): learner 3/7, sampler 3/4; α = 0\n"
        "∇J_homo pushes the log-odds of heads by +12/343, ∇J_hete by −213/4802: the sampler teaches the opposite\n"
        f"inner product {float(result.inner):.6f} = E_P[C]·‖v‖² {float(result.mean_c * result.norm_squared):+.6f} "
        f"+ Cov(C, Z) {float(result.covariance):+.6f}, cosine {float(result.cosine):.0f}"
    )


def _range(shares: np.ndarray) -> str:
    return f"{shares.min():.0%} to {shares.max():.0%}"
