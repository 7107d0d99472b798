"""Check every result of the paper on problems small enough to be exact, and write the page that reports it.

    python experiments/theorems.py                     as in the repository: some minutes on two cores
    python experiments/theorems.py --problems 50 --seeds 16 --output-dir runs/theorems      a quick look

Writes theory.md and theory/*.png into the output folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from script import main
from theorem_study import alignment_map, alternatives, baselines, cost, gradients, ratios, report, windows
from theorem_study.finding import Finding
from tqdm.auto import tqdm

FINDINGS: tuple[Callable[[int], Finding], ...] = (
    baselines.theorem_4_1,
    baselines.corollary_4_2,
    baselines.own_reward,
    baselines.group_std,
    gradients.proposition_d5,
    gradients.proposition_d6,
    ratios.lemma_d10,
    gradients.theorem_d11,
    ratios.equation_45,
    ratios.retokenisation,
    ratios.remark_d2,
    ratios.concentration,
)


@dataclass(frozen=True)
class TheoremsConfig:
    """Check the paper's results exactly and write docs/theory.md with its figures."""

    problems: int = 300
    """Random problems for each setting."""
    seeds: int = 256
    """Bandits on which the sound alternatives are trained."""
    sweep_seeds: int = 64
    """Bandits for each learning rate of the sweep, and for the runs with Adam."""
    steps: int = 60
    """Training steps on the bandits."""
    output_dir: str = "docs"
    """Folder for theory.md and the folder theory/ of figures; they are written over."""

    def __post_init__(self) -> None:
        for name, least in (("problems", 2), ("seeds", 2), ("sweep_seeds", 2), ("steps", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")


def run(config: TheoremsConfig) -> str:
    """Measure, draw and write everything; returns the counterexample, to be printed."""
    page = Path(config.output_dir)
    figures = page / "theory"
    figures.mkdir(parents=True, exist_ok=True)

    with tqdm(total=len(FINDINGS) + 6 + len(alternatives.WORLDS), desc="theorems", unit="part") as bar:

        def measured(name: str, value: report.Measured) -> report.Measured:
            bar.set_postfix_str(name)
            bar.update()
            return value

        costs = measured("cost", cost.enumeration_costs(config.problems))
        findings = [measured(find.__name__, find(config.problems)) for find in FINDINGS]
        maps = measured("alignment map", alignment_map.alignment_map(config.problems))
        lengths = measured("lengths", alignment_map.misaligned_by_length(config.problems))
        worlds = {
            name: measured(name, alternatives.train_all(name, config.seeds, config.steps))
            for name in alternatives.WORLDS
        }
        swept = measured("learning rates", alternatives.sweep(config.sweep_seeds, config.steps))
        adam = measured("Adam", alternatives.train_with_adam(config.sweep_seeds, config.steps))
        slower = measured("time", alternatives.time_ratio(config.seeds, min(config.steps, 20)))

    alignment_map.plot_alignment_map(maps, config.problems, figures / "alignment_map.png")
    alignment_map.plot_misaligned_by_length(lengths, config.problems, figures / "misaligned_by_length.png")
    alignment_map.plot_cross_weight(figures / "cross_weight.png")
    windows.plot_windows(figures / "windows.png")
    cost.plot_costs(costs, config.problems, figures / "cost.png")
    alternatives.plot_alternatives(worlds, swept, config.seeds, figures / "alternatives.png")
    study = report.Study(
        config.problems, config.seeds, config.sweep_seeds, config.steps, findings, maps, worlds, adam, slower, costs
    )
    (page / "theory.md").write_text(report.write(study), encoding="utf-8")
    return f"{report.counterexample()}\n\nWritten to {page / 'theory.md'}."


if __name__ == "__main__":
    sys.exit(main(TheoremsConfig, run, __doc__))
