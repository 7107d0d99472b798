"""The numbers, table and figure of the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from hacrl_lab.evaluation import mean_interval
from hacrl_lab.plotting import new_figure, save
from hacrl_runs.tables import Csv, decimals, markdown_table, with_half_width
from hacrl_studies.common.arms import CURVE
from hacrl_studies.common.study import Results
from hacrl_studies.vllm_curves.study import SAMPLERS, Options, Sampler

COLOURS = {"transformers": "#0072B2", "vllm": "#D55E00"}


def agents(results: Results) -> list[str]:
    """Names of the agents."""
    return [str(name) for name in next(iter(results.values()))["agents"]]


def final(options: Options, results: Results, sampler: Sampler) -> np.ndarray:
    """Accuracy after training, mean of the agents: (seeds,)."""
    return np.array([results[sampler, seed]["accuracy"].mean() for seed in range(options.seeds)])


def curve(options: Options, results: Results, sampler: Sampler, key: str) -> np.ndarray:
    """A metric of each agent: (agents, seeds, steps)."""
    runs = [results[sampler, seed] for seed in range(options.seeds)]
    return np.array([[run[f"{CURVE}{key}/{name}"] for run in runs] for name in agents(results)])


def during_training(options: Options, results: Results, sampler: Sampler) -> np.ndarray:
    """Accuracy of the answers sampled in training, mean over agents and steps: (seeds,)."""
    return curve(options, results, sampler, "accuracy").mean((0, 2))


def score(options: Options, results: Results) -> dict[str, float]:
    """By sampler accuracy at the end and during training, and how far its log-probabilities are from the trainer's."""
    numbers: dict[str, float] = {}
    for sampler in SAMPLERS:
        numbers[f"accuracy/{sampler}"] = float(final(options, results, sampler).mean())
        numbers[f"during_training/{sampler}"] = float(during_training(options, results, sampler).mean())
        numbers[f"mismatch/{sampler}"] = float(curve(options, results, sampler, "engine_mismatch_max").max())
    return numbers


def tables(options: Options, results: Results) -> dict[str, str]:
    """The placeholders of the page."""
    rows: list[list[object]] = []
    for sampler in SAMPLERS:
        ends, ways = final(options, results, sampler), during_training(options, results, sampler)
        seconds = np.mean([results[sampler, seed]["seconds"] / options.steps for seed in range(options.seeds)])
        largest = curve(options, results, sampler, "engine_mismatch_max").max()
        rows.append([sampler, _mean(ends), _mean(ways), f"{largest:.1e}", f"{seconds:.1f}"])
    differences = [
        _mean(of(options, results, "vllm") - of(options, results, "transformers"), "+")
        for of in (final, during_training)
    ]
    rows.append(["vllm − transformers", *differences, "", ""])
    header = ["sampler", "accuracy after training", "during training", "largest mismatch, nats", "seconds a step"]
    return {"summary": markdown_table(header, rows)}


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each run, step and agent."""
    rows = [
        [sampler, seed, step + 1, name, *decimals([value])]
        for sampler in SAMPLERS
        for name, seeds in zip(agents(results), curve(options, results, sampler, "accuracy"), strict=True)
        for seed, values in enumerate(seeds)
        for step, value in enumerate(values)
    ]
    return {"vllm_curves.csv": (["sampler", "seed", "step", "agent", "accuracy"], rows)}


def figures(options: Options, results: Results, folder: Path) -> None:
    """Accuracy of each agent's answers in training: a thin line for each seed, a thick one for their mean."""
    figure = new_figure(3.9)
    panels = figure.subplots(1, len(agents(results)), sharey=True)
    steps = np.arange(options.steps) + 1
    for k, (axes, name) in enumerate(zip(panels, agents(results), strict=True)):
        for sampler in SAMPLERS:
            values = curve(options, results, sampler, "accuracy")[k]
            axes.plot(steps, values.T, color=COLOURS[sampler], linewidth=0.7, alpha=0.6)
            axes.plot(steps, values.mean(0), color=COLOURS[sampler], linewidth=2.2, label=sampler)
        axes.set(title=name, xlabel="training step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("accuracy of sampled answers")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(f"Thick: mean of {options.seeds} seeds; thin: each seed", fontsize=11)
    save(figure, folder / "curves.png")


def _mean(values: np.ndarray, sign: str = "") -> str:
    return with_half_width(*mean_interval(values), f"{sign}.3f")
