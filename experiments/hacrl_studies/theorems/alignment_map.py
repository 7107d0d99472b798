"""Where the two parts of HACPO's gradient agree: policy correlation × α × clipping, and the length of a response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from hacrl_lab.plotting import AGENT_COLOURS, new_figure, save
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.gradients import Alignment, CrossWeight
from hacrl_lab.theory.problems import draw_problems
from hacrl_studies.common.figures import label_line_ends
from hacrl_studies.theorems.gradients import align, draw_alignment_problems

CORRELATIONS = (-0.5, 0.0, 0.5, 0.9, 0.99)
ALPHAS = (0.0, 1.0, 2.0, 3.0, 4.0)
LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12)
CLIPS = {
    "no clip": {},
    "HACPO: clip to [0.8, 1]": {"low": 0.8, "high": 1.0},
    "capped: [0.8, ∞), weight ≤ 1": {"low": 0.8, "cap": 1.0},
}


@dataclass(frozen=True)
class Cells:
    """What many problems show for each α and correlation: arrays (α, correlation)."""

    cosine: np.ndarray
    """Mean cosine of the two gradients."""
    misaligned: np.ndarray
    """Share of problems in which they oppose each other."""
    hypothesis: np.ndarray
    """Share of problems in which Assumption D.12 holds."""


def alignment_map(problems: int) -> dict[str, Cells]:
    """The map of each clip, by name."""
    drawn = [draw_alignment_problems(problems, rho) for rho in CORRELATIONS]
    maps = {}
    for name, clip in CLIPS.items():
        cells = [[_summary(align(problem, CrossWeight(alpha, **clip))) for problem in drawn] for alpha in ALPHAS]
        maps[name] = Cells(*np.moveaxis(np.array(cells), -1, 0))
    return maps


def misaligned_by_length(problems: int) -> dict[float, list[float]]:
    """By α: share of misaligned problems for each length; two unrelated coins tossed that many times, no clip."""
    drawn = [draw_problems(problems, ResponseSpace(2, length), correlation=0.0, rows=1) for length in LENGTHS]
    return {alpha: [_summary(align(problem, CrossWeight(alpha)))[1] for problem in drawn] for alpha in ALPHAS[:-1]}


def _summary(result: Alignment) -> tuple[float, float, float]:
    """Mean cosine (0 where ∇J_hete is 0), share of opposed gradients, share in which D.12 holds."""
    cosine = result.cosine.nan_to_num()
    return float(cosine.mean()), _share(cosine < -1e-12), _share(result.covariance > 0)


def _share(condition: Tensor) -> float:
    return float(condition.double().mean())


def plot_alignment_map(maps: dict[str, Cells], problems: int, path: Path) -> None:
    """One panel for each clip: colour is the mean cosine, the number the share of misaligned problems."""
    figure = new_figure(4.4)
    panels: Sequence[Axes] = figure.subplots(1, len(maps), sharey=True)
    for axes, (name, cells) in zip(panels, maps.items(), strict=True):
        axes.imshow(cells.cosine, vmin=0, vmax=1, cmap="cividis", origin="lower", aspect="auto")
        for (row, column), share in np.ndenumerate(cells.misaligned):
            cosine = cells.cosine[row, column]
            colour = "white" if cosine < 0.6 else "black"
            text = f"{cosine:.2f}\n{share:.0%}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
        axes.set_title(name.replace(": ", ":\n"), fontsize=10)
        axes.set_xlabel("correlation of logits")
        axes.set_xticks(range(len(CORRELATIONS)), [f"{rho:g}" for rho in CORRELATIONS])
        axes.set_yticks(range(len(ALPHAS)), [f"{alpha:g}" for alpha in ALPHAS])
    panels[0].set_ylabel("α")
    figure.colorbar(panels[0].images[0], ax=list(panels), label="mean cosine of ∇J_hete and ∇J_homo")
    figure.suptitle(
        f"Mean cosine of cross and self gradients, and share of {problems} problems in which they\noppose each other "
        "(responses of 5 tokens, 4 symbols)",
        fontsize=11,
    )
    save(figure, path)


def plot_misaligned_by_length(shares: dict[float, list[float]], problems: int, path: Path) -> None:
    """Share of misaligned problems against the response's length, one line for each α."""
    figure = new_figure(4.4)
    axes = figure.subplots()
    for colour, (alpha, values) in zip(AGENT_COLOURS, shares.items(), strict=False):
        axes.plot(LENGTHS, values, color=colour, marker="o", label=f"α = {alpha:g}")
    axes.set(
        title=f"Two coins, tossed |y| times: at |y| = α + 1 the gradients are parallel\n({problems} problems, no clip)",
        xlabel="tokens in a response, |y|",
        ylabel="share of misaligned problems",
        ylim=(-0.01, None),
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    label_line_ends(figure, [axes])
    save(figure, path)


def plot_cross_weight(path: Path) -> None:
    """How much a cross rollout's gradient counts against its ratio s: no clip, clip and cap."""
    figure = new_figure(4)
    axes = figure.subplots()
    ratios = torch.linspace(0.4, 1.8, 1401, dtype=torch.float64)
    for colour, style, (name, clip) in zip(AGENT_COLOURS, (":", "-", "--"), CLIPS.items(), strict=False):
        axes.plot(ratios, CrossWeight(1.0, **clip)(ratios), color=colour, linestyle=style, label=name, linewidth=2)
    axes.set(
        title="Gradient weight of a cross rollout, α = 1, δ = 0.2, m = 0",
        xlabel="importance ratio s (learner's / sampler's probability, per token)",
        ylabel="weight w(s)",
        ylim=(-0.05, 2),
    )
    axes.grid(alpha=0.25)
    axes.legend()
    save(figure, path)
