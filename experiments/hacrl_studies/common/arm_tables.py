"""Numbers and tables that studies of several methods on a pair of language models have in common.

Results are those of one pair: INITIAL -> the arrays before training, arm -> those of
:func:`hacrl_studies.common.arms.tuned_runs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import permutations

import numpy as np

from hacrl_lab.evaluation import mean_interval
from hacrl_lab.methods import get_method
from hacrl_runs.figures import INITIAL
from hacrl_runs.tables import markdown_table, with_half_width
from hacrl_studies.common.arms import CURVE, REFERENCE, ArmOptions, arm_parts
from hacrl_studies.common.comparison import Comparison, compare
from hacrl_studies.common.study import Results
from hacrl_studies.common.tuning import sweep_section

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


def during_training(results: Results, arm: str) -> np.ndarray:
    """Accuracy of the answers sampled in training, mean over agents and steps: (seeds,)."""
    return np.mean([curves(results, arm, f"accuracy/{name}").mean(-1) for name in agents(results)], axis=0)


def against(options: ArmOptions, reference: str, values: Callable[[str], np.ndarray]) -> dict[str, Comparison]:
    """Every other arm minus the reference, paired by seed; nothing if the reference is not among the arms.

    Args:
        options: of the study.
        reference: an arm.
        values: of an arm, (seeds,).
    """
    others = [arm for arm in options.arms if arm != reference and reference in options.arms]
    return compare({arm: (values(arm), values(reference)) for arm in others})


def final_gains(options: ArmOptions, results: Results, reference: str) -> dict[str, Comparison]:
    """:func:`against` of the mean accuracy of the agents after training."""
    return against(options, reference, lambda arm: final(results, arm).mean(0))


def run_ends(options: ArmOptions, results: Results) -> Iterator[tuple[str, str, object, np.ndarray]]:
    """(arm, learning rate, seed, accuracy (agents, problems)) of every run, before training first."""
    yield INITIAL, "", "", results[INITIAL]["accuracy"]
    for arm in options.arms:
        rate = f"{options.learning_rate * float(results[arm]['rate']):.3g}"
        for seed, accuracy in enumerate(results[arm]["accuracy"].swapaxes(0, 1)):
            yield arm, rate, seed, accuracy


def arm_score(options: ArmOptions, results: Results) -> dict[str, float]:
    """Every arm's accuracy after training and during training, and its gain over GSPO."""
    numbers = {f"accuracy/{INITIAL}": float(start(results).mean())}
    numbers |= {f"accuracy/{arm}": float(final(results, arm).mean()) for arm in options.arms}
    numbers |= {f"during_training/{arm}": float(during_training(results, arm).mean()) for arm in options.arms}
    numbers |= {f"gain/{arm}": comparison.mean for arm, comparison in final_gains(options, results, REFERENCE).items()}
    return numbers


def summary_table(options: ArmOptions, results: Results, references: Sequence[str]) -> str:
    """A line for each arm: cost, end, and its differences paired by seed.

    Args:
        options: of the study.
        results: of a pair.
        references: the arms with which ends are compared.
    """
    compared = [final_gains(options, results, reference) for reference in references]
    compared.append(against(options, REFERENCE, partial(during_training, results)))
    first, blank = agents(results)[0], [""] * len(compared)
    rows: list[list[object]] = [["before training", "", "0", "0", f"{start(results).mean():.3f}", *blank]]
    for arm in options.arms:
        rate = options.learning_rate * float(results[arm]["rate"])
        cost = [f"{curves(results, arm, f'{key}/{first}')[0, -1]:,.0f}" for key in ("updates", "rollouts")]
        accuracy = with_half_width(*mean_interval(final(results, arm).mean(0)))
        differences = [gains.get(arm, "") for gains in compared]
        rows.append([label(arm), f"{rate:.2g}", *cost, accuracy, *differences])
    differences = [f"− {label(reference)}" for reference in references]
    columns = [*differences, f"during training − {label(REFERENCE)}"]
    return markdown_table(["method", "learning rate", "updates", "rollouts", "accuracy", *columns], rows)


def ratios_table(options: ArmOptions, results: Results) -> str:
    """Mean of s over steps and seeds, with the smallest and largest mean of a step, beside Table 6."""
    names = agents(results)
    rows = [["the paper's Table 6", TABLE_6["own"], TABLE_6["cross"]]]
    for arm in options.arms:
        own = [curves(results, arm, f"importance_ratio/{name}/{name}") for name in names]
        cross = [
            curves(results, arm, f"importance_ratio/{learner}/{sampler}")
            for learner, sampler in cross_pairs(options, results, arm)
        ]
        rows.append([label(arm), _with_range(own, 4), _with_range(cross, 3) if cross else ""])
    return markdown_table(["method", "s on own rollouts", "s on the other's"], rows)


def mass_table(options: ArmOptions, results: Results) -> str:
    """What the clip bounds leave of the other agent's advantage mass, mean over steps and seeds."""
    rows = []
    for arm in options.arms:
        pairs = list(cross_pairs(options, results, arm))
        if pairs:
            rows.append([label(arm), *(_mean(options, results, arm, key, pairs) for key in ("positive", "negative"))])
    return markdown_table(["method", "right answers' mass kept", "wrong answers' mass kept"], rows)


def rates(options: ArmOptions, results: Results) -> str:
    """How learning rates were chosen, and accuracy on the tuning seeds by multiple."""
    return sweep_section(["method"], [([label(arm)], results[arm]) for arm in options.arms], options.tuning_seeds)


def minutes(options: ArmOptions, results: Results) -> float:
    """Of the training steps of all runs that are reported."""
    return sum(results[arm]["seconds"].sum() for arm in options.arms) / 60


def cross_pairs(options: ArmOptions, results: Results, arm: str) -> Iterator[tuple[str, str]]:
    """(learner, sampler) of the rollouts that learners have from others."""
    if get_method(arm_parts(arm, options.training)[0]).shares:
        names = agents(results)
        yield from permutations(names, 2)


def _mean(options: ArmOptions, results: Results, arm: str, sign: str, pairs: Sequence[tuple[str, str]]) -> str:
    values = [curves(results, arm, f"{sign}_mass_kept/{k}/{j}").mean() for k, j in pairs]
    return f"{np.mean(values):.2f}"


def _with_range(values: Sequence[np.ndarray], decimal_places: int) -> str:
    mean, smallest, largest = (f"{summary(values):.{decimal_places}f}" for summary in (np.mean, np.min, np.max))
    return f"{mean} ({smallest} to {largest})"
