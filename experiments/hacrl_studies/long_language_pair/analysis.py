"""The numbers, tables and figure of the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hacrl_lab.evaluation import mean_interval
from hacrl_runs.figures import INITIAL
from hacrl_runs.own_pair.recipes import recipes
from hacrl_runs.tables import Csv, decimals, markdown_table, with_half_width
from hacrl_studies.common.arm_figures import gains_figure
from hacrl_studies.common.arm_tables import (
    agents,
    arm_score,
    curves,
    final,
    label,
    mass_table,
    minutes,
    rates,
    ratios_table,
    run_ends,
    start,
    summary_table,
)
from hacrl_studies.common.arms import REFERENCE
from hacrl_studies.common.comparison import compare
from hacrl_studies.common.study import Results
from hacrl_studies.long_language_pair.study import GRADIENT_METHODS, GRADIENTS, Options

DOUBLE = "gspo_x2"


def score(options: Options, results: Results) -> dict[str, float]:
    """Every arm's accuracy after training and during it, and its gain over GSPO."""
    return arm_score(options, results)


def tables(options: Options, results: Results) -> dict[str, str]:
    """The placeholders of the page."""
    return {
        "summary": summary_table(options, results, (REFERENCE, DOUBLE)),
        "by_agent": agents_table(options, results),
        "ratios": ratios_table(options, results),
        "mass": mass_table(options, results),
        "skills": skills_table(options, results),
        "rates": rates(options, results),
        "lengths": lengths(options, results),
        "gradients": gradients_table(options, results),
        "silent": f"{curves(results, REFERENCE, f'zero_variance_share/{agents(results)[0]}').mean():.0%}",
        "minutes": f"{minutes(options, results):.0f}",
    }


def agents_table(options: Options, results: Results) -> str:
    """The same for each agent."""
    names = agents(results)
    rows: list[list[object]] = [
        ["before training", *(cell for value in start(results) for cell in (f"{value:.3f}", ""))]
    ]
    reference = final(results, REFERENCE)
    pairs = {
        (arm, k): (final(results, arm)[k], reference[k])
        for arm in options.arms
        if arm != REFERENCE
        for k in range(len(names))
    }
    gains = compare(pairs)
    for arm in options.arms:
        ends = final(results, arm).mean(-1)
        rows.append(
            [label(arm), *(cell for k, end in enumerate(ends) for cell in (f"{end:.3f}", gains.get((arm, k), "")))]
        )
    return markdown_table(["method", *(cell for name in names for cell in (name, "− GSPO"))], rows)


def skills_table(options: Options, results: Results) -> str:
    """Each agent's accuracy on problems about its own weak skills and about no weak skill of its own."""
    if options.agents:
        return ""
    rows = []
    for k, (name, recipe) in enumerate(recipes("tiny", "long").items()):
        weak = np.array(
            [bool(set(recipe.misreads) & set(str(topics).split())) for topics in results[INITIAL]["topics"]]
        )
        before = results[INITIAL]["accuracy"][k]
        rows.append([name, "before training", *(f"{before[asked].mean():.3f}" for asked in (weak, ~weak))])
        for arm in options.arms:
            ends = results[arm]["accuracy"][k].mean(0)
            rows.append(["", label(arm), *(f"{ends[asked].mean():.3f}" for asked in (weak, ~weak))])
    return markdown_table(["agent", "method", "problems with a weak skill of its own", "other problems"], rows)


def gradients_table(options: Options, results: Results) -> str:
    """By method and agent, the cosine of a step's gradient with the direction in which own accuracy grows."""
    if options.gradient_steps == 0:
        return ""
    cosines = results[GRADIENTS]
    rows = []
    for method in GRADIENT_METHODS:
        of_agents = [with_half_width(*mean_interval(values)) for values in cosines[method]]
        differences = [with_half_width(*mean_interval(each), "+.3f") for each in cosines[method] - cosines[REFERENCE]]
        rows.append([label(method), *of_agents, *differences])
    names = [str(name) for name in cosines["agents"]]
    return markdown_table(["method", *names, *(f"{name}, − GSPO" for name in names)], rows)


def lengths(options: Options, results: Results) -> str:
    """Mean length of answers in the first step of GSPO, by agent."""
    return ", ".join(
        f"{name} {curves(results, REFERENCE, f'response_length/{name}')[:, 0].mean():.0f} tokens"
        for name in agents(results)
    )


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each run and agent: its end."""
    names = agents(results)
    rows = [
        [arm, rate, seed, name, *decimals([end])]
        for arm, rate, seed, accuracy in run_ends(options, results)
        for name, end in zip(names, accuracy.mean(-1), strict=True)
    ]
    return {"long_language_pair.csv": (["arm", "learning_rate", "seed", "agent", "accuracy"], rows)}


def figures(options: Options, results: Results, folder: Path) -> None:
    """Gain over GSPO of every arm, after training and during it; each agent's accuracy before and after."""
    gains_figure(options, results, folder / "gains.png")
