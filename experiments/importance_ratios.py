"""How far learners are from samplers: the paper's Table 6, and how ratios drift within a step (its Appendix C).

    python experiments/importance_ratios.py
    python experiments/importance_ratios.py --seeds 8 --steps 10 --no-language-pair --output-dir runs/importance_ratios

Six pairs of the token chain, all seeds together, and the lab's own pair of language models train with HACPO; the ratio
of every rollout is taken in every mini-batch, before its update. Writes importance_ratios.md with its table, CSV and
figure; finished cells are kept in the work folder.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from string import Template

import numpy as np
from cells import cell
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pair.config import LLMPairConfig
from ratio_study.recording import MEASURES, record_chain, record_language_pair
from script import check_methods, command, main, page_folder
from study.statistics import bootstrap_interval
from study.teams import PAIRS
from study.training import StudyConfig
from study.worlds import CHAIN
from tqdm.auto import tqdm

from hacrl_lab.evaluation import mean_interval
from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS

PAGE = Path(__file__).parent / "ratio_study" / "page.md"
LANGUAGE = "language models"
Ratios = Mapping[str, Mapping[str, np.ndarray]]
"""Pair -> arrays of ``recording.record``."""


@dataclass(frozen=True)
class ImportanceRatiosConfig(StudyConfig):
    """Record the importance ratios of self and cross rollouts in every mini-batch."""

    minibatches: int = 4
    """Updates in a step; more of them show more of the drift."""
    method: str = "hacpo"
    """What to train with; a method that shares."""
    language_pair: bool = True
    """Whether to train the lab's own language models too (some minutes; they are built on first use)."""
    language_steps: int = 10
    """Their training steps."""
    output_dir: str = "docs"
    """Folder for importance_ratios.md and the folder importance_ratios/."""
    work_dir: str = "runs/importance_ratios"
    """Folder for what has been computed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_methods([self.method], self.training)
        if not get_method(self.method).shares:
            raise ValueError(f"method must be one that shares rollouts, got {self.method}")
        if self.minibatches < 2 or self.language_steps < 2:
            raise ValueError(
                f"minibatches and language_steps must be ≥ 2, got {self.minibatches} and {self.language_steps}"
            )

    def language(self) -> LLMPairConfig:
        """The settings of the language models: their own, with this study's method and mini-batches."""
        return LLMPairConfig(
            method=self.method, compare="none", steps=self.language_steps, minibatches=self.minibatches
        )


def run(config: ImportanceRatiosConfig) -> str:
    """Record every pair, write the page; returns its table."""
    folder = page_folder(config.output_dir, "importance_ratios")
    ratios = record_pairs(config)
    plot_ratios(ratios, config, folder / "importance_ratios" / "ratios.png")
    write_csv(ratios, folder / "importance_ratios" / "importance_ratios.csv")
    write_seeds_csv(ratios, folder / "importance_ratios" / "by_seed.csv")
    table = ratios_table(ratios)
    (folder / "importance_ratios.md").write_text(page(table, drift_table(ratios), config), encoding="utf-8")
    return table


def record_pairs(config: ImportanceRatiosConfig) -> Ratios:
    """Every pair, each computed once."""
    work, settings = (
        Path(config.work_dir),
        {**config.shared_settings(), "world": CHAIN.sizes(), "method": config.method},
    )
    found = {
        team.name: cell(
            work,
            team.name.replace(" ", "_"),
            {**settings, "team": repr(team)},
            partial(record_chain, team, config.method, config, range(config.seeds)),
        )
        for team in tqdm(PAIRS, desc="pairs", unit="pair")
    }
    if config.language_pair:
        language = config.language()
        found[LANGUAGE] = cell(work, "language", asdict(language), partial(record_language_pair, language))
    return found


def of_kind(values: np.ndarray, own: bool) -> np.ndarray:
    """Self or cross, mean over the learners: (steps, learners, samplers, M, S) -> (steps, M, S)."""
    same = np.eye(values.shape[1], dtype=bool)
    return values[:, same if own else ~same].mean(1)


def ratios_table(ratios: Ratios) -> str:
    """Table 6: per-step means, their range over steps, and what the clip makes of the cross rollouts."""
    lines = [
        "| pair | self: mean s | over steps | cross: mean s | over steps | below the bound | within | above 1 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, measures in ratios.items():
        columns = []
        for own in (True, False):
            by_step = of_kind(measures["ratio"], own).mean(1)  # (steps, S)
            steps = by_step.mean(-1)
            columns += [_mean_and_interval(by_step.mean(0)), f"{steps.min():.3f} to {steps.max():.3f}"]
        below, above = (float(of_kind(measures[key], own=False).mean()) for key in ("below", "above"))
        shares = [f"{share:.0%}" for share in (below, 1 - below - above, above)]
        lines.append(f"| {name} | {' | '.join([*columns, *shares])} |")
    return "\n".join(lines)


def drift(measures: Mapping[str, np.ndarray], own: bool) -> np.ndarray:
    """How the mean ratio changes from the step's first mini-batch to each, (M, units).

    Units are seeds, mean over steps; of a single seed they are its steps.
    """
    ratio = of_kind(measures["ratio"], own)  # (steps, M, S)
    by_unit = ratio.mean(0) if ratio.shape[-1] > 1 else ratio[..., 0].T
    return by_unit - by_unit[:1]


def drift_table(ratios: Ratios) -> str:
    """Appendix C: last mini-batch minus first, self and cross."""
    lines = ["| pair | self | cross |", "|---|---|---|"]
    for name, measures in ratios.items():
        columns = [_mean_and_interval(drift(measures, own)[-1], "+.4f") for own in (True, False)]
        lines.append(f"| {name} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _mean_and_interval(values: np.ndarray, form: str = ".4f") -> str:
    """Over seeds or steps; a single value has no interval."""
    if len(values) == 1:
        return f"{values[0]:{form}}"
    low, high = bootstrap_interval(values)
    return f"{values.mean():{form}} [{low:{form}}, {high:{form}}]"


def plot_ratios(ratios: Ratios, config: ImportanceRatiosConfig, path: Path) -> None:
    """Per-step means against steps, and the change within a step."""
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    by_step, own_drift, cross_drift = figure.subplots(1, 3)
    for colour, (name, measures) in zip(cycle(AGENT_COLOURS), ratios.items(), strict=False):
        for own, style in ((True, "--"), (False, "-")):
            steps = of_kind(measures["ratio"], own).mean((1, 2))
            by_step.plot(range(1, len(steps) + 1), steps, style, color=colour, label=None if own else name)
        _plot_drift(own_drift, drift(measures, own=True), colour)
        _plot_drift(cross_drift, drift(measures, own=False), colour)
    by_step.axhline(1 - config.delta, color="black", linewidth=0.6, linestyle=":")
    by_step.annotate("1 − δ", (0.98, 1 - config.delta), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    by_step.set(title="Means: cross (lines), self (dashed)", xlabel="training step", ylabel="mean importance ratio s")
    minibatches = np.arange(config.minibatches)
    cross_drift.plot(minibatches, minibatches * config.delta_step, ":", color="black", linewidth=1)
    cross_drift.annotate("the bound, m·δ_step", (1, config.delta_step), fontsize=8, va="bottom", ha="right")
    for axes, kind in ((own_drift, "Self"), (cross_drift, "Cross")):
        axes.set(
            title=f"{kind}: drift within a step",
            xlabel="mini-batch updates made, m",
            ylabel="mean s, minus its value at m = 0",
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (by_step, own_drift, cross_drift):
        axes.grid(alpha=0.25)
    figure.legend(*by_step.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    label, chain = get_method(config.method).label, f"token chain: {config.seeds} seeds"
    language = f"; language models: one seed, {config.language_steps} steps" if config.language_pair else ""
    figure.suptitle(f"{label}; {chain}{language}. Drift: 95 % t intervals over seeds (language models: over steps)")
    figure.savefig(path, dpi=110)


def _plot_drift(axes: Axes, change: np.ndarray, colour: str) -> None:
    """Mean over units with its 95 % interval."""
    mean, half = np.array([mean_interval(values) for values in change]).T
    axes.errorbar(range(len(change)), mean, half, marker=".", color=colour, capsize=2, linewidth=1)


def write_csv(ratios: Ratios, path: Path) -> None:
    """One line for each pair, learner, sampler, step and mini-batch: means over seeds."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["pair", "learner", "sampler", "step", "minibatch", *MEASURES])
        for name, measures in ratios.items():
            means = np.stack([measures[key].mean(-1) for key in MEASURES], axis=-1)
            for (step, learner, sampler, minibatch), _ in np.ndenumerate(means[..., 0]):
                values = [f"{value:.6f}" for value in means[step, learner, sampler, minibatch]]
                writer.writerow([name, learner + 1, sampler + 1, step + 1, minibatch, *values])


def write_seeds_csv(ratios: Ratios, path: Path) -> None:
    """What the tables are made of: one line for each pair and seed, means over steps, mini-batches and learners."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        drifts = ("self_drift", "cross_drift")
        writer.writerow(["pair", "seed", "self_ratio", "cross_ratio", "cross_below", "cross_above", *drifts])
        for name, measures in ratios.items():
            columns = [of_kind(measures["ratio"], own).mean((0, 1)) for own in (True, False)]
            columns += [of_kind(measures[key], own=False).mean((0, 1)) for key in ("below", "above")]
            by_minibatch = [of_kind(measures["ratio"], own).mean(0) for own in (True, False)]  # (M, S)
            columns += [ratio[-1] - ratio[0] for ratio in by_minibatch]
            for seed, values in enumerate(zip(*columns, strict=True)):
                writer.writerow([name, seed, *(f"{value:.6f}" for value in values)])


def page(table: str, drifts: str, config: ImportanceRatiosConfig) -> str:
    """The page in Markdown."""
    values = {key: str(value) for key, value in asdict(config).items()}
    values |= {"method": get_method(config.method).label, "command": command("importance_ratios", config)}
    moved = f"{(config.minibatches - 1) * config.delta_step:.3f}"
    return Template(PAGE.read_text(encoding="utf-8")).substitute(values, table=table, drifts=drifts, moved=moved)


if __name__ == "__main__":
    sys.exit(main(ImportanceRatiosConfig, run, __doc__))
