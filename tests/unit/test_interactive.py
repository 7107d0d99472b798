"""The interactive demos: their numbers against the library's, hand-worked ones, and committed files."""

from __future__ import annotations

import csv
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets
import numpy as np
import pytest
import torch

import hacrl_demos
from hacrl_demos import coins, common, lengths, matrix, tokens, weights
from hacrl_lab.objectives import ObjectiveInputs, ObjectiveSettings, hacpo_objective
from hacrl_lab.theory.gradients import CrossWeight, alignment, oracle_advantages
from hacrl_lab.theory.problems import opposed_coins

ROOT = Path(__file__).parents[2]
NAMES = ("cross_weight", "long_answers", "two_coins", "reward_matrix", "two_tokenizers")


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = spec_from_file_location("interactive_tool", ROOT / "notebooks" / "write_demos.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_data_and_pictures_are_what_the_code_gives(tool: Any) -> None:
    assert tool.check(pair=False) == []


def test_a_changed_number_is_noticed(tool: Any) -> None:
    kept = {"a": [0.25, 1], "b": "text"}
    assert tool.difference(kept, {"a": [0.25, 1], "b": "text"}, 1e-6) == []
    assert tool.difference(kept, {"a": [0.26, 1], "b": "text"}, 1e-6) == ["data/a/0: 0.25 instead of 0.26"]
    assert len(tool.difference(kept, {"a": [0.25], "b": "other"}, 1e-6)) == 2
    assert tool.difference(kept, {"a": [0.25, 1]}, 1e-6) == ["data: keys ['a', 'b'] instead of ['a']"]


def test_the_share_that_passes_is_that_of_the_study() -> None:
    """The ratios are of another draw of questions than the study's mean cross s and shares, so only roughly equal."""
    shares = [weights.cross_weight_values(f"answers of {n} tokens", 1.0, 0.2, 0.025, 0)["within"] for n in (3, 16, 128)]
    assert shares == sorted(shares)
    assert shares[0] < 0.25
    assert shares[2] > 0.8


def test_cross_weight_is_the_gradient_of_the_objective() -> None:
    """d J/d log π of an answer of one token, by autograd through the objective that trains."""
    alpha, delta, step, m = 2.0, 0.2, 0.025, 3
    ratio = torch.tensor([0.5, 0.874, 0.876, 0.95, 1.0, 1.2], dtype=torch.float64)
    log_probs = torch.stack([torch.zeros(1, 6, 1), ratio.log().reshape(1, 6, 1)]).requires_grad_()
    mask = torch.ones(2, 1, 6, 1, dtype=torch.bool)
    advantages = torch.stack([torch.zeros(1, 6), torch.ones(1, 6)]).double()
    old = log_probs[0].detach()
    inputs = ObjectiveInputs(log_probs, mask, old, torch.zeros(2, 1, 6).double(), advantages, torch.ones(2, 2), 0, m)
    value = hacpo_objective(inputs, ObjectiveSettings(alpha=alpha, delta=delta, delta_step=step)).value.sum()
    (gradient,) = torch.autograd.grad(value, log_probs)
    s, term, weight = weights.cross_weight_curves(alpha, delta, step, m)
    expected = gradient[1, 0, :, 0] * 6  # the objective is the mean over a group of 6
    torch.testing.assert_close(CrossWeight(alpha, 0.875, high=1.0)(ratio), expected)
    inside = (s >= 0.875) & (s <= 1)
    torch.testing.assert_close(weight, torch.where(inside, s**3, 0))
    torch.testing.assert_close(term, s.clamp(0.875, 1) ** 3)


def test_cross_weight_counts_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    ratios = {"some": {"right": [0.5, 0.9], "wrong": [0.8, 1.1]}}
    monkeypatch.setattr(weights, "read_data", lambda: {"ratios": ratios})
    found = weights.cross_weight_values("some", 1.0, 0.2, 0.025, 0)
    assert found == pytest.approx(
        {
            "bound": 0.8,
            "below": 0.25,
            "within": 0.5,
            "above": 0.25,
            "within_right": 0.5,
            "within_wrong": 0.5,
            "mean_weight": (0.81 + 0.64) / 4,
            "smallest_weight": 0.64,
        }
    )


def test_long_answers_shows_the_committed_numbers() -> None:
    rows = list(csv.DictReader((ROOT / "results/long_answers/passing.csv").open(encoding="utf-8")))
    skills = {value: name for name, value in lengths.SKILLS.items()}
    for row in rows:
        place = int(row["tokens"]), float(row["style_distance"]), skills[float(row["other"])]
        found = lengths.long_answers_values(*place)
        assert (found["share"], found["law"]) == (float(row["measured"]), float(row["predicted"]))
        assert (found["kappa"], found["deficit"]) == (float(row["kappa"]), float(row["deficit"]))
        assert found["share_how"] == "measured"
        if row["hacpo_minus_gspo"]:
            assert (found["gain"], found["gain_how"]) == (float(row["hacpo_minus_gspo"]), "measured")
    assert len(rows) == 4 * 3 * 14


def test_long_answers_between_and_beyond_measured_lengths() -> None:
    between = lengths.long_answers_values(24, 0.2, "known somewhat")["gain"]
    before = lengths.long_answers_values(12, 0.2, "known somewhat")["gain"]
    part = (np.log(16) - np.log(12)) / (np.log(24) - np.log(12))
    found = lengths.long_answers_values(16, 0.2, "known somewhat")
    assert found["gain"] == pytest.approx(before + part * (between - before))
    assert found["gain_how"] == "interpolated between 12 and 24 tokens"
    beyond = lengths.long_answers_values(128, 0.2, "known somewhat")
    assert np.isnan(beyond["gain"])
    assert beyond["gain_how"] == "not measured above 96 tokens"
    assert lengths.long_answers_values(128, 0.6, "misread")["crossing"] == float("inf")
    lam = -np.log(0.8)
    kappa, deficit = found["kappa"], found["deficit"]
    assert found["crossing"] == pytest.approx((deficit - 2 * kappa) / (lam - kappa))


def test_two_coins_are_the_librarys() -> None:
    problem = opposed_coins()
    weight = CrossWeight(0.0)
    there = alignment(problem, 0, 1, oracle_advantages(problem, 0), torch.ones(()).double(), weight)
    found = coins.two_coins_values(3 / 7, 3 / 4, 0.0, "none", 0.2)
    assert found["inner"] == pytest.approx(float(there.inner))
    assert found["verdict"] == "opposed"
    assert found["inner"] == pytest.approx(2 * found["own"] * found["cross"])


def test_two_coins_by_hand() -> None:
    """The own gradient is that of 2p(1 − p) by the logit, over two for the mean over tokens."""
    p = 0.3
    found = coins.two_coins_values(p, 0.6, 1.0, "none", 0.2)
    assert found["success"] == pytest.approx(2 * p * (1 - p))
    assert found["own"] == pytest.approx((2 - 4 * p) * p * (1 - p) / 2)
    assert found["cross"] == pytest.approx(found["own"])  # s² = P/Q for two tokens
    clipped = coins.two_coins_values(0.43, 0.75, 0.0, "hard", 0.2)
    assert (clipped["cross"], clipped["passes"], clipped["verdict"]) == (0, 0, "one of them is 0")


def test_the_map_agrees_with_its_points() -> None:
    heads, sign = coins.coin_map(0.0, "hard", 0.3, cells=5)
    for i, learner in enumerate(heads):
        for j, sampler in enumerate(heads):
            inner = coins.two_coins_values(learner, sampler, 0.0, "hard", 0.3)["inner"]
            assert sign[j, i] == (0 if abs(inner) < 1e-12 else np.sign(inner))


def test_reward_matrix_by_hand() -> None:
    """P̂ = (4·0.8 + 0.75)/5 and (4·0.4 + 0.25)/5; ω = 0.79/0.37; μ̂ = (3 + ω)/8; σ² = 8·¼/7."""
    found = matrix.reward_matrix_values(matrix.REWARDS, (0.8, 0.4), 0)
    omega, sigma = 0.79 / 0.37, (2 / 7) ** 0.5
    baseline = (3 + omega) / 8
    assert found["omega"] == pytest.approx(omega)
    assert found["coefficient"] == pytest.approx(1 / omega)
    assert found["baseline"] == pytest.approx(baseline)
    assert found["sigma"] == pytest.approx(sigma)
    assert found["advantage_a1"] == pytest.approx((1 - baseline) / (sigma + 1e-6))
    assert found["counts_a1"] == found["advantage_a1"]
    assert found["counts_b2"] == pytest.approx(found["advantage_b2"] / omega)
    assert found["guard"] == "none"


def test_reward_matrix_names_the_decisions() -> None:
    above = matrix.reward_matrix_values([[1, 1, 0, 1], [1, 1, 1, 1]], (0.8, 0.1), 0)
    assert above["mean"] > 1
    assert above["baseline"] == 0.75
    assert "decision 4" in above["guard"]
    equal = matrix.reward_matrix_values([[1] * 4] * 2, (0.8, 0.1), 0)
    assert "decision 5" in equal["guard"]
    assert equal["advantage_a1"] == equal["counts_b4"] == 0


def test_scored_answers_are_whole() -> None:
    data = common.read_data()
    kinds = [(one["sampler"], one["right"]) for one in data["answers"]]
    assert kinds == [(j, right) for j in (0, 1) for right in (True, True, False, False)]
    for one in data["answers"]:
        for side in one["sides"]:
            *words, end = side["tokens"]
            assert "".join(words) == one["text"]
            assert end == "end"
            assert len(side["tokens"]) == len(side["log_probs"])
            assert max(side["log_probs"]) <= 0
        assert len(one["sides"][0]["tokens"]) >= len(one["sides"][1]["tokens"])  # digits, and groups of digits


def test_two_tokenizers_by_hand() -> None:
    for place, one in enumerate(common.read_data()["answers"]):
        found, j = tokens.two_tokenizers_values(place), one["sampler"]
        writer, reader = (np.array(one["sides"][k]["log_probs"]) for k in (j, 1 - j))
        assert found["ratio"] == pytest.approx(np.exp(reader.mean() - writer.mean()))
        assert found["reverse"] == pytest.approx(1 / found["ratio"])
        assert found["one_count"] == pytest.approx(np.exp((reader.sum() - writer.sum()) / len(writer)))


@pytest.mark.parametrize("name", NAMES)
def test_widgets_draw_at_once_and_when_moved(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    later: list[Any] = []
    handle = SimpleNamespace(update=later.append)
    monkeypatch.setattr(common, "display", lambda picture, display_id: shown.append(picture) or handle)
    demo = getattr(hacrl_demos, name)()
    assert [one.data[:4] for one in shown] == [b"\x89PNG"]
    for control in {id(one): one for one in (_controls(demo)[0], _controls(demo)[-1])}.values():
        before = len(later)
        _move(control)
        assert len(later) == before + 1
    assert later[-1].data != shown[0].data


def _controls(box: Any) -> list[Any]:
    children = getattr(box, "children", None)
    labels = (ipywidgets.Label, ipywidgets.HTML)
    return [c for one in children for c in _controls(one)] if children else [] if isinstance(box, labels) else [box]


def _move(control: Any) -> None:
    """Give a control another value."""
    if isinstance(control, ipywidgets.ToggleButton):
        control.value = not control.value
    elif hasattr(control, "options"):
        values = [one[1] if isinstance(one, tuple) else one for one in control.options]
        control.value = next(one for one in values if one != control.value)
    else:
        control.value = control.max if control.value != control.max else control.min


QUOTED = {
    "cross_weight": lambda: [
        *(
            f"{100 * weights.cross_weight_values(source, 1.0, 0.2, 0.025, m)['within']:.1f} %"
            for source, m in (
                ("answers of 3 tokens", 0),
                ("answers of 16 tokens", 0),
                ("answers of 128 tokens", 0),
                ("language models", 0),
                ("language models", 3),
            )
        ),
        *(f"{weights.cross_weight_values('language models', a, 0.2, 0.025, 0)['mean_weight']:.3f}" for a in (1.0, 4.0)),
    ],
    "long_answers": lambda: [
        *(f"{100 * lengths.long_answers_values(n, 0.35, 'known somewhat')['share']:.1f} %" for n in (3, 96)),
        *(f"{lengths.long_answers_values(16, 0.35, skills)['crossing']:.1f}" for skills in lengths.SKILLS),
        f"{lengths.long_answers_values(96, 0.35, 'known somewhat')['gain']:+.3f}",
    ],
    "two_coins": lambda: [
        f"{coins.two_coins_values(0.43, 0.75, 0.0, 'none', 0.2)['own']:+.3f}",
        f"{coins.two_coins_values(0.43, 0.75, 0.0, 'none', 0.2)['cross']:.3f}".replace("-", "−"),
        f"{coins.two_coins_values(0.43, 0.75, 0.0, 'capped', 0.2)['cross']:+.3f}",
        *(
            f"{(coins.coin_map(alpha, clip, 0.2)[1] < 0).mean():.0%}".replace("%", " %")
            for alpha, clip in ((0.0, "none"), (0.0, "hard"), (4.0, "none"), (0.0, "capped"))
        ),
    ],
    "reward_matrix": lambda: [
        f"{matrix.reward_matrix_values(matrix.REWARDS, matrix.EARLIER, learner)[name]:.3f}"
        for learner in (0, 1)
        for name in ("omega", "baseline", "advantage_a1", "counts_a1")
    ],
    "two_tokenizers": lambda: [
        *(f"{tokens.two_tokenizers_values(place)['ratio']:.3f}" for place in (0, 2, 3, 5)),
        f"{tokens.two_tokenizers_values(2)['one_count']:.3f}",
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_pages_quote_the_numbers_of_their_demo(name: str) -> None:
    page = (ROOT / "docs" / "interactive" / f"{name}.md").read_text(encoding="utf-8")
    missing = [number for number in QUOTED[name]() if number not in page]
    assert missing == []
    assert f'data-piece="{name}"' in page
    assert f"({name}.png)" in page
    assert (ROOT / "docs" / "_static" / "interactive" / f"{name}.js").is_file()
