"""One answer cut by two tokenizers."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure

from hacrl_demos.common import BLUE, GREY, ORANGE, Values, choice, interactive_demo, read_data
from hacrl_lab.importance import sequence_importance_ratio

FIRST_ANSWER = 2
"""The number of the answer that is shown first: both agents find it about equally likely."""


def two_tokenizers_values(answer: int) -> Values:
    """How the two agents cut and find one answer, and the ratio s in both directions (Eq. 11).

    Args:
        answer: its number among ``answers`` of the data.
    """
    scored, agents = scored_answer(answer), read_data()["agents"]
    j = scored["sampler"]
    log_probs = [torch.tensor(side["log_probs"], dtype=torch.float64) for side in scored["sides"]]
    means = [values.mean() for values in log_probs]
    sampler_count = sequence_importance_ratio(log_probs[1 - j].sum() / len(log_probs[j]), means[j])
    return {
        "sampler": agents[j],
        "verdict": "right" if scored["right"] else "wrong",
        "tokens_0": len(log_probs[0]),
        "tokens_1": len(log_probs[1]),
        "total_0": float(log_probs[0].sum()),
        "total_1": float(log_probs[1].sum()),
        "mean_0": float(means[0]),
        "mean_1": float(means[1]),
        "ratio": float(sequence_importance_ratio(means[1 - j], means[j])),
        "reverse": float(sequence_importance_ratio(means[j], means[1 - j])),
        "one_count": float(sampler_count),
    }


def scored_answer(answer: int) -> dict[str, Any]:
    """One of the answers that were scored by both agents."""
    return read_data()["answers"][answer]


def answer_label(answer: int) -> str:
    """A short name for the list."""
    scored = scored_answer(answer)
    kind = "right" if scored["right"] else "wrong"
    return f"{answer + 1}: {kind}, by {read_data()['agents'][scored['sampler']]}"


def visible(token: str) -> str:
    """A token with its line break as a sign."""
    return token.replace("\n", "↵")


def draw_two_tokenizers(answer: int) -> Figure:
    """For each agent the tokens of the answer, and how unlikely it finds each of them."""
    values, scored, agents = two_tokenizers_values(answer), scored_answer(answer), read_data()["agents"]
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    for which, (axes, side, colour) in enumerate(zip(panels, scored["sides"], (BLUE, ORANGE), strict=True)):
        widths = np.array([max(len(token), 1) if token != "end" else 3 for token in side["tokens"]])
        starts = np.concatenate([[0], widths.cumsum()[:-1]])
        surprise = -np.array(side["log_probs"])
        axes.bar(starts, surprise, widths, align="edge", color=colour, alpha=0.55, edgecolor="white")
        for start, width, token in zip(starts, widths, side["tokens"], strict=True):
            axes.axvline(start, color=GREY, linewidth=0.6)
            axes.text(
                start + width / 2,
                -0.06,
                visible(token),
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="top",
                family="monospace",
                fontsize=9,
            )
        count, total, mean = (values[f"{name}_{which}"] for name in ("tokens", "total", "mean"))
        role = "wrote it" if scored["sampler"] == which else "reads it"
        text = f"{agents[which]} {role}: {count} tokens, log p = {total:.2f} nats, {mean:.3f} per token"
        axes.set_title(text, fontsize=11)
        axes.set(ylabel="−log p, nats", xlim=(0, widths.sum()))
        axes.tick_params(bottom=False, labelbottom=False)
    figure.suptitle(f"{scored['question']}  A {values['verdict']} answer, s = {values['ratio']:.3f}", fontsize=11)
    return figure


def two_tokenizers() -> widgets.VBox:
    """One answer cut by two tokenizers, and what that does to its ratio."""
    count = len(read_data()["answers"])
    labels = [(answer_label(number), number) for number in range(count)]
    return interactive_demo(draw_two_tokenizers, {"answer": choice("answer", labels, FIRST_ANSWER)})
