"""Our findings beside the paper's: agrees, disagrees, or not resolved.

    python experiments/heterogeneity.py && python experiments/ablations.py && python experiments/results.py

The paper's numbers are those of ``experiments/paper/``, single runs of language models on mathematics; ours are exact
success on the token chain, many seeds. What can be compared is the sign of a difference. Writes results.md; cells that
are not yet in the work folders are trained.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ablations import AblationsConfig, train_variants, variants
from heterogeneity import HeterogeneityConfig, train_teams
from script import main
from study.statistics import bootstrap_interval
from study.teams import PAIRS

PAPER = Path(__file__).with_name("paper")
PAPER_PAIRS = {
    "Qwen3-4B + Qwen3-4B-Instruct": "state",
    "Qwen3-1.7B-Base + Qwen3-4B-Base": "size",
    "Qwen3-4B-Base + Qwen3-8B-Base": "size",
    "Llama3.2-1B-Instruct + Llama3.2-3B-Instruct": "size",
    "Qwen3-1.7B-Base + Llama3.2-1B-Instruct": "model",
    "Qwen3-4B-Base + Llama3.2-3B-Instruct": "model",
}
OURS = {"GRPO": "grpo", "GSPO": "gspo", "GSPOx2": "gspo_x2", "Naive": "naive", "HACPO": "hacpo"}


@dataclass(frozen=True)
class ResultsConfig:
    """Put our findings beside the paper's."""

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
    paper: float
    """Difference in the paper, mean over pairs and agents."""
    ours: np.ndarray
    """The same difference of ours for each seed, mean over pairs and agents: (S,)."""

    def verdict(self, low: float, high: float) -> str:
        """By the sign of the paper's difference and our interval."""
        if low <= 0 <= high:
            return "not resolved"
        return "agrees" if (low > 0) == (self.paper > 0) else "**disagrees**"


def read_paper(name: str) -> list[dict[str, str]]:
    """The lines of one of the paper's tables."""
    with (PAPER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def paper_difference(method: str, reference: str, kind: str | None = None) -> float:
    """Mean over pairs and agents of a difference in Tables 1 and 7, average over the seven benchmarks."""
    lines = [line for line in read_paper("paper_results.csv") if line["table"] in ("1", "7")]
    value = {(line["pair"], line["agent"], line["method"]): float(line["avg"]) for line in lines}
    pairs = [pair for pair, its_kind in PAPER_PAIRS.items() if kind in (None, its_kind)]
    agents = {(pair, agent) for pair, agent, _ in value if pair in pairs}
    return float(np.mean([value[*one, method] - value[*one, reference] for one in agents]))


def ablation_difference(table: str, column: str = "avg") -> float:
    """HACPO minus the ablation of Table 2 or 3, mean over the agents of its pair."""
    lines = read_paper("paper_results.csv")
    ablated = [float(line[column]) for line in lines if line["table"] == table]
    pair = next(line["pair"] for line in lines if line["table"] == table)
    whole = [line for line in lines if line["table"] == "1" and line["pair"] == pair and line["method"] == "HACPO"]
    return float(np.mean([float(line[column]) for line in whole]) - np.mean(ablated))


def alpha_difference(alpha: str, reference: str) -> float:
    """MATH-500 with one α minus with another, mean over the pairs and agents of Table 4."""
    lines = read_paper("paper_alpha.csv")
    values = {a: [float(line["math500"]) for line in lines if line["alpha"] == a] for a in (alpha, reference)}
    return float(np.mean(values[alpha]) - np.mean(values[reference]))


def rows(config: ResultsConfig) -> list[Row]:
    """Every difference that both have."""
    teams = train_teams(HeterogeneityConfig(work_dir=config.heterogeneity_work_dir), PAIRS)
    ablation_config = AblationsConfig(work_dir=config.ablations_work_dir)
    ablated = train_variants(ablation_config, variants(ablation_config))

    def ours(method: str, reference: str, kind: str | None = None) -> np.ndarray:
        pairs = [pair for pair in PAIRS if kind in (None, pair.heterogeneity)]
        parts = [_final(teams, (p.name, OURS[method])) - _final(teams, (p.name, OURS[reference])) for p in pairs]
        return np.mean(parts, axis=0)

    def without(label: str, reference: str = "HACPO") -> np.ndarray:
        return _final(ablated, reference) - _final(ablated, label)

    overall = (("HACPO", "GSPO"), ("HACPO", "GSPOx2"), ("HACPO", "Naive"), ("Naive", "GSPO"), ("GSPOx2", "GSPO"))
    found = [
        Row(f"{a} − {b}", "Tables 1, 7", paper_difference(a, b), ours(a, b)) for a, b in (*overall, ("GRPO", "GSPO"))
    ]
    for kind in ("state", "size", "model"):
        paper = paper_difference("HACPO", "GSPO", kind)
        found.append(Row(f"HACPO − GSPO, {kind}", "Tables 1, 7", paper, ours("HACPO", "GSPO", kind)))
    return [
        *found,
        Row("HACPO − (HACPO − advantage)", "Table 2", ablation_difference("2"), without("HACPO − advantage")),
        Row("HACPO − (HACPO − ω)", "Table 3", ablation_difference("3"), without("HACPO − ω")),
        Row("α = 1 − α = 0", "Table 4", alpha_difference("1", "0"), without("HACPO, α = 0")),
        Row("α = 3 − α = 1", "Table 4", alpha_difference("3", "1"), -without("HACPO, α = 3")),
    ]


def _final(results: Mapping[Any, Mapping[str, np.ndarray]], key: object) -> np.ndarray:
    """Success after training, mean over the agents: (S,)."""
    return results[key]["success"][-1].mean(0)


def results_table(found: list[Row]) -> str:
    """Markdown."""
    lines = ["| difference | paper | where | ours [95 %] | verdict |", "|---|---|---|---|---|"]
    for row in found:
        low, high = bootstrap_interval(row.ours)
        ours = f"{row.ours.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        lines.append(f"| {row.claim} | {row.paper:+.3f} | {row.source} | {ours} | {row.verdict(low, high)} |")
    return "\n".join(lines)


def page(table: str, seeds: int) -> str:
    """The page in Markdown."""
    return f"""# Our findings beside the paper's

*Written by `python experiments/results.py` from the runs of [heterogeneity.md](heterogeneity.md) and
[ablations.md](ablations.md): {seeds} seeds of the token chain.*

The paper trains language models on mathematics and reports single runs; its column is the difference in the share of
problems solved, mean over its pairs, agents and seven benchmarks (Table 4: MATH-500). Ours is the difference in exact
success on the token chain, mean over our six pairs (ablations: one pair), with a 95 % bootstrap interval over seeds.
The sizes cannot be compared; the signs can. *Agrees* and *disagrees*: our interval excludes 0 on the paper's side or on
the other. *Not resolved*: it contains 0. The intervals are not corrected for the number of rows.

{table}

The largest disagreement is about plain pooling. In the paper Naive is far below training alone, here it is the best use
of the rollouts that were generated. On the token chain an answer has two to four tokens, and pooling is clipped by
GSPO's bounds (ε = 0.2 here, 3e-4 in the paper): this is a statement about this world and these settings, not theirs.
"""


def run(config: ResultsConfig) -> str:
    """Write the page; returns its table."""
    found = rows(config)
    table = results_table(found)
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text(page(table, len(found[0].ours)), encoding="utf-8")
    return table


if __name__ == "__main__":
    sys.exit(main(ResultsConfig, run, __doc__))
