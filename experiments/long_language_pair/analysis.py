"""The numbers, tables and figure of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.comparison import Comparison, compare, means_and_errors
from common.figures import mark, new_figure, save
from common.study import Results
from common.tables import Csv, decimals, markdown_table
from hacrl_lab.evaluation import mean_interval
from hacrl_lab.methods import get_method
from language_pair.recipes import recipes
from long_language_pair.study import CURVE, INITIAL, REFERENCE, Options, arm_parts, mean_accuracy

DOUBLE = "gspo_x2"
TABLE_6 = {"own": "1.0000 (0.9996 to 1.0002)", "cross": "0.8955 (0.862 to 0.936)"}
"""Mean of s, and smallest and largest mean of a step, of Qwen3-1.7B-Base with Qwen3-4B-Base."""


def label(arm: str) -> str:
    """As in tables and figures."""
    method, _, schedule = arm.partition("/")
    return get_method(method).label + (f", {schedule}" if schedule else "")


def agents(results: Results) -> list[str]:
    """Names of the agents."""
    return [str(name) for name in results[INITIAL]["agents"]]


def final(options: Options, results: Results, arm: str) -> np.ndarray:
    """Accuracy after training: (agents, seeds)."""
    return np.stack([results[arm, seed]["accuracy"].mean(-1) for seed in range(options.seeds)], -1)


def curves(options: Options, results: Results, arm: str, key: str) -> np.ndarray:
    """A metric's values: (seeds, steps)."""
    return np.stack([results[arm, seed][CURVE + key] for seed in range(options.seeds)])


def against(options: Options, results: Results, reference: str) -> dict[str, Comparison]:
    """Every other arm's mean accuracy of both agents minus the reference's, paired by seed."""
    ends = {arm: final(options, results, arm).mean(0) for arm in options.arms}
    return compare({arm: (ends[arm], ends[reference]) for arm in options.arms if arm != reference})


def score(options: Options, results: Results) -> dict[str, float]:
    """Every arm's accuracy, its gain over GSPO, and the mean importance ratios of HACPO and its like."""
    numbers = {f"accuracy/{INITIAL}": mean_accuracy(results[INITIAL])}
    numbers |= {f"accuracy/{arm}": float(final(options, results, arm).mean()) for arm in options.arms}
    numbers |= {f"gain/{arm}": found.mean for arm, found in against(options, results, REFERENCE).items()}
    return numbers


def tables(options: Options, results: Results) -> dict[str, str]:
    """The placeholders of the page."""
    return {
        "summary": summary_table(options, results),
        "by_agent": agents_table(options, results),
        "ratios": ratios_table(options, results),
        "mass": mass_table(options, results),
        "skills": skills_table(options, results),
        "rates": rates_table(options, results),
        "lengths": lengths(options, results),
        "minutes": f"{minutes(results):.0f}",
    }


def summary_table(options: Options, results: Results) -> str:
    """A line for each arm: cost, end, and its differences paired by seed."""
    gains = against(options, results, REFERENCE)
    over_double = against(options, results, DOUBLE) if DOUBLE in options.arms else {}
    first = agents(results)[0]
    rows: list[list[object]] = [["before training", "", "0", "0", f"{mean_accuracy(results[INITIAL]):.3f}", "", ""]]
    for arm in options.arms:
        one = results[arm, 0]
        cost = [f"{int(one[f'{CURVE}{key}/{first}'][-1]):,}" for key in ("updates", "rollouts")]
        mean, half = mean_interval(final(options, results, arm).mean(0))
        end = f"{mean:.3f} ± {half:.3f}"
        rows.append([label(arm), f"{one['learning_rate']:g}", *cost, end, gains.get(arm, ""), over_double.get(arm, "")])
    header = ["method", "learning rate", "updates", "rollouts", "accuracy", "− GSPO", "− GSPO×2"]
    return markdown_table(header, rows)


def agents_table(options: Options, results: Results) -> str:
    """The same for each agent."""
    names = agents(results)
    start = results[INITIAL]["accuracy"].mean(-1)
    rows: list[list[object]] = [["before training", *(cell for value in start for cell in (f"{value:.3f}", ""))]]
    reference = final(options, results, REFERENCE)
    pairs = {
        (arm, k): (final(options, results, arm)[k], reference[k])
        for arm in options.arms
        if arm != REFERENCE
        for k in range(len(names))
    }
    gains = compare(pairs)
    for arm in options.arms:
        ends = final(options, results, arm).mean(-1)
        rows.append(
            [label(arm), *(cell for k, end in enumerate(ends) for cell in (f"{end:.3f}", gains.get((arm, k), "")))]
        )
    return markdown_table(["method", *(cell for name in names for cell in (name, "− GSPO"))], rows)


def ratios_table(options: Options, results: Results) -> str:
    """Mean of s over steps and seeds, with the smallest and largest mean of a step, beside Table 6."""
    names = agents(results)
    rows = [["the paper's Table 6", TABLE_6["own"], TABLE_6["cross"]]]
    for arm in options.arms:
        own = [curves(options, results, arm, f"importance_ratio/{name}/{name}") for name in names]
        cross = [
            curves(options, results, arm, f"importance_ratio/{learner}/{sampler}")
            for learner, sampler in _pairs(options, results, arm)
        ]
        rows.append([label(arm), _with_range(own, 4), _with_range(cross, 3) if cross else ""])
    return markdown_table(["method", "s on own rollouts", "s on the other's"], rows)


def mass_table(options: Options, results: Results) -> str:
    """What the clip bounds leave of the other agent's advantage mass, mean over steps and seeds."""
    rows = []
    for arm in options.arms:
        pairs = list(_pairs(options, results, arm))
        if pairs:
            rows.append([label(arm), *(_mean(options, results, arm, key, pairs) for key in ("positive", "negative"))])
    return markdown_table(["method", "right answers' mass kept", "wrong answers' mass kept"], rows)


def skills_table(options: Options, results: Results) -> str:
    """Each agent's accuracy on problems about its own weak skills and about no weak skill of its own."""
    if options.agents:
        return ""
    rows = []
    for k, (name, recipe) in enumerate(recipes("tiny", "long").items()):
        weak = np.array(
            [bool(set(recipe.misreads) & set(str(topics).split())) for topics in results[INITIAL]["topics"]]
        )
        start = results[INITIAL]["accuracy"][k]
        rows.append([name, "before training", *(f"{start[chosen].mean():.3f}" for chosen in (weak, ~weak))])
        for arm in options.arms:
            ends = np.stack([results[arm, seed]["accuracy"][k] for seed in range(options.seeds)])
            rows.append(["", label(arm), *(f"{ends[:, chosen].mean():.3f}" for chosen in (weak, ~weak))])
    return markdown_table(["agent", "method", "problems with a weak skill of its own", "other problems"], rows)


def rates_table(options: Options, results: Results) -> str:
    """Accuracy by learning rate on the seed for tuning; the best in bold."""
    rows = []
    for arm in options.arms:
        ends = [mean_accuracy(results["rate", arm, rate]) for rate in options.learning_rates]
        rows.append([label(arm), *(f"**{end:.3f}**" if end == max(ends) else f"{end:.3f}" for end in ends)])
    return markdown_table(["method", *(f"{rate:g}" for rate in options.learning_rates)], rows)


def lengths(options: Options, results: Results) -> str:
    """Mean length of answers in the first step of GSPO, by agent."""
    return ", ".join(
        f"{name} {curves(options, results, REFERENCE, f'response_length/{name}')[:, 0].mean():.0f} tokens"
        for name in agents(results)
    )


def minutes(results: Results) -> float:
    """Of all training steps."""
    return sum(float(arrays["seconds"]) for arrays in results.values() if "seconds" in arrays) / 60


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each run and agent: its end; and one for each run that tuned."""
    names = agents(results)
    rows = [[INITIAL, "", "", name, *decimals([end])] for name, end in zip(names, _ends(results[INITIAL]), strict=True)]
    for arm in options.arms:
        for seed in range(options.seeds):
            one = results[arm, seed]
            rate = f"{one['learning_rate']:g}"
            rows += [[arm, rate, seed, name, *decimals([end])] for name, end in zip(names, _ends(one), strict=True)]
    tuning = [
        [arm, f"{rate:g}", name, *decimals([end])]
        for arm in options.arms
        for rate in options.learning_rates
        for name, end in zip(names, _ends(results["rate", arm, rate]), strict=True)
    ]
    return {
        "long_language_pair.csv": (["arm", "learning_rate", "seed", "agent", "accuracy"], rows),
        "learning_rates.csv": (["arm", "learning_rate", "agent", "accuracy"], tuning),
    }


def figures(options: Options, results: Results, folder: Path) -> None:
    """Gain over GSPO of every arm, and each agent's accuracy at start and end."""
    figure = new_figure(1.2 + 0.42 * len(options.arms))
    left, right = figure.subplots(1, 2, sharey=True)
    gains = against(options, results, REFERENCE)
    places = {arm: -i for i, arm in enumerate(options.arms)}
    means, errors = means_and_errors(gains.values())
    for i, arm in enumerate(gains):
        colour, _ = mark(arm.partition("/")[0])
        left.errorbar(means[i], places[arm], xerr=errors[:, [i]], fmt="o", color=colour, capsize=3)
    left.axvline(0, color="black", linewidth=0.8)
    left.set(yticks=list(places.values()), yticklabels=[label(arm) for arm in places])
    left.set_xlabel("accuracy − GSPO's, mean of the agents")
    start = results[INITIAL]["accuracy"].mean(-1)
    for k, (name, shape) in enumerate(zip(agents(results), "osD^vP", strict=False)):
        for arm, place in places.items():
            colour, _ = mark(arm.partition("/")[0])
            right.plot(final(options, results, arm)[k].mean(), place, shape, color=colour)
            right.plot(start[k], place, shape, color="white", markeredgecolor="grey")
        right.plot([], [], shape, color="black", label=name)
    right.plot([], [], "o", color="white", markeredgecolor="grey", label="before training")
    right.set_xlabel("accuracy of each agent")
    right.set_xlim(0, 1)
    for axes in (left, right):
        axes.grid(alpha=0.25)
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"{options.seeds} seeds; intervals: 95 %, paired by seed", fontsize=11)
    save(figure, folder / "gains.png")


def _ends(arrays: Mapping[str, Any]) -> np.ndarray:
    return arrays["accuracy"].mean(-1)


def _pairs(options: Options, results: Results, arm: str) -> Iterator[tuple[str, str]]:
    """(learner, sampler) of the rollouts that learners have from others."""
    if get_method(arm_parts(arm, options.training)[0]).shares:
        names = agents(results)
        yield from ((learner, sampler) for learner in names for sampler in names if sampler != learner)


def _mean(options: Options, results: Results, arm: str, sign: str, pairs: Sequence[tuple[str, str]]) -> str:
    values = [curves(options, results, arm, f"{sign}_mass_kept/{k}/{j}").mean() for k, j in pairs]
    return f"{np.mean(values):.2f}"


def _with_range(values: Sequence[np.ndarray], places: int) -> str:
    return f"{np.mean(values):.{places}f} ({np.min(values):.{places}f} to {np.max(values):.{places}f})"
