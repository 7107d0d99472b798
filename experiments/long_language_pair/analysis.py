"""The numbers, tables and figure of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.typing import FillStyleType

from common.comparison import Comparison, compare, means_and_errors
from common.figures import mark, new_figure, save
from common.study import Results
from common.tables import Csv, decimals, markdown_table
from common.tuning import sweep_section
from hacrl_lab.evaluation import mean_interval
from hacrl_lab.methods import get_method
from language_pair.recipes import recipes
from long_language_pair.study import CURVE, INITIAL, REFERENCE, Options, arm_parts

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


def final(results: Results, arm: str) -> np.ndarray:
    """Accuracy after training: (agents, seeds)."""
    return results[arm]["accuracy"].mean(-1)


def start(results: Results) -> np.ndarray:
    """Accuracy before training: (agents,)."""
    return results[INITIAL]["accuracy"].mean(-1)


def curves(results: Results, arm: str, key: str) -> np.ndarray:
    """A metric's values: (seeds, steps)."""
    return results[arm][CURVE + key]


def on_the_way(results: Results, arm: str) -> np.ndarray:
    """Accuracy of the answers sampled in training, mean over agents and steps: (seeds,)."""
    return np.mean([curves(results, arm, f"accuracy/{name}").mean(-1) for name in agents(results)], axis=0)


def against(options: Options, reference: str, values: Callable[[str], np.ndarray]) -> dict[str, Comparison]:
    """Every other arm minus the reference, paired by seed.

    Args:
        options: of the study.
        reference: an arm.
        values: of an arm, (seeds,).
    """
    others = [arm for arm in options.arms if arm != reference]
    return compare({arm: (values(arm), values(reference)) for arm in others})


def final_gains(options: Options, results: Results, reference: str) -> dict[str, Comparison]:
    """:func:`against` of the mean accuracy of the agents after training."""
    return against(options, reference, lambda arm: final(results, arm).mean(0))


def score(options: Options, results: Results) -> dict[str, float]:
    """Every arm's accuracy after training and on the way, and its gain over GSPO."""
    numbers = {f"accuracy/{INITIAL}": float(start(results).mean())}
    numbers |= {f"accuracy/{arm}": float(final(results, arm).mean()) for arm in options.arms}
    numbers |= {f"on_the_way/{arm}": float(on_the_way(results, arm).mean()) for arm in options.arms}
    numbers |= {f"gain/{arm}": found.mean for arm, found in final_gains(options, results, REFERENCE).items()}
    return numbers


def tables(options: Options, results: Results) -> dict[str, str]:
    """The placeholders of the page."""
    return {
        "summary": summary_table(options, results),
        "by_agent": agents_table(options, results),
        "ratios": ratios_table(options, results),
        "mass": mass_table(options, results),
        "skills": skills_table(options, results),
        "rates": rates(options, results),
        "lengths": lengths(options, results),
        "silent": f"{curves(results, REFERENCE, f'zero_variance_share/{agents(results)[0]}').mean():.0%}",
        "minutes": f"{minutes(options, results):.0f}",
    }


def summary_table(options: Options, results: Results) -> str:
    """A line for each arm: cost, end, and its differences paired by seed."""
    gains = final_gains(options, results, REFERENCE)
    over_double = final_gains(options, results, DOUBLE) if DOUBLE in options.arms else {}
    quicker = against(options, REFERENCE, partial(on_the_way, results))
    first = agents(results)[0]
    rows: list[list[object]] = [["before training", "", "0", "0", f"{start(results).mean():.3f}", "", "", ""]]
    for arm in options.arms:
        rate = options.learning_rate * float(results[arm]["rate"])
        cost = [f"{curves(results, arm, f'{key}/{first}')[0, -1]:,.0f}" for key in ("updates", "rollouts")]
        mean, half = mean_interval(final(results, arm).mean(0))
        end = f"{mean:.3f} ± {half:.3f}"
        differences = [found.get(arm, "") for found in (gains, over_double, quicker)]
        rows.append([label(arm), f"{rate:.2g}", *cost, end, *differences])
    header = ["method", "learning rate", "updates", "rollouts", "accuracy", "− GSPO", "− GSPO×2", "on the way − GSPO"]
    return markdown_table(header, rows)


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


def ratios_table(options: Options, results: Results) -> str:
    """Mean of s over steps and seeds, with the smallest and largest mean of a step, beside Table 6."""
    names = agents(results)
    rows = [["the paper's Table 6", TABLE_6["own"], TABLE_6["cross"]]]
    for arm in options.arms:
        own = [curves(results, arm, f"importance_ratio/{name}/{name}") for name in names]
        cross = [
            curves(results, arm, f"importance_ratio/{learner}/{sampler}")
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
        before = results[INITIAL]["accuracy"][k]
        rows.append([name, "before training", *(f"{before[chosen].mean():.3f}" for chosen in (weak, ~weak))])
        for arm in options.arms:
            ends = results[arm]["accuracy"][k].mean(0)
            rows.append(["", label(arm), *(f"{ends[chosen].mean():.3f}" for chosen in (weak, ~weak))])
    return markdown_table(["agent", "method", "problems with a weak skill of its own", "other problems"], rows)


def rates(options: Options, results: Results) -> str:
    """How learning rates were chosen, and accuracy on the tuning seeds by multiple."""
    return sweep_section(["method"], [([label(arm)], results[arm]) for arm in options.arms], options.tuning_seeds)


def lengths(options: Options, results: Results) -> str:
    """Mean length of answers in the first step of GSPO, by agent."""
    return ", ".join(
        f"{name} {curves(results, REFERENCE, f'response_length/{name}')[:, 0].mean():.0f} tokens"
        for name in agents(results)
    )


def minutes(options: Options, results: Results) -> float:
    """Of the training steps of all runs that are reported."""
    return sum(results[arm]["seconds"].sum() for arm in options.arms) / 60


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each run and agent: its end."""
    names = agents(results)
    rows = [[INITIAL, "", "", name, *decimals([end])] for name, end in zip(names, start(results), strict=True)]
    for arm in options.arms:
        rate = f"{options.learning_rate * float(results[arm]['rate']):.3g}"
        for seed, ends in enumerate(final(results, arm).T):
            rows += [[arm, rate, seed, name, *decimals([end])] for name, end in zip(names, ends, strict=True)]
    return {"long_language_pair.csv": (["arm", "learning_rate", "seed", "agent", "accuracy"], rows)}


def figures(options: Options, results: Results, folder: Path) -> None:
    """Gain over GSPO of every arm, after training and on the way; each agent's accuracy before and after."""
    figure = new_figure(1.6 + 0.42 * len(options.arms))
    left, right = figure.subplots(1, 2, sharey=True)
    places = {arm: -i for i, arm in enumerate(options.arms)}
    _draw_gains(left, final_gains(options, results, REFERENCE), places, 0.12, "after training", "full")
    on_way = against(options, REFERENCE, partial(on_the_way, results))
    _draw_gains(left, on_way, places, -0.12, "on the way, mean of all steps", "none")
    left.axvline(0, color="black", linewidth=0.8)
    left.set(yticks=list(places.values()), yticklabels=[label(arm) for arm in places])
    left.set_ylim(0.5 - len(places), 0.5)
    left.set_xlabel("accuracy − GSPO's, mean of the agents")
    for k, (name, shape) in enumerate(zip(agents(results), "osD^vP", strict=False)):
        for arm, place in places.items():
            right.plot(final(results, arm)[k].mean(), place, shape, color=_colour(arm))
        right.axvline(start(results)[k], color="grey", linewidth=0.8, linestyle=":")
        right.plot([], [], shape, color="black", label=f"{name}, after training")
    right.plot([], [], color="grey", linestyle=":", label="before training")
    right.set_xlabel("accuracy of each agent")
    right.set_xlim(0, 1)
    for axes in (left, right):
        axes.grid(alpha=0.25)
    handles = [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.suptitle(f"{options.seeds} seeds; intervals: 95 %, paired by seed", fontsize=11)
    save(figure, folder / "gains.png")


def _draw_gains(
    axes: Axes, gains: Mapping[str, Comparison], places: Mapping[str, int], shift: float, name: str, fill: FillStyleType
) -> None:
    """A point with its interval for each arm."""
    means, errors = means_and_errors(gains.values())
    for i, arm in enumerate(gains):
        look = {"color": _colour(arm), "fillstyle": fill, "capsize": 3}
        axes.errorbar(means[i], places[arm] + shift, xerr=errors[:, [i]], fmt="o", **look)
    axes.plot([], [], "o", color="black", fillstyle=fill, label=name)


def _colour(arm: str) -> str:
    return mark(arm.partition("/")[0])[0]


def _pairs(options: Options, results: Results, arm: str) -> Iterator[tuple[str, str]]:
    """(learner, sampler) of the rollouts that learners have from others."""
    if get_method(arm_parts(arm, options.training)[0]).shares:
        names = agents(results)
        yield from ((learner, sampler) for learner in names for sampler in names if sampler != learner)


def _mean(options: Options, results: Results, arm: str, sign: str, pairs: Sequence[tuple[str, str]]) -> str:
    values = [curves(results, arm, f"{sign}_mass_kept/{k}/{j}").mean() for k, j in pairs]
    return f"{np.mean(values):.2f}"


def _with_range(values: Sequence[np.ndarray], places: int) -> str:
    return f"{np.mean(values):.{places}f} ({np.min(values):.{places}f} to {np.max(values):.{places}f})"
