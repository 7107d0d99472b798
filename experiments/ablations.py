"""HACPO without each of its parts, and with other settings: the paper's Tables 2-4 and Figure 4 on the token chain.

    python experiments/ablations.py
    python experiments/ablations.py --seeds 8 --steps 10 --output-dir runs/ablations

One pair of agents, HACPO as the reference; every variant changes one thing. Paired by seed, all seeds of a variant as
one batched computation. Writes ablations.md with its table, CSV and figure; finished variants are kept in the work
folder.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from cells import cell
from matplotlib.figure import Figure
from script import main
from study.statistics import Comparison, compare, holm
from study.teams import PAIRS, Team
from study.training import StudyConfig, train
from study.worlds import CHAIN
from tqdm.auto import tqdm

from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS

REFERENCE = "HACPO"
PAPER_EPSILON = (3e-4, 4e-4)
"""Lower and upper clip width of GSPO on own rollouts at full scale (Appendix A)."""


@dataclass(frozen=True)
class AblationsConfig(StudyConfig):
    """Train one pair on the token chain with HACPO and with variants that change one thing."""

    pair: int = 0
    """Which of the six pairs, 0 to 5."""
    output_dir: str = "docs"
    """Folder for ablations.md and the folder ablations/."""
    work_dir: str = "runs/ablations"
    """Folder for what has been computed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.pair < len(PAIRS):
            raise ValueError(f"pair must be in 0 ... {len(PAIRS) - 1}, got {self.pair}")


@dataclass(frozen=True)
class Variant:
    """One change."""

    label: str
    group: str
    """What it belongs to in the paper, or what it varies."""
    method: str
    config: StudyConfig


def variants(config: AblationsConfig) -> list[Variant]:
    """HACPO first, then everything else."""
    methods = {
        "Table 2": ("hacpo_no_advantage",),
        "Table 3": ("hacpo_no_omega",),
        "Table 4": ("hacpo_alpha0", "hacpo_alpha2", "hacpo_alpha3"),
        "Figure 4": ("hacpo_no_stepwise", "hacpo_no_clip"),
        "this lab": ("hacpo_lagged", "hacpo_loo", "hacpo_calibrated", "hacpo_capped", "hacpo_sound"),
        "no mechanism": ("naive",),
        "clip swapped": ("hacpo_pessimistic", "naive_two_sided"),
        "no sharing": ("gspo",),
    }
    tight = replace(config, epsilon_low=PAPER_EPSILON[0], epsilon_high=PAPER_EPSILON[1])
    settings = {
        "window": [(f"K = {k}", {"capability_window": k}) for k in (1, 20)],
        "group": [(f"G = {g}", {"group_size": g}) for g in (4, 16)],
        "mini-batches": [(f"{m} mini-batches", {"minibatches": m}) for m in (1, 4)],
        "width": [(f"δ = {delta}", {"delta": delta}) for delta in (0.1, 0.5)],
    }
    return [
        Variant(REFERENCE, "reference", "hacpo", config),
        *(Variant(get_method(name).label, group, name, config) for group, names in methods.items() for name in names),
        *(
            Variant(f"HACPO, {label}", group, "hacpo", replace(config, **change))
            for group, changes in settings.items()
            for label, change in changes
        ),
        *(
            Variant(f"{get_method(name).label}, ε of the paper", "own clip", name, tight)
            for name in ("hacpo", "naive", "gspo")
        ),
    ]


def train_variants(config: AblationsConfig, every: Sequence[Variant]) -> dict[str, dict[str, np.ndarray]]:
    """Every variant, computed once: label -> arrays of ``train``."""
    team, work = PAIRS[config.pair], Path(config.work_dir)
    return {
        variant.label: cell(
            work,
            f"{config.pair}-{index:02d}",
            {**variant.config.shared_settings(), "world": CHAIN.sizes(), "team": repr(team), "method": variant.method},
            partial(train, CHAIN, team, variant.method, variant.config, range(config.seeds)),
        )
        for index, variant in enumerate(tqdm(every, desc="ablations", unit="variant"))
    }


def run(config: AblationsConfig) -> str:
    """Compute every variant, write the page; returns its table."""
    team, every = PAIRS[config.pair], variants(config)
    arrays = train_variants(config, every)
    folder = Path(config.output_dir)
    (folder / "ablations").mkdir(parents=True, exist_ok=True)
    against = comparisons(arrays)
    table = ablations_table(every, arrays, against)
    plot_differences(every, against, folder / "ablations" / "differences.png", team, config)
    write_csv(every, arrays, folder / "ablations" / "ablations.csv", team)
    (folder / "ablations.md").write_text(page(table, team, config), encoding="utf-8")
    return table


def comparisons(arrays: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, tuple[Comparison, bool]]:
    """Every variant against HACPO, and whether it differs after Holm's correction over all of them."""
    final = {label: one["success"][-1].mean(0) for label, one in arrays.items()}
    labels = [label for label in final if label != REFERENCE]
    found = [compare(final[label], final[REFERENCE]) for label in labels]
    significant = holm([one.p_value for one in found])
    return {label: (one, yes) for label, one, yes in zip(labels, found, significant, strict=True)}


def ablations_table(
    every: list[Variant],
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    against: Mapping[str, tuple[Comparison, bool]],
) -> str:
    """One line a variant."""
    lines = [
        "| variant | from | by agent | − HACPO's | improved | clipped |",
        "|---|---|---|---|---|---|",
    ]
    for variant in every:
        one = arrays[variant.label]
        agents = " / ".join(f"{value:.3f}" for value in one["success"][-1].mean(-1))
        gain = improved = ""
        if variant.label in against:
            difference, significant = against[variant.label]
            mark = " *" if significant else ""
            gain = f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]{mark}"
            improved = f"{difference.improved:.0%}"
        clipped = f"{np.mean(one['clipped']):.0%}" if get_method(variant.method).shares else ""
        lines.append(f"| {variant.label} | {variant.group} | {agents} | {gain} | {improved} | {clipped} |")
    return "\n".join(lines)


def plot_differences(
    every: list[Variant],
    against: Mapping[str, tuple[Comparison, bool]],
    path: Path,
    team: Team,
    config: AblationsConfig,
) -> None:
    """Each variant's difference from HACPO with its interval."""
    shown = [variant for variant in every if variant.label in against]
    groups = list(dict.fromkeys(variant.group for variant in shown))
    figure = Figure(figsize=(8, 0.6 + 0.32 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for place, variant in enumerate(reversed(shown)):
        one = against[variant.label][0]
        colour = AGENT_COLOURS[groups.index(variant.group) % len(AGENT_COLOURS)]
        error = [[one.mean - one.low], [one.high - one.mean]]
        axes.errorbar(one.mean, place, xerr=error, fmt="o", color=colour, capsize=2)
    axes.set_yticks(
        range(len(shown)), [f"{variant.label}  ({variant.group})" for variant in reversed(shown)], fontsize=8
    )
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set(
        xlabel="success after training − HACPO's, 95 % bootstrap interval",
        title=f"{team.name}, {config.seeds} seeds, paired",
    )
    axes.grid(axis="x", alpha=0.25)
    figure.savefig(path, dpi=110)


def write_csv(every: list[Variant], arrays: Mapping[str, Mapping[str, np.ndarray]], path: Path, team: Team) -> None:
    """One line for each variant, agent and seed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["variant", "from", "agent", "seed", "initial", "final"])
        for variant in every:
            success = arrays[variant.label]["success"]
            for k, spec in enumerate(team.agents):
                for seed in range(success.shape[-1]):
                    values = (f"{success[0, k, seed]:.6f}", f"{success[-1, k, seed]:.6f}")
                    writer.writerow([variant.label, variant.group, f"{k + 1}: {spec.label}", seed, *values])


def page(table: str, team: Team, config: AblationsConfig) -> str:
    """The page in Markdown."""
    return f"""# HACPO without each of its parts

*Written by `python experiments/ablations.py`. Token chain, pair {team.name} ({team.heterogeneity}), {config.seeds}
seeds, {config.steps} steps of {config.prompts_per_step} questions × {config.group_size} answers for each agent.*

The design of the paper's Tables 2 to 4 and Figure 4 on the world of [heterogeneity.md](heterogeneity.md), and what else
can be turned. Every variant changes one thing; G changes the number of rollouts with it. *− HACPO's* is paired by seed
with a 95 % bootstrap interval; * marks differences that remain significant at 5 % together (Wilcoxon's signed-rank
test, Holm's correction). *improved*: share of seeds in which the variant did better than HACPO. *clipped*: share of the
other agent's rollouts that the clip keeps from teaching. *Clip swapped*: HACPO whose clip of cross rollouts is GSPO's
pessimistic minimum, and plain pooling whose clip of them is on both sides. *ε of the paper*: own rollouts (Naive: all)
are clipped to [1 − 3e-4, 1 + 4e-4], GSPO's bounds for language models, where the other rows have ε =
{config.epsilon_low}.

{table}

![differences from HACPO](ablations/differences.png)

**What it shows** (with the default settings). Few of HACPO's parts matter here, and most the one that decides whether
the others' answers arrive at all: with the pessimistic clip HACPO is far above training alone, and plain pooling with
a clip on both sides loses all that it gained. A right answer that the learner finds unlikely is what it could learn
most from; a bound below keeps it back, the pessimistic minimum does not.

All numbers by seed are in [ablations.csv](ablations/ablations.csv).
"""


if __name__ == "__main__":
    sys.exit(main(AblationsConfig, run, __doc__))
