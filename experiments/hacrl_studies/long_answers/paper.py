"""The paper's ordering of methods, cell by cell, beside ours at three tokens and where answers are long."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from hacrl_lab.evaluation import mean_interval
from hacrl_runs.paper import ablation_difference, alpha_difference, method_difference
from hacrl_runs.tables import markdown_table, with_interval
from hacrl_studies.common.comparison import bootstrap_interval
from hacrl_studies.common.study import Results
from hacrl_studies.common.training import final_success
from hacrl_studies.long_answers import by_length, parts, schedules
from hacrl_studies.long_answers.options import Options
from hacrl_studies.long_answers.runs import Run

METHODS = {"GSPO": "gspo", "GSPOx2": "gspo_x2", "Naive": "naive", "HACPO": "hacpo"}
COMPARED = (("HACPO", "GSPO"), ("HACPO", "GSPOx2"), ("HACPO", "Naive"), ("Naive", "GSPO"), ("GSPOx2", "GSPO"))
ABLATED = (
    ("HACPO − (HACPO − advantage), Table 2", ablation_difference("2"), "hacpo", "hacpo_no_advantage"),
    ("HACPO − (HACPO − ω), Table 3", ablation_difference("3"), "hacpo", "hacpo_no_omega"),
    ("α = 1 − α = 0, Table 4", alpha_difference("1", "0"), "hacpo", "hacpo_alpha0"),
    ("α = 3 − α = 1, Table 4", alpha_difference("3", "1"), "hacpo_alpha3", "hacpo"),
)
"""Claim, the paper's differences by agent, and the two methods."""
OPEN = "not resolved"
Find = Callable[[str], Run]


def columns(options: Options) -> Mapping[str, tuple[Find, Find | None]]:
    """Configuration -> run of a method, and run of an ablation's method on its unequal pair, if there is one."""
    own, paper = schedules.own_clips(options).values()
    mixed, ordered = parts.configurations(options).values()

    def as_released(method: str) -> Run:
        if method == "hacpo":
            return schedules.released(options)
        return Run(method, training=paper) if method != "naive" else schedules.scheduled(paper, method, "self_first")

    return {
        "3 tokens": (lambda method: by_length.run_at(options, 3, method), None),
        "64 tokens": (lambda method: Run(method, training=own), lambda method: parts.run_of(mixed, method)),
        "64 tokens, as released": (as_released, lambda method: parts.run_of(ordered, method)),
    }


def rows(options: Options, results: Results) -> list[tuple[str, np.ndarray, dict[str, np.ndarray]]]:
    """Claim, the paper's difference by agent, and ours by configuration and seed."""
    compared = []
    for better, worse in COMPARED:
        ours = {
            name: final_success(results[of(METHODS[better])]) - final_success(results[of(METHODS[worse])])
            for name, (of, _) in columns(options).items()
        }
        compared.append((f"{better} − {worse}, Tables 1, 7", method_difference(better, worse), ours))
    for claim, theirs, better, worse in ABLATED:
        ours = {
            name: final_success(results[of(better)]) - final_success(results[of(worse)])
            for name, (_, of) in columns(options).items()
            if of is not None
        }
        compared.append((claim, theirs, ours))
    return compared


def verdict(theirs: np.ndarray, ours: np.ndarray) -> str:
    """Whether ours has the sign of the paper's mean, if our 95 % interval excludes 0."""
    low, high = bootstrap_interval(ours)
    if low <= 0 <= high:
        return OPEN
    return "reproduced" if (low > 0) == (theirs.mean() > 0) else "**opposite**"


def table(options: Options, results: Results) -> str:
    """A line for each difference."""
    lines = []
    for claim, theirs, ours in rows(options, results):
        mean, half = mean_interval(theirs)
        cells = [
            f"{with_interval(float(values.mean()), bootstrap_interval(values), '+.3f')} {verdict(theirs, values)}"
            for values in (ours.get(name) for name in columns(options))
            if values is not None
        ]
        padding = [""] * (len(columns(options)) - len(cells))
        lines.append([claim, with_interval(mean, (mean - half, mean + half), "+.3f"), *padding, *cells])
    return markdown_table(["difference", "paper, thousands of tokens", *columns(options)], lines)
