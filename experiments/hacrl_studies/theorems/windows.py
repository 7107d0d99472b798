"""Remark D.2 drawn: how the dependence of ω on the current batch fades, and how ω itself settles."""

from __future__ import annotations

from pathlib import Path

from hacrl_lab.plotting import AGENT_COLOURS, new_figure, save
from hacrl_studies.theorems.ratios import ANSWERS, CAPABILITIES, with_current

WINDOWS = (1, 2, 4, 8, 16)


def plot_windows(path: Path) -> None:
    """|Cov(ω, R̄_j)| and the standard deviation of ω against K, exact and to first order."""
    laws = [with_current(window) for window in WINDOWS]
    (p_k, p_j), ratio = CAPABILITIES, CAPABILITIES[0] / CAPABILITIES[1]
    covariance = [ratio / p_j * p_j * (1 - p_j) / (ANSWERS * window) for window in WINDOWS]
    spread = ((1 - p_k) / p_k + (1 - p_j) / p_j) ** 0.5
    std = [ratio * spread / (ANSWERS * window) ** 0.5 for window in WINDOWS]

    figure = new_figure(4.4)
    axes = figure.subplots()
    for colour, label, exact, first_order in (
        (AGENT_COLOURS[0], "standard deviation of ω", [law.omega_std for law in laws], std),
        (AGENT_COLOURS[1], "|Cov(ω, R̄_j)|, current batch in the window", [-law.dependence for law in laws], covariance),
    ):
        axes.loglog(WINDOWS, exact, color=colour, marker="o", label=f"{label}: exact")
        axes.loglog(WINDOWS, first_order, color=colour, linestyle=":", label="to first order")
    axes.set(
        title=f"Success {p_k} and {p_j}, {ANSWERS} answers a step; without the current batch the covariance is 0",
        xlabel="window K, steps",
        ylabel="standard deviation, |covariance|",
        xticks=WINDOWS,
        xticklabels=[str(window) for window in WINDOWS],
    )
    axes.title.set_fontsize(11)
    axes.minorticks_off()
    axes.grid(alpha=0.25, which="both")
    axes.legend(fontsize=9)
    save(figure, path)
