"""HACPO without each of its parts: the paper's Tables 2 to 4 and Figure 4, where answers are long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hacrl_lab.config import TrainingConfig
from hacrl_lab.methods import get_method
from hacrl_runs.tables import markdown_table
from hacrl_studies.common.comparison import Comparison, compare
from hacrl_studies.common.study import Results
from hacrl_studies.common.training import final_success
from hacrl_studies.common.writers import Beginning
from hacrl_studies.long_answers.options import Options
from hacrl_studies.long_answers.runs import Run
from hacrl_studies.long_answers.schedules import PAPER_EPSILON

UNEQUAL = Beginning(gap=0.5)
"""The paper's ablations have a pair of unequal agents; with equal ones ω is near 1 and has little to do."""
REFERENCE = "hacpo"
VARIANTS = (
    "hacpo_no_advantage",
    "hacpo_no_omega",
    "hacpo_alpha0",
    "hacpo_alpha2",
    "hacpo_alpha3",
    "hacpo_no_stepwise",
    "hacpo_no_clip",
)


def configurations(options: Options) -> Mapping[str, TrainingConfig]:
    """The study's own and the paper's: own rollouts first, its ε."""
    paper = replace(options.training.objective, **PAPER_EPSILON)
    return {
        "mixed": options.training,
        "self_first, ε of the paper": replace(options.training, schedule="self_first", objective=paper),
    }


def run_of(training: TrainingConfig, method: str) -> Run:
    """A variant on the unequal pair."""
    return Run(method, beginning=UNEQUAL, training=training)


def runs(options: Options) -> list[Run]:
    """HACPO and every variant, in both configurations."""
    return [
        run_of(training, method) for training in configurations(options).values() for method in (REFERENCE, *VARIANTS)
    ]


def differences(options: Options, results: Results) -> dict[tuple[str, str], Comparison]:
    """(configuration, variant) -> the variant against HACPO."""
    configured = configurations(options)
    final = {
        (name, method): final_success(results[run_of(training, method)])
        for name, training in configured.items()
        for method in (REFERENCE, *VARIANTS)
    }
    return compare({key: (values, final[key[0], REFERENCE]) for key, values in final.items() if key[1] != REFERENCE})


def table(options: Options, results: Results) -> str:
    """A line for each variant, one column a configuration."""
    compared, configured = differences(options, results), configurations(options)
    first = [f"{final_success(results[run_of(training, REFERENCE)]).mean():.3f}" for training in configured.values()]
    lines = [["HACPO", *first]]
    lines += [[get_method(method).label, *(compared[name, method] for name in configured)] for method in VARIANTS]
    return markdown_table(["variant", *(f"`{name}`: − HACPO's" for name in configured)], lines)
