"""Our findings beside the paper's: agrees, disagrees, or not resolved.

    python experiments/results.py
    python experiments/results.py --worlds chain

The paper's numbers are those of ``experiments/paper/``, single runs of language models on mathematics; ours are success
in small worlds, many seeds. What can be compared is the sign of a difference. Writes results.md from the runs of
heterogeneity.py and ablations.py; what is not yet in their work folders is trained (the lake takes half an hour).
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from ablations import AblationsConfig, train_variants, variants
from heterogeneity import HeterogeneityConfig, World, train_teams
from script import command, main, page_folder
from study.statistics import bootstrap_interval
from study.teams import PAIRS
from study.worlds import CHAIN, WORLDS

from hacrl_lab.evaluation import mean_interval

PAPER = Path(__file__).with_name("paper")
PAPER_PAIRS = {
    "Qwen3-4B + Qwen3-4B-Instruct": "state",
    "Qwen3-1.7B-Base + Qwen3-4B-Base": "size",
    "Qwen3-4B-Base + Qwen3-8B-Base": "size",
    "Llama3.2-1B-Instruct + Llama3.2-3B-Instruct": "size",
    "Qwen3-1.7B-Base + Llama3.2-1B-Instruct": "model",
    "Qwen3-4B-Base + Llama3.2-3B-Instruct": "model",
}
PAGE = PAPER / "results_page.md"
SETTINGS: dict[str, dict[str, int]] = {"lake": {"prompts_per_step": 8}}
"""What a world's page was made with, where it is not the default."""
OURS = {"GRPO": "grpo", "GSPO": "gspo", "GSPOx2": "gspo_x2", "Naive": "naive", "HACPO": "hacpo"}


@dataclass(frozen=True)
class ResultsConfig:
    """Put our findings beside the paper's."""

    worlds: tuple[World, ...] = ("chain", "bandit", "lake")
    """Worlds of heterogeneity.py."""
    heterogeneity_work_dir: str = "runs/heterogeneity"
    """Work folder of heterogeneity.py."""
    ablations_work_dir: str = "runs/ablations"
    """Work folder of ablations.py."""
    output_dir: str = "docs"
    """Folder for results.md."""


@dataclass(frozen=True)
class Row:
    """One difference."""

    claim: str
    source: str
    paper: np.ndarray
    """Difference in the paper, of every agent: (agents,)."""
    ours: np.ndarray
    """The same difference of ours for each seed, mean over pairs and agents: (S,)."""
    world: str = CHAIN.title
    """Where ours was measured."""

    @property
    def paper_interval(self) -> tuple[float, float]:
        """95 % t interval of the mean over the paper's agents."""
        mean, half = mean_interval(self.paper)
        return mean - half, mean + half

    @property
    def verdict(self) -> str:
        """By sign, if both intervals exclude 0."""
        (low, high), (ours_low, ours_high) = self.paper_interval, bootstrap_interval(self.ours)
        paper_open, ours_open = low <= 0 <= high, ours_low <= 0 <= ours_high
        if paper_open or ours_open:
            whose = "both" if paper_open and ours_open else "paper's" if paper_open else "ours"
            return f"not resolved ({whose})"
        return "agrees" if (ours_low > 0) == (low > 0) else "**disagrees**"


def read_paper(name: str) -> list[dict[str, str]]:
    """The lines of one of the paper's tables."""
    with (PAPER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def paper_difference(method: str, reference: str, kind: str | None = None) -> np.ndarray:
    """A difference in Tables 1 and 7, average over the seven benchmarks, of every agent of every pair: (agents,)."""
    lines = [line for line in read_paper("paper_results.csv") if line["table"] in ("1", "7")]
    value = {(line["pair"], line["agent"], line["method"]): float(line["avg"]) for line in lines}
    pairs = [pair for pair, its_kind in PAPER_PAIRS.items() if kind in (None, its_kind)]
    agents = {(pair, agent): None for pair, agent, _ in value if pair in pairs}
    return np.array([value[*one, method] - value[*one, reference] for one in agents])


def ablation_difference(table: str) -> np.ndarray:
    """HACPO minus the ablation of Table 2 or 3, of every agent of its pair: (agents,)."""
    lines = read_paper("paper_results.csv")
    ablated = {(line["pair"], line["agent"]): float(line["avg"]) for line in lines if line["table"] == table}
    whole = [line for line in lines if line["table"] == "1" and line["method"] == "HACPO"]
    values = {(line["pair"], line["agent"].removesuffix("-Base")): float(line["avg"]) for line in whole}
    return np.array([values[one] - ablated[one] for one in ablated])


def alpha_difference(alpha: str, reference: str) -> np.ndarray:
    """MATH-500 with one α minus with another, of every agent of every pair of Table 4: (agents,)."""
    lines = read_paper("paper_alpha.csv")
    values = {(line["pair"], line["agent"], line["alpha"]): float(line["math500"]) for line in lines}
    agents = {(pair, agent): None for pair, agent, _ in values}
    return np.array([values[*one, alpha] - values[*one, reference] for one in agents])


def rows(config: ResultsConfig) -> list[Row]:
    """Every difference that both have."""
    by_world = [world_rows(config, world) for world in config.worlds]
    return [row for same in zip(*by_world, strict=True) for row in same] + ablation_rows(config)


def world_rows(config: ResultsConfig, world: World) -> list[Row]:
    """The differences of Tables 1 and 7 in one world."""
    work = config.heterogeneity_work_dir
    teams = train_teams(replace(HeterogeneityConfig(world=world, work_dir=work), **SETTINGS.get(world, {})), PAIRS)

    def row(method: str, reference: str, kind: str | None = None) -> Row:
        pairs = [pair for pair in PAIRS if kind in (None, pair.heterogeneity)]
        parts = [_final(teams, (p.name, OURS[method])) - _final(teams, (p.name, OURS[reference])) for p in pairs]
        claim = f"{method} − {reference}" + (f", {kind}" if kind else "")
        paper = paper_difference(method, reference, kind)
        return Row(claim, "Tables 1, 7", paper, np.mean(parts, axis=0), WORLDS[world].title)

    overall = (("HACPO", "GSPO"), ("HACPO", "GSPOx2"), ("HACPO", "Naive"), ("Naive", "GSPO"), ("GSPOx2", "GSPO"))
    kinds = [row("HACPO", "GSPO", kind) for kind in ("state", "size", "model")]
    return [*(row(*one) for one in (*overall, ("GRPO", "GSPO"))), *kinds]


def ablation_rows(config: ResultsConfig) -> list[Row]:
    """The differences of Tables 2 to 4, on the token chain."""
    settings = AblationsConfig(work_dir=config.ablations_work_dir)
    ablated = train_variants(settings, variants(settings))

    def without(label: str) -> np.ndarray:
        return _final(ablated, "HACPO") - _final(ablated, label)

    return [
        Row("HACPO − (HACPO − advantage)", "Table 2", ablation_difference("2"), without("HACPO − advantage")),
        Row("HACPO − (HACPO − ω)", "Table 3", ablation_difference("3"), without("HACPO − ω")),
        Row("α = 1 − α = 0", "Table 4", alpha_difference("1", "0"), without("HACPO, α = 0")),
        Row("α = 3 − α = 1", "Table 4", alpha_difference("3", "1"), -without("HACPO, α = 3")),
    ]


def _final(results: Mapping[Any, Mapping[str, np.ndarray]], key: object) -> np.ndarray:
    """Success after training, mean over the agents: (S,)."""
    return results[key]["success"][-1].mean(0)


def results_table(found: list[Row]) -> str:
    """Markdown; a difference is named once for all worlds."""
    lines = ["| difference | where | paper [95 %] | world | ours [95 %] | verdict |", "|---|---|---|---|---|---|"]
    named = ""
    for row in found:
        paper = _with_interval(row.paper.mean(), *row.paper_interval)
        ours = _with_interval(row.ours.mean(), *bootstrap_interval(row.ours))
        head = f"{row.claim} | {row.source} | {paper}" if row.claim != named else " | | "
        lines.append(f"| {head} | {row.world} | {ours} | {row.verdict} |")
        named = row.claim
    return "\n".join(lines)


def _with_interval(mean: float, low: float, high: float) -> str:
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def write_csv(found: list[Row], path: Path) -> None:
    """One line for each difference and world."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        sides = ("paper", "paper_low", "paper_high", "ours", "ours_low", "ours_high")
        writer.writerow(["difference", "source", "world", *sides, "verdict"])
        for row in found:
            numbers = [row.paper.mean(), *row.paper_interval, row.ours.mean(), *bootstrap_interval(row.ours)]
            verdict = row.verdict.strip("*")
            writer.writerow([row.claim, row.source, row.world, *(f"{number:.6f}" for number in numbers), verdict])


def page(found: list[Row], config: ResultsConfig) -> str:
    """The page in Markdown."""
    text = PAGE.read_text(encoding="utf-8")
    seeds = str(len(found[0].ours))
    return Template(text).substitute(table=results_table(found), seeds=seeds, command=command("results", config))


def run(config: ResultsConfig) -> str:
    """Write the page; returns its table."""
    folder = page_folder(config.output_dir, "results")
    found = rows(config)
    write_csv(found, folder / "results" / "results.csv")
    (folder / "results.md").write_text(page(found, config), encoding="utf-8")
    return results_table(found)


if __name__ == "__main__":
    sys.exit(main(ResultsConfig, run, __doc__))
