"""Five pieces to move by hand: each is a function that returns an ipywidgets widget below its picture.

Every piece has three parts: ``NAME_values`` computes the numbers with the library, ``draw_NAME`` draws them, ``NAME()``
adds the controls. The picture is an ordinary output of the cell, so that it is there without a running kernel, too.
The pages under ``docs/interactive/`` show the same numbers in the browser.

Measured ratios and scored answers come from ``docs/_static/interactive/data.js``, which ``tools/interactive.py``
writes; what long answers gain comes from ``results/long_answers/passing.csv``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from hacrl_lab.advantages import (
    capability_aware_baseline,
    capability_aware_mean,
    group_advantages,
    group_mean_baseline,
)
from hacrl_lab.capability import CapabilityTracker, capability_ratio_matrix
from hacrl_lab.importance import (
    exponential_weight,
    hard_clip,
    sequence_importance_ratio,
    stepwise_lower_bound,
)
from hacrl_lab.plotting import AGENT_COLOURS
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.gradients import CrossWeight, alignment, hete_gradient, homo_gradient, oracle_advantages
from hacrl_lab.theory.gradients import same_for_all as same_advantages
from hacrl_lab.theory.passing import crossing_length, smallest_weight, token_budget
from hacrl_lab.theory.problems import Problem

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "_static" / "interactive" / "data.js"
PASSING = ROOT / "results" / "long_answers" / "passing.csv"
DATA_HEAD, DATA_TAIL = "window.hacrlData = ", ";\n"

BLUE, ORANGE, GREEN = AGENT_COLOURS[:3]
GREY = AGENT_COLOURS[7]
Values = dict[str, float | int | str]
"""What a piece shows, by name."""


@cache
def read_data() -> dict[str, Any]:
    """The numbers that ``tools/interactive.py`` wrote."""
    return json.loads(DATA.read_text(encoding="utf-8").removeprefix(DATA_HEAD).removesuffix(DATA_TAIL))


def _piece(draw: Callable[..., Figure], controls: Mapping[str, widgets.ValueWidget]) -> widgets.VBox:
    """The picture as an output of the cell, and the controls that draw it anew."""

    def picture() -> Image:
        buffer = io.BytesIO()
        draw(**{name: control.value for name, control in controls.items()}).savefig(buffer, format="png", dpi=100)
        return Image(data=buffer.getvalue(), format="png")

    handle = display(picture(), display_id=True)

    def redraw(_: object) -> None:
        handle.update(picture())

    for control in controls.values():
        control.observe(redraw, names="value")
    return widgets.VBox(list(controls.values()))


def _slider(label: str, value: float, low: float, high: float, step: float) -> widgets.ValueWidget:
    """A slider of whole numbers if the step is one, else of decimals; it draws anew when it is let go."""
    look: dict[str, Any] = {"description": label, "style": {"description_width": "170px"}, "layout": {"width": "480px"}}
    kind = widgets.IntSlider if isinstance(step, int) else widgets.FloatSlider
    return kind(value=value, min=low, max=high, step=step, continuous_update=False, **look)


def _choice(label: str, options: Sequence[tuple[str, Any]], value: Any) -> widgets.ValueWidget:
    """A list to choose from."""
    look: dict[str, Any] = {"style": {"description_width": "170px"}, "layout": {"width": "480px"}}
    return widgets.Dropdown(description=label, options=list(options), value=value, **look)


# cross_weight -------------------------------------------------------------------------------------------------------

LONGEST_RATIO = 1.6
"""The right end of the axis of ratios; what lies beyond it is drawn in the last bin."""


def cross_weight_values(source: str, alpha: float, delta: float, delta_step: float, updates: int) -> Values:
    """What the clip of cross rollouts leaves of one source of measured ratios (Eq. 12-14).

    Args:
        source: a name among ``ratios`` of the data.
        alpha, delta, delta_step: α, δ, δ_step.
        updates: m, updates already made in the step.
    """
    low = stepwise_lower_bound(delta, delta_step, updates)
    right, wrong = source_ratios(source)
    ratio = torch.cat([right, wrong])
    weight = CrossWeight(alpha, low, high=1.0)
    return {
        "bound": low,
        "below": _share(ratio < low),
        "within": _share((ratio >= low) & (ratio <= 1)),
        "above": _share(ratio > 1),
        "within_right": _share(weight(right) > 0),
        "within_wrong": _share(weight(wrong) > 0),
        "mean_weight": float(weight(ratio).mean()),
        "smallest_weight": smallest_weight(token_budget(delta, delta_step, updates), alpha),
    }


def source_ratios(source: str) -> tuple[Tensor, Tensor]:
    """Measured ratios of right and of wrong answers, float64."""
    found = read_data()["ratios"][source]
    return tuple(torch.tensor(found[kind], dtype=torch.float64) for kind in ("right", "wrong"))  # type: ignore[return-value]


def cross_weight_curves(alpha: float, delta: float, delta_step: float, updates: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ratios s, the term c·sg(c)^α of the objective with c = clip(s), and the weight of its gradient."""
    low = stepwise_lower_bound(delta, delta_step, updates)
    ratio = torch.linspace(0.01, LONGEST_RATIO, 160, dtype=torch.float64)
    counted = hard_clip(ratio, torch.ones_like(ratio), low, 1.0)
    return ratio, counted * exponential_weight(counted, alpha), CrossWeight(alpha, low, high=1.0)(ratio)


def draw_cross_weight(source: str, alpha: float, delta: float, delta_step: float, updates: int) -> Figure:
    """Above the measured ratios, below what each of them counts."""
    found = cross_weight_values(source, alpha, delta, delta_step, updates)
    ratio = torch.cat(source_ratios(source)).clamp_max(LONGEST_RATIO - 1e-9).numpy()
    figure = Figure(figsize=(7.5, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    edges = np.linspace(0, LONGEST_RATIO, 33)
    inside = (ratio >= found["bound"]) & (ratio <= 1)
    parts = [ratio[inside], ratio[~inside]]
    above.hist(parts, edges, stacked=True, color=[BLUE, GREY], label=["keeps its gradient", "clipped, no gradient"])
    above.set(
        ylabel="answers",
        title=f"{source}: {found['within']:.0%} keep their gradient, {found['below']:.0%} are "
        f"below {found['bound']:.3g}, {found['above']:.0%} above 1",
    )
    above.legend()
    s, term, weight = cross_weight_curves(alpha, delta, delta_step, updates)
    below.plot(s, term, "--", color=ORANGE, label="term of the objective, c·sg(c)^α")
    below.plot(s, weight, color=BLUE, label="weight of the gradient, s^(1+α) inside the bounds, else 0")
    below.set(xlabel="importance ratio s of the other agent's answer", ylabel="times the advantage", ylim=(-0.03, 1.5))
    below.legend(loc="upper left")
    _finish(above, below)
    return figure


def cross_weight() -> widgets.VBox:
    """How α, δ, δ_step and m decide what another agent's answer counts."""
    sources = list(read_data()["ratios"])
    return _piece(
        draw_cross_weight,
        {
            "source": _choice("measured ratios", [(name, name) for name in sources], sources[-1]),
            "alpha": _slider("α", 1.0, 0.0, 4.0, 0.5),
            "delta": _slider("δ", 0.2, 0.05, 0.8, 0.05),
            "delta_step": _slider("δ_step", 0.025, 0.0, 0.05, 0.005),
            "updates": _slider("m, updates made", 0, 0, 7, 1),
        },
    )


# long_answers -------------------------------------------------------------------------------------------------------

DELTA, DECISIVE = 0.2, 2
"""The settings of the measured grid."""
ANSWER_LENGTHS = (3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256)
SKILLS = {"known somewhat": 0.6, "not known": 0.0, "misread": -1.0}
"""How well the learner knows the skills that only the sampler was taught."""
STYLES = (0.2, 0.35, 0.45, 0.6)
"""Style distances of the measured grid."""
LABEL_SHIFTS = {0.2: 2, 0.35: -9}
"""In points, for labels at the ends of lines that end close together."""


@cache
def passing_grid() -> dict[tuple[float, float], dict[str, np.ndarray]]:
    """By style distance and knowledge, the columns of ``results/long_answers/passing.csv``; nan where not measured."""
    places: dict[tuple[float, float], list[dict[str, str]]] = {}
    with PASSING.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            places.setdefault((float(row["style_distance"]), float(row["other"])), []).append(row)
    columns = ("tokens", "kappa", "deficit", "predicted", "measured", "hacpo_minus_gspo")
    return {
        place: {name: np.array([float(row[name] or "nan") for row in rows]) for name in columns}
        for place, rows in places.items()
    }


def long_answers_values(length: int, style: float, skills: str) -> Values:
    """What passes and what HACPO gains at a place of the measured grid, δ = 0.2, before the first update.

    Between measured lengths the numbers are interpolated linearly in the logarithm of the length.

    Args:
        length: L, tokens.
        style: style distance, one of the four that were measured.
        skills: of :data:`SKILLS`.
    """
    grid = passing_grid()[style, SKILLS[skills]]
    kappa, deficit = float(grid["kappa"][0]), float(grid["deficit"][0])
    share, how = _at_length(grid, "measured", length)
    gain, gain_how = _at_length(grid, "hacpo_minus_gspo", length)
    return {
        "kappa": kappa,
        "deficit": deficit,
        "budget": token_budget(DELTA),
        "crossing": float(crossing_length(token_budget(DELTA), kappa, deficit, DECISIVE)),
        "share": share,
        "share_how": how,
        "law": _at_length(grid, "predicted", length)[0],
        "gain": gain,
        "gain_how": gain_how,
    }


def _at_length(grid: Mapping[str, np.ndarray], column: str, length: int) -> tuple[float, str]:
    """A column at a length, and whether it was measured there."""
    known = ~np.isnan(grid[column])
    tokens, values = grid["tokens"][known], grid[column][known]
    if length in tokens:
        return float(values[tokens == length][0]), "measured"
    if length > tokens[-1]:
        return float("nan"), f"not measured above {tokens[-1]:.0f} tokens"
    after = int(np.searchsorted(tokens, length))
    between = f"interpolated between {tokens[after - 1]:.0f} and {tokens[after]:.0f} tokens"
    return float(np.interp(np.log(length), np.log(tokens), values)), between


def draw_long_answers(length: int, style: float, skills: str) -> Figure:
    """The share that passes and the gain against the length, for the chosen skills and every style."""
    found = long_answers_values(length, style, skills)
    figure = Figure(figsize=(8.5, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (distance, other), grid in passing_grid().items():
        if other != SKILLS[skills]:
            continue
        chosen = distance == style
        look: dict[str, Any] = {"color": BLUE if chosen else GREY, "alpha": 1 if chosen else 0.6}
        size, order = (5 if chosen else 3), (3 if chosen else 2)
        shift = (5, LABEL_SHIFTS.get(distance, -3))
        left.plot(grid["tokens"], 100 * grid["predicted"], zorder=order, **look)
        left.plot(grid["tokens"], 100 * grid["measured"], "o", markersize=size, zorder=order, **look)
        left.annotate(f"{distance:g}", (256, 100 * grid["predicted"][-1]), xytext=shift, textcoords="offset points")
        known = ~np.isnan(grid["hacpo_minus_gspo"])
        gains = grid["hacpo_minus_gspo"][known]
        right.plot(grid["tokens"][known], gains, "o-", markersize=size, zorder=order, **look)
        right.annotate(f"{distance:g}", (96, gains[-1]), xytext=shift, textcoords="offset points")
    for axes, value in ((left, 100 * float(found["share"])), (right, float(found["gain"]))):
        axes.axvline(length, color=ORANGE, linewidth=1)
        axes.plot(length, value, "D", color=ORANGE, zorder=4)
        axes.set_xscale("log", base=2)
        axes.set_xticks([4, 16, 64, 256], ["4", "16", "64", "256"])
        axes.set(xlabel="tokens in an answer", xlim=(2.7, 420))
    if np.isfinite(found["crossing"]):
        left.axvline(float(found["crossing"]), color="black", linestyle=":", linewidth=1)
        left.annotate("L*", (float(found["crossing"]), 101), ha="center")
    right.axhline(0, color="black", linewidth=0.8)
    left.set(ylabel="right answers that pass, %", ylim=(-3, 110))
    left.set_title("What passes, by style distance:\nlaw (lines) and measurement (dots)", fontsize=11)
    right.set(ylabel="success, HACPO − GSPO", title="What HACPO gains, mean of 32 seeds")
    right.title.set_fontsize(11)
    _finish(left, right)
    return figure


def long_answers() -> widgets.VBox:
    """Which right answers pass the clip, and what sharing gains, by length, style and skills."""
    return _piece(
        draw_long_answers,
        {
            "length": widgets.SelectionSlider(
                description="tokens in an answer",
                options=ANSWER_LENGTHS,
                value=16,
                continuous_update=False,
                style={"description_width": "170px"},
                layout={"width": "480px"},
            ),
            "style": _choice("style distance", [(f"{one:g}", one) for one in STYLES], 0.35),
            "skills": _choice("the learner's weak skills", [(one, one) for one in SKILLS], "known somewhat"),
        },
    )


# two_coins ----------------------------------------------------------------------------------------------------------

CLIPS = {"no clip": "none", "HACPO's clip, [1 − δ, 1]": "hard", "lower bound, cap at 1": "capped"}
SLACK = 1e-9
"""A ratio that is 1 but for rounding counts as 1."""


def coin_problem(learner: Tensor, sampler: Tensor) -> Problem:
    """Two coins, two tosses, wanted one head and one tail, as in ``hacrl_lab.theory.problems.opposed_coins``.

    Args:
        learner, sampler: probabilities of heads, (...), float64.
    """
    tables = [torch.stack([heads, 1 - heads], -1)[..., None, None, :].log() for heads in (learner, sampler)]
    wanted = torch.tensor([[0.0, 1.0, 1.0, 0.0]], dtype=torch.float64)  # of HH, HT, TH, TT
    return Problem(ResponseSpace(symbols=2, length=2), (tables[0], tables[1]), wanted.expand(*learner.shape, 1, 4))


def coin_weight(alpha: float, clip: str, delta: float) -> CrossWeight:
    """The weight of cross gradients for one of :data:`CLIPS`."""
    if clip == "none":
        return CrossWeight(alpha)
    low = 1 - delta - SLACK
    return CrossWeight(alpha, low, high=1 + SLACK) if clip == "hard" else CrossWeight(alpha, low, cap=1.0)


def two_coins_values(learner: float, sampler: float, alpha: float, clip: str, delta: float) -> Values:
    """Own and cross gradient of the learner's coin, and whether they agree (Propositions D.5, D.6, Theorem D.11).

    Args:
        learner, sampler: probabilities of heads.
        alpha, delta: α and δ.
        clip: a value of :data:`CLIPS`.
    """
    problem = coin_problem(*(torch.tensor(heads, dtype=torch.float64) for heads in (learner, sampler)))
    weight, advantages = coin_weight(alpha, clip, delta), oracle_advantages(problem, 0)
    ratio = torch.exp((problem.log_probs(0) - problem.log_probs(1)) / 2)
    own = homo_gradient(problem, 0, same_advantages(problem, advantages))
    cross = hete_gradient(problem, 0, 1, same_advantages(problem, advantages), torch.ones(2, 2).double(), weight)
    inner = float(alignment(problem, 0, 1, advantages, torch.ones(()).double(), weight).inner)
    return {
        "success": float(problem.expected_rewards()[0, 0]),
        "own": float(own[..., 0]),
        "cross": float(cross[..., 0]),
        "inner": inner,
        "verdict": verdict(inner),
        "ratio_hh": float(ratio[0, 0]),
        "ratio_ht": float(ratio[0, 1]),
        "ratio_tt": float(ratio[0, 3]),
        "passes": float((problem.log_probs(1).exp() * (weight(ratio) > 0)).sum()),
    }


def verdict(inner: float) -> str:
    """Of an inner product, which is 0 up to rounding if one of the gradients is."""
    if abs(inner) < 1e-12:
        return "one of them is 0"
    return "aligned" if inner > 0 else "opposed"


def coin_map(alpha: float, clip: str, delta: float, cells: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Heads probabilities of a grid, (cells,), and the sign of the inner product, (sampler, learner)."""
    heads = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    learner, sampler = heads.expand(cells, cells), heads[:, None].expand(cells, cells)
    problem = coin_problem(learner, sampler)
    advantages, omega = oracle_advantages(problem, 0), torch.ones(cells, cells, dtype=torch.float64)
    inner = alignment(problem, 0, 1, advantages, omega, coin_weight(alpha, clip, delta)).inner
    return heads.numpy(), torch.where(inner.abs() < 1e-12, 0, inner.sign()).numpy()


def draw_two_coins(learner: float, sampler: float, alpha: float, clip: str, delta: float) -> Figure:
    """Left the two gradients as arrows on the curve of success, right where they agree."""
    found = two_coins_values(learner, sampler, alpha, clip, delta)
    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    heads = np.linspace(0, 1, 101)
    left.plot(heads, 2 * heads * (1 - heads), color=GREY)
    left.plot(learner, found["success"], "o", color="black", zorder=3)
    for name, colour, height in (("own", BLUE, 0.2), ("cross", ORANGE, 0.07)):
        value = float(found[name])
        length = 0.3 * np.tanh(abs(value) * 12) * np.sign(value)
        if abs(value) >= 1e-12:
            arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 3, "mutation_scale": 18}
            left.annotate("", (learner + length, height), (learner, height), arrowprops=arrow)
        left.plot(learner, height, "|", color=colour, markersize=12)
        side, align = (0.85, "right") if learner < 0.5 else (0.15, "left")
        left.text(side, height + 0.03, f"{name} gradient {value:+.4f}", color=colour, ha=align)
    left.axvline(learner, color="black", linewidth=0.6, linestyle=":")
    left.set(xlabel="the learner's probability of heads", ylabel="success", xlim=(0, 1), ylim=(0, 0.56))
    left.set_title(
        f"Arrows to the right: more heads.\nInner product {found['inner']:+.5f}: {found['verdict']}", fontsize=11
    )
    edges, sign = coin_map(alpha, clip, delta)
    right.pcolormesh(edges, edges, sign, cmap=_sign_colours(), vmin=-1, vmax=1)
    right.plot(learner, sampler, "o", color="black")
    right.set(xlabel="the learner's probability of heads", ylabel="the sampler's probability of heads", aspect="equal")
    right.set_title(
        f"opposed on {(sign < 0).mean():.0%} of all pairs (orange),\naligned on {(sign > 0).mean():.0%} "
        f"(blue), 0 on {(sign == 0).mean():.0%} (grey)",
        fontsize=11,
    )
    left.grid(alpha=0.25)
    return figure


def _sign_colours() -> ListedColormap:
    """Orange, grey and blue, light, for −1, 0 and 1."""
    return ListedColormap(["#F0B48A", "#DDDDDD", "#9DC6E2"])


def two_coins() -> widgets.VBox:
    """When the gradient of another agent's answers points away from one's own."""
    return _piece(
        draw_two_coins,
        {
            "learner": _slider("learner: P(heads)", 0.43, 0.02, 0.98, 0.01),
            "sampler": _slider("sampler: P(heads)", 0.75, 0.02, 0.98, 0.01),
            "alpha": _slider("α", 0.0, 0.0, 4.0, 0.5),
            "clip": _choice("clip", list(CLIPS.items()), "none"),
            "delta": _slider("δ", 0.2, 0.05, 0.8, 0.05),
        },
    )


# reward_matrix ------------------------------------------------------------------------------------------------------

REWARDS = ((1, 1, 0, 1), (0, 1, 0, 0))
"""Agent A's and agent B's rewards to begin with."""
AGENTS = ("A", "B")
EARLIER = (0.8, 0.4)
"""Their mean rewards in the steps before, to begin with."""
WINDOW = 5
"""K, the steps whose mean rewards are an agent's capability (Eq. 8)."""


def reward_matrix_values(rewards: Sequence[Sequence[int]], earlier: Sequence[float], learner: int) -> Values:
    """From rewards to advantages and to what each rollout counts, for one prompt (Eq. 6-10).

    Args:
        rewards: of agent A's and agent B's four answers, 0 or 1.
        earlier: mean reward of each agent in each of the four steps before.
        learner: 0 for A, 1 for B.
    """
    table = torch.tensor(rewards, dtype=torch.float64).unsqueeze(1)  # (n, P = 1, G)
    tracker = CapabilityTracker(WINDOW)
    for _ in range(WINDOW - 1):
        tracker.update(torch.tensor(earlier, dtype=torch.float64))
    capability = tracker.update(table.mean((-2, -1)))
    omega = capability_ratio_matrix(capability)
    baseline = capability_aware_baseline(table, omega, learner)
    advantages = group_advantages(table, baseline)
    coefficients = omega[:, learner]  # ω[j, k], 1 for the learner's own
    mean = float(capability_aware_mean(table, omega, learner))
    found: Values = {
        "capability_a": float(capability[0]),
        "capability_b": float(capability[1]),
        "omega": float(omega[learner, 1 - learner]),
        "coefficient": float(coefficients[1 - learner]),
        "mean": mean,
        "baseline": float(baseline),
        "plain_mean": float(group_mean_baseline(table, omega, learner)),
        "sigma": float(table.flatten().std(correction=1)),
        "guard": _guard(table, mean),
    }
    for j, agent in enumerate("ab"):
        for i in range(4):
            found[f"advantage_{agent}{i + 1}"] = float(advantages[j, 0, i])
            found[f"counts_{agent}{i + 1}"] = float(coefficients[j] * advantages[j, 0, i])
    return found


def _guard(rewards: Tensor, mean: float) -> str:
    """Which decision replaced the mean of Eq. 7, if any."""
    if bool((rewards == rewards.flatten()[0]).all()):
        return "all rewards are equal: every advantage is 0 (decision 5)"
    return "the mean is above 1: the learner's own mean instead (decision 4)" if mean > 1 else "none"


def draw_reward_matrix(rewards: Sequence[Sequence[int]], earlier: Sequence[float], learner: int) -> Figure:
    """Left the rewards, right the advantages and what the answers count in the learner's update."""
    found = reward_matrix_values(rewards, earlier, learner)
    figure = Figure(figsize=(8.5, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.5])
    left.imshow(rewards, cmap=_sign_colours(), vmin=-1, vmax=1, aspect="auto")
    left.hlines(0.5, -0.5, 3.5, color="white", linewidth=4)
    left.vlines((0.5, 1.5, 2.5), -0.5, 1.5, color="white", linewidth=4)
    for j, row in enumerate(rewards):
        for i, reward in enumerate(row):
            left.text(i, j, ("wrong", "right")[reward], ha="center", va="center")
    left.set_xticks(range(4), ["1", "2", "3", "4"])
    left.set_yticks(range(2), [f"agent {name}" for name in AGENTS])
    left.set(xlabel="answer to the same question")
    left.set_title(
        f"ω[{AGENTS[learner]}, {AGENTS[1 - learner]}] = {found['omega']:.3f}\nmean of all rewards "
        f"{found['plain_mean']:.3f}, baseline {found['baseline']:.3f}",
        fontsize=11,
    )
    names = [f"{agent}{i}" for agent in "ab" for i in range(1, 5)]
    place = np.arange(8)
    right.bar(place - 0.2, [float(found[f"advantage_{name}"]) for name in names], 0.38, color=BLUE, label="advantage")
    counts = [float(found[f"counts_{name}"]) for name in names]
    right.bar(place + 0.2, counts, 0.38, color=ORANGE, label="advantage × ω[sampler, learner]")
    right.axhline(0, color="black", linewidth=0.8)
    right.set_xticks(place, [name.upper() for name in names])
    right.set(ylabel="standard deviations", xlabel="answer")
    right.set_title(f"Agent {AGENTS[learner]} learns", fontsize=11)
    right.margins(y=0.25)
    right.legend(loc="upper right", ncols=2)
    right.grid(alpha=0.25)
    return figure


def reward_matrix() -> widgets.VBox:
    """What a table of right and wrong answers comes to in one learner's update."""
    boxes = [[widgets.ToggleButton(value=bool(one), layout={"width": "90px"}) for one in row] for row in REWARDS]
    for row in boxes:
        for box in row:
            widgets.dlink((box, "value"), (box, "description"), ("wrong", "right").__getitem__)
    earlier = [_slider(f"{name}: mean reward before", EARLIER[k], 0.0, 1.0, 0.05) for k, name in enumerate(AGENTS)]
    learner = _choice("who learns", [("agent A", 0), ("agent B", 1)], 0)
    flat = {f"{j}{i}": box for j, row in enumerate(boxes) for i, box in enumerate(row)}

    def draw(earlier_a: float, earlier_b: float, learner: int, **rewards: bool) -> Figure:
        table = [[int(rewards[f"{j}{i}"]) for i in range(4)] for j in range(2)]
        return draw_reward_matrix(table, (earlier_a, earlier_b), learner)

    controls = {"earlier_a": earlier[0], "earlier_b": earlier[1], "learner": learner}
    piece = _piece(draw, {**flat, **controls})
    rows = [widgets.HBox([widgets.Label(f"agent {name}"), *row]) for name, row in zip(AGENTS, boxes, strict=True)]
    piece.children = [*rows, *controls.values()]
    return piece


# two_tokenizers -----------------------------------------------------------------------------------------------------


FIRST_ANSWER = 2
"""The place of the answer that is shown first: both agents find it about equally likely."""


def two_tokenizers_values(answer: int) -> Values:
    """How the two agents cut and find one answer, and the ratio s in both directions (Eq. 11).

    Args:
        answer: its place among ``answers`` of the data.
    """
    chosen, agents = scored_answer(answer), read_data()["agents"]
    j = chosen["sampler"]
    log_probs = [torch.tensor(side["log_probs"], dtype=torch.float64) for side in chosen["sides"]]
    means = [one.mean() for one in log_probs]
    sampler_count = sequence_importance_ratio(log_probs[1 - j].sum() / len(log_probs[j]), means[j])
    return {
        "sampler": agents[j],
        "verdict": "right" if chosen["right"] else "wrong",
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
    chosen = scored_answer(answer)
    kind = "right" if chosen["right"] else "wrong"
    return f"{answer + 1}: {kind}, by {read_data()['agents'][chosen['sampler']]}"


def visible(token: str) -> str:
    """A token with its line break as a sign."""
    return token.replace("\n", "↵")


def draw_two_tokenizers(answer: int) -> Figure:
    """For each agent the pieces of the answer, and how unlikely it finds each of them."""
    found, chosen, agents = two_tokenizers_values(answer), scored_answer(answer), read_data()["agents"]
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    for which, (axes, side, colour) in enumerate(zip(panels, chosen["sides"], (BLUE, ORANGE), strict=True)):
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
        count, total, mean = (found[f"{name}_{which}"] for name in ("tokens", "total", "mean"))
        role = "wrote it" if chosen["sampler"] == which else "reads it"
        text = f"{agents[which]} {role}: {count} tokens, log p = {total:.2f} nats, {mean:.3f} per token"
        axes.set_title(text, fontsize=11)
        axes.set(ylabel="−log p, nats", xlim=(0, widths.sum()))
        axes.tick_params(bottom=False, labelbottom=False)
    figure.suptitle(f"{chosen['question']}  A {found['verdict']} answer, s = {found['ratio']:.3f}", fontsize=11)
    return figure


def two_tokenizers() -> widgets.VBox:
    """One answer cut by two tokenizers, and what that does to its ratio."""
    count = len(read_data()["answers"])
    labels = [(answer_label(place), place) for place in range(count)]
    return _piece(draw_two_tokenizers, {"answer": _choice("answer", labels, FIRST_ANSWER)})


def _share(flags: Tensor) -> float:
    return float(flags.double().mean())


def _finish(*panels: Axes) -> None:
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.title.set_fontsize(11)
