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
from itertools import product
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from cells import cell
from matplotlib.figure import Figure
from script import check_methods, command, main, page_folder
from study.base import StudyWorld
from study.statistics import Comparison, compare, difference, holm
from study.teams import PAIRS, Team
from study.training import BY_SEED, StudyConfig, by_seed, train
from study.worlds import BANDIT, CHAIN
from tqdm.auto import tqdm

from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS

PAGE = Path(__file__).parent / "study" / "page_ablations.md"
REFERENCE = "HACPO"
EXCHANGES = ("hacpo", "hacpo_alpha0", "hacpo_pessimistic", "hacpo_open", "naive")
"""Both clips of cross rollouts × with and without the exponential weight, and plain pooling."""
PAPER_EPSILON = (3e-4, 4e-4)
"""Lower and upper clip width of GSPO on own rollouts at full scale (Appendix A)."""


EXCHANGE_WORLDS = (CHAIN, BANDIT)
Exchanged = Mapping[tuple[str, int, str], Mapping[str, np.ndarray]]
"""(world, pair, method) -> arrays of ``train``."""


@dataclass(frozen=True)
class AblationsConfig(StudyConfig):
    """Train one pair on the token chain with HACPO and with variants that change one thing."""

    pair: int = 0
    """Which of the six pairs, 0 to 5."""
    exchange_pairs: tuple[int, ...] = tuple(range(len(PAIRS)))
    """Pairs on which clip and weight are exchanged."""
    output_dir: str = "docs"
    """Folder for ablations.md and the folder ablations/."""
    work_dir: str = "runs/ablations"
    """Folder for what has been computed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if wrong := [pair for pair in (self.pair, *self.exchange_pairs) if not 0 <= pair < len(PAIRS)]:
            raise ValueError(f"pairs must be in 0 ... {len(PAIRS) - 1}, got {wrong[0]}")
        if not self.exchange_pairs:
            raise ValueError("exchange_pairs must name at least one pair")


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
        "clip exchanged": ("hacpo_pessimistic", "naive_two_sided"),
        "α = 0, clip exchanged": ("hacpo_open", "hacpo_open_below", "hacpo_open_above"),
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
    return {
        variant.label: train_cell(config.work_dir, config.pair, variant.method, variant.config)
        for variant in tqdm(every, desc="ablations", unit="variant")
    }


def train_exchanges(config: AblationsConfig) -> Exchanged:
    """Clip and weight exchanged, on several pairs."""
    cells = list(product(EXCHANGE_WORLDS, config.exchange_pairs, ("gspo", *EXCHANGES)))
    return {
        (study.name, pair, method): train_cell(config.work_dir, pair, method, config, study)
        for study, pair, method in tqdm(cells, desc="clip and weight", unit="cell")
    }


def train_cell(
    work_dir: str, pair: int, method: str, config: StudyConfig, study: StudyWorld[Any, Any] = CHAIN
) -> dict[str, np.ndarray]:
    """One pair with one method under some settings, computed once."""
    team = PAIRS[pair]
    settings = {**config.shared_settings(), "world": study.sizes(), "team": repr(team), "method": method}
    compute = partial(train, study, team, method, config, range(config.seeds))
    return cell(Path(work_dir), f"{pair}-{method}", settings, compute)


def run(config: AblationsConfig) -> str:
    """Compute every variant, write the page; returns its table."""
    team, every = PAIRS[config.pair], variants(config)
    for variant in every:
        check_methods([variant.method], variant.config.training)
    folder = page_folder(config.output_dir, "ablations")
    arrays, exchanged = train_variants(config, every), train_exchanges(config)
    against = comparisons(arrays)
    table = ablations_table(every, arrays, against)
    plot_differences(every, against, folder / "ablations" / "differences.png", team, config)
    write_csv(every, arrays, folder / "ablations" / "ablations.csv", team)
    write_exchanges_csv(exchanged, folder / "ablations" / "exchanges.csv")
    exchanges = exchange_table(config, exchanged)
    (folder / "ablations.md").write_text(page(table, exchanges, config), encoding="utf-8")
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
            one_more, significant = against[variant.label]
            gain, improved = difference(one_more, significant), f"{one_more.improved:.0%}"
        clipped = f"{np.mean(one['clipped']):.0%}" if get_method(variant.method).shares else ""
        lines.append(f"| {variant.label} | {variant.group} | {agents} | {gain} | {improved} | {clipped} |")
    return "\n".join(lines)


def exchange_table(config: AblationsConfig, exchanged: Exchanged) -> str:
    """Clip × weight against training alone, one line a pair; Holm's correction over all of it."""
    final = {key: arrays["success"][-1].mean(0) for key, arrays in exchanged.items()}
    rows = [(study, pair) for study in EXCHANGE_WORLDS for pair in config.exchange_pairs]
    keys = [(study.name, pair, method) for study, pair in rows for method in EXCHANGES]
    found = {key: compare(final[key], final[*key[:2], "gspo"]) for key in keys}
    significant = dict(zip(keys, holm([one.p_value for one in found.values()]), strict=True))
    labels = " | ".join(get_method(method).label for method in EXCHANGES)
    lines = [f"| world | pair | GSPO | {labels} |", "|---|---|---|" + "---|" * len(EXCHANGES)]
    for study, pair in rows:
        mine = [(study.name, pair, method) for method in EXCHANGES]
        gains = " | ".join(difference(found[key], significant[key]) for key in mine)
        start = f"| {study.title} | {PAIRS[pair].name} | {final[study.name, pair, 'gspo'].mean():.3f} |"
        lines.append(f"{start} {gains} |")
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
        title=f"Token chain, {team.name}, {config.seeds} seeds, paired",
    )
    axes.grid(axis="x", alpha=0.25)
    figure.savefig(path, dpi=110)


def write_csv(every: list[Variant], arrays: Mapping[str, Mapping[str, np.ndarray]], path: Path, team: Team) -> None:
    """One line for each variant, agent and seed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["variant", "from", *BY_SEED])
        for variant in every:
            writer.writerows([variant.label, variant.group, *line] for line in by_seed(arrays[variant.label], team))


def write_exchanges_csv(exchanged: Exchanged, path: Path) -> None:
    """One line for each world, pair, method, agent and seed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["world", "pair", "method", *BY_SEED])
        for (world, pair, method), arrays in exchanged.items():
            writer.writerows([world, PAIRS[pair].name, method, *line] for line in by_seed(arrays, PAIRS[pair]))


def page(table: str, exchanges: str, config: AblationsConfig) -> str:
    """The page in Markdown."""
    team = PAIRS[config.pair]
    values = {
        "command": command("ablations", config),
        "pair": f"{team.name} ({team.heterogeneity})",
        "table": table,
        "exchanges": exchanges,
        **{key: str(value) for key, value in config.shared_settings().items()},
    }
    return Template(PAGE.read_text(encoding="utf-8")).substitute(values)


if __name__ == "__main__":
    sys.exit(main(AblationsConfig, run, __doc__))
