"""Every difference that both have: agrees, disagrees, or not resolved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from hacrl_lab.evaluation import mean_interval
from hacrl_lab.plotting import AGENT_COLOURS, new_figure, save
from hacrl_runs.paper import ablation_difference, alpha_difference, method_difference
from hacrl_runs.tables import Csv, decimals, markdown_table, with_interval
from hacrl_studies.ablations.study import REFERENCE
from hacrl_studies.common.comparison import bootstrap_interval
from hacrl_studies.common.study import Results
from hacrl_studies.common.teams import PAIRS
from hacrl_studies.common.testbeds import CHAIN, TESTBEDS
from hacrl_studies.heterogeneity.study import World
from hacrl_studies.paper_comparison.study import (
    ALPHA_0,
    ALPHA_3,
    METHODS,
    SUCCESS,
    WITHOUT_ADVANTAGE,
    WITHOUT_OMEGA,
    Options,
)

COMPARED = (
    ("HACPO", "GSPO"),
    ("HACPO", "GSPOx2"),
    ("HACPO", "Naive"),
    ("Naive", "GSPO"),
    ("GSPOx2", "GSPO"),
    ("GRPO", "GSPO"),
)
KINDS = ("state", "size", "model")


@dataclass(frozen=True)
class Row:
    """One difference."""

    claim: str
    source: str
    """Where it is in the paper."""
    paper: np.ndarray
    """Difference in the paper, of every agent: (agents,)."""
    ours: np.ndarray
    """The same difference of ours for each seed, mean over pairs and agents: (S,)."""
    world: str
    """Where ours was measured."""
    regime: str
    """How many tokens answers have there."""

    @property
    def paper_interval(self) -> tuple[float, float]:
        """95 % t interval of the mean over the paper's agents."""
        mean, half = mean_interval(self.paper)
        return mean - half, mean + half

    @property
    def our_interval(self) -> tuple[float, float]:
        """95 % bootstrap interval over seeds."""
        return bootstrap_interval(self.ours)

    @property
    def verdict(self) -> str:
        """Whether the signs agree, if both intervals exclude 0."""
        (low, high), (our_low, our_high) = self.paper_interval, self.our_interval
        paper_open, ours_open = low <= 0 <= high, our_low <= 0 <= our_high
        if paper_open or ours_open:
            whose = "both" if paper_open and ours_open else "paper's" if paper_open else "ours"
            return f"not resolved ({whose})"
        return "agrees" if (our_low > 0) == (low > 0) else "disagrees"


def rows(options: Options, results: Results) -> list[Row]:
    """Every difference that both have; the worlds of one difference follow each other."""
    by_world = [world_rows(results, world) for world in options.worlds]
    return [row for same in zip(*by_world, strict=True) for row in same] + ablation_rows(results)


def world_rows(results: Results, world: World) -> list[Row]:
    """The differences of Tables 1 and 7 in one world."""
    testbed = TESTBEDS[world]

    def row(method: str, reference: str, kind: str | None = None) -> Row:
        names = [pair.name for pair in PAIRS if kind in (None, pair.heterogeneity)]
        first, second = ([results[world, n, METHODS[label]][SUCCESS] for n in names] for label in (method, reference))
        ours = np.mean([a - b for a, b in zip(first, second, strict=True)], axis=0)
        claim = f"{method} − {reference}" + (f", {kind}" if kind else "")
        theirs = method_difference(method, reference, kind)
        return Row(claim, "Tables 1, 7", theirs, ours, testbed.title, testbed.answers)

    return [*(row(*pair) for pair in COMPARED), *(row("HACPO", "GSPO", kind) for kind in KINDS)]


def ablation_rows(results: Results) -> list[Row]:
    """The differences of Tables 2 to 4, on the token chain."""

    def without(label: str) -> np.ndarray:
        return results[REFERENCE][SUCCESS] - results[label][SUCCESS]

    differences = (
        (f"HACPO − ({WITHOUT_ADVANTAGE})", "Table 2", ablation_difference("2"), without(WITHOUT_ADVANTAGE)),
        (f"HACPO − ({WITHOUT_OMEGA})", "Table 3", ablation_difference("3"), without(WITHOUT_OMEGA)),
        ("α = 1 − α = 0", "Table 4", alpha_difference("1", "0"), without(ALPHA_0)),
        ("α = 3 − α = 1", "Table 4", alpha_difference("3", "1"), -without(ALPHA_3)),
    )
    return [Row(*difference, CHAIN.title, CHAIN.answers) for difference in differences]


def score(options: Options, results: Results) -> dict[str, float]:
    """How many differences agree, disagree and are not resolved."""
    verdicts = [row.verdict for row in rows(options, results)]
    counts = {word: float(verdicts.count(word)) for word in ("agrees", "disagrees")}
    return {**counts, "not resolved": len(verdicts) - sum(counts.values())}


def tables(options: Options, results: Results) -> dict[str, str]:
    """The placeholders of the page."""
    counts = ", ".join(f"{word} in {int(count)}" for word, count in score(options, results).items())
    seeds = str(len(results[REFERENCE][SUCCESS]))
    return {"differences": differences_table(rows(options, results)), "counts": counts, "seeds": seeds}


def differences_table(compared: list[Row]) -> str:
    """A difference is named once for all worlds."""
    lines, named = [], ""
    for row in compared:
        paper = with_interval(float(row.paper.mean()), row.paper_interval, "+.3f")
        ours = with_interval(float(row.ours.mean()), row.our_interval, "+.3f")
        head = [row.claim, row.source, paper] if row.claim != named else ["", "", ""]
        verdict = f"**{row.verdict}**" if row.verdict == "disagrees" else row.verdict
        lines.append([*head, row.world, row.regime, ours, verdict])
        named = row.claim
    header = ["difference", "where", "paper [95 %], answers of hundreds to thousands of tokens", "world"]
    return markdown_table([*header, "regime: tokens of an answer", "ours [95 %]", "verdict"], lines)


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each difference and world."""
    sides = ("paper", "paper_low", "paper_high", "ours", "ours_low", "ours_high")
    lines = []
    for row in rows(options, results):
        numbers = [row.paper.mean(), *row.paper_interval, row.ours.mean(), *row.our_interval]
        lines.append([row.claim, row.source, row.world, row.regime, *decimals(numbers), row.verdict])
    return {"paper_comparison.csv": (["difference", "source", "world", "answer_tokens", *sides, "verdict"], lines)}


def figures(options: Options, results: Results, folder: Path) -> None:
    """The paper's differences and ours with their intervals, side by side since their sizes cannot be compared."""
    compared = rows(options, results)
    claims = list({row.claim: None for row in compared})
    worlds = list({row.world: None for row in compared})
    figure = new_figure(1.4 + 0.45 * len(claims))
    theirs, mine = figure.subplots(1, 2, sharey=True)
    for row in compared:
        height, which = claims.index(row.claim), worlds.index(row.world)
        shift = 0.22 * (which - (len(worlds) - 1) / 2)
        _draw(theirs, float(row.paper.mean()), row.paper_interval, height, "black")
        _draw(mine, float(row.ours.mean()), row.our_interval, height + shift, AGENT_COLOURS[which])
    for axes, title in ((theirs, "paper: share of problems solved"), (mine, "ours: success after training")):
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(title=title, xlabel="difference, 95 % interval")
        axes.title.set_fontsize(11)
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x", alpha=0.25)
    theirs.set_yticks(range(len(claims)), claims)
    theirs.invert_yaxis()
    for which, world in enumerate(worlds):
        mine.plot([], [], "o", color=AGENT_COLOURS[which], label=world)
    figure.legend(*mine.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    seeds = len(results[REFERENCE][SUCCESS])
    figure.suptitle(f"Intervals over the paper's agents and over our {seeds} seeds", fontsize=11)
    save(figure, folder / "differences.png")


def _draw(axes: Axes, mean: float, interval: tuple[float, float], height: float, colour: str) -> None:
    low, high = interval
    axes.errorbar(mean, height, xerr=[[mean - low], [high - mean]], fmt="o", markersize=4, capsize=2, color=colour)
