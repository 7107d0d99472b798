"""Which width of the clip the law chooses for a pair, and whether choosing so helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from hacrl_envs.long_answers import LongAnswerTask
from hacrl_lab.theory.passing import CrossAnswers, StyleDistance, width_for
from hacrl_runs.tables import markdown_table
from hacrl_studies.common.comparison import Comparison, compare
from hacrl_studies.common.study import Results
from hacrl_studies.common.training import final_success
from hacrl_studies.common.writers import Beginning
from hacrl_studies.long_answers.law import distances
from hacrl_studies.long_answers.options import Options
from hacrl_studies.long_answers.runs import Run

DEVIATIONS = 1.0
"""z: standard deviations that the law leaves between the mean answer and the bound."""
DECIMALS = 2


@dataclass(frozen=True)
class Case:
    """A pair whose right answers do not pass at δ = 0.2, or hardly."""

    name: str
    length: int
    beginning: Beginning


CASES = (
    Case("8 tokens", 8, Beginning()),
    Case("16 tokens", 16, Beginning()),
    Case("64 tokens, weak skills misread", 64, Beginning(other=-1.0)),
    Case("64 tokens, far styles", 64, Beginning(style_distance=0.6)),
)


@cache
def law_width(options: Options, case: Case) -> float:
    """δ of the law for a case, from mean D, κ and v of pairs on tuning seeds."""
    both = distances(case.beginning, options.sweep.seeds(options.seeds))
    deficit, mean, variance = (
        float(np.mean([getattr(distance, part) for distance in both])) for part in ("deficit", "style", "variance")
    )
    style = StyleDistance(mean, variance, spread=0.0, overlap=1.0)  # the width needs mean and variance only
    answers = CrossAnswers(case.length, LongAnswerTask().decisive, deficit, style)
    training = options.training
    width = width_for(answers, DEVIATIONS, training.minibatches, training.objective.delta_step)
    return round(float(width), DECIMALS)


def variants(options: Options, case: Case) -> Mapping[str, Run]:
    """GSPO, HACPO as it is, and HACPO with what the law chooses."""
    task, objective = replace(LongAnswerTask(), length=case.length), options.training.objective

    def run(method: str, **changes: float) -> Run:
        training = replace(options.training, objective=replace(objective, **changes))
        return Run(method, task, case.beginning, training)

    width = law_width(options, case)
    return {
        "GSPO": run("gspo"),
        "HACPO": run("hacpo"),
        "law's δ": run("hacpo", delta=width),
        "law's δ, no step": run("hacpo", delta=width, delta_step=0.0),
        "law's δ, α = 0": run("hacpo_alpha0", delta=width),
        "no clip": run("hacpo_no_clip"),
    }


def runs(options: Options) -> list[Run]:
    """Every variant of every case."""
    return [run for case in CASES for run in variants(options, case).values()]


def differences(options: Options, results: Results) -> dict[tuple[str, str], Comparison]:
    """(case, variant) -> against GSPO."""
    pairs = {}
    for case in CASES:
        final = {name: final_success(results[run]) for name, run in variants(options, case).items()}
        pairs |= {(case.name, name): (values, final["GSPO"]) for name, values in final.items() if name != "GSPO"}
    return compare(pairs)


def table(options: Options, results: Results) -> str:
    """A line for each case."""
    compared = differences(options, results)
    names = [name for name in variants(options, CASES[0]) if name != "GSPO"]
    lines = []
    for case in CASES:
        alone = f"{final_success(results[variants(options, case)['GSPO']]).mean():.3f}"
        width = f"{law_width(options, case):.2f}"
        lines.append([case.name, width, alone, *(compared[case.name, name] for name in names)])
    return markdown_table(["pair", "law's δ", "GSPO", *(f"{name} − GSPO" for name in names)], lines)
