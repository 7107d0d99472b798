"""The interactive pieces of the built site: every control is moved, and what is shown compared with Python's numbers.

``sphinx-build -c docs -b html -W . build/site``, then ``HACRL_LAB_SITE=build/site pytest -m site``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hacrl_demos import coins, lengths, matrix, tokens, weights

pytestmark = pytest.mark.site
STATES = """piece => ({
    settings: Object.fromEntries([...piece.querySelectorAll('[data-control]')].map(control => [
        control.dataset.control,
        control.tagName === 'BUTTON' ? String(Number(control.ariaPressed === 'true')) : control.value])),
    shown: Object.fromEntries([...piece.querySelectorAll('td[data-name]')].map(cell => [
        cell.dataset.name, [cell.dataset.value, cell.textContent]])),
})"""
MOVE = "(control, value) => { control.value = value; control.dispatchEvent(new Event('input')); }"
Settings = Mapping[str, str]
"""What the controls are at, as text."""


def _rewards(now: Settings) -> dict[str, Any]:
    rewards = [[int(now[f"r{j}{i}"]) for i in range(4)] for j in range(2)]
    return matrix.reward_matrix_values(rewards, (float(now["earlier_a"]), float(now["earlier_b"])), int(now["learner"]))


EXPECTED: dict[str, Callable[[Settings], Mapping[str, Any]]] = {
    "cross_weight": lambda now: weights.cross_weight_values(
        now["source"], float(now["alpha"]), float(now["delta"]), float(now["delta_step"]), int(now["updates"])
    ),
    "long_answers": lambda now: lengths.long_answers_values(
        lengths.ANSWER_LENGTHS[int(now["length"])], float(now["style"]), now["skills"]
    ),
    "two_coins": lambda now: coins.two_coins_values(
        float(now["learner"]), float(now["sampler"]), float(now["alpha"]), now["clip"], float(now["delta"])
    ),
    "reward_matrix": _rewards,
    "two_tokenizers": lambda now: tokens.two_tokenizers_values(int(now["answer"])),
}


@pytest.fixture
def opened(browser: Any, site: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page of a piece; afterwards there must have been no error and nothing from a network."""
    troubles: list[str] = []
    pages = []

    def open_page(name: str, width: int = 1280) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or troubles.append(request.url))
        page.goto((site / f"docs/interactive/{name}.html").as_uri())
        page.wait_for_selector(".hacrl-piece[data-ready]")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert troubles == []


def agree(page: Any, name: str) -> Mapping[str, Any]:
    """Compare everything that is shown with Python's numbers at the same settings; returns what is shown."""
    state = page.eval_on_selector(".hacrl-piece", STATES)
    expected = EXPECTED[name](state["settings"])
    assert state["shown"].keys() == expected.keys()
    for key, (exact, text) in state["shown"].items():
        where = f"{key} at {state['settings']}"
        if isinstance(expected[key], str):
            assert exact == text == expected[key], where
        elif math.isfinite(expected[key]):
            assert float(exact) == pytest.approx(expected[key], rel=1e-9, abs=1e-11), where
            assert abs(number(text)[0] - expected[key]) <= number(text)[1] * 0.500001, where
        else:
            assert text == ("never" if expected[key] > 0 else "not measured"), where
    return state["shown"]


def number(text: str) -> tuple[float, float]:
    """The number of a text and its last place: of 61.2 % they are 0.612 and 0.001."""
    plain = text.replace("−", "-").removesuffix("\u00a0%")
    scale = 0.01 if plain != text.replace("−", "-") else 1.0
    return float(plain) * scale, 10.0 ** -len(plain.partition(".")[2]) * scale


def places(control: Any) -> list[str]:
    """Values that a control is moved through: all of a list; both ends and five places between of a slider."""
    if control.evaluate("control => control.tagName") == "SELECT":
        return control.evaluate("control => [...control.options].map(option => option.value)")
    low, high, step = (float(control.get_attribute(name)) for name in ("min", "max", "step"))
    steps = round((high - low) / step)
    return [f"{low + step * round(steps * part / 6):.10g}" for part in range(7)]


@pytest.mark.parametrize("name", list(EXPECTED))
def test_every_control_moves_what_is_shown(opened: Callable[..., Any], name: str) -> None:
    page = opened(name)
    start = agree(page, name)
    for control in page.query_selector_all(".hacrl-piece [data-control]"):
        which = control.get_attribute("data-control")
        if control.evaluate("control => control.tagName") == "BUTTON":
            control.click()
            assert agree(page, name) != start, which
            control.click()
            assert agree(page, name) == start, which
            continue
        before = control.evaluate("control => control.value")
        seen = []
        for value in places(control):
            control.evaluate(MOVE, value)
            seen.append(agree(page, name))
        assert any(one != seen[0] for one in seen) or which in STILL[name], which
        control.evaluate(MOVE, before)
        assert agree(page, name) == start, which


STILL = {
    "cross_weight": ("delta_step",),  # before the first update of a step, m = 0
    "long_answers": (),
    "two_coins": ("delta",),  # without a clip
    "reward_matrix": (),
    "two_tokenizers": (),
}


@pytest.mark.parametrize("clip", ["hard", "capped"])
def test_all_settings_of_two_coins_go_together(opened: Callable[..., Any], clip: str) -> None:
    page = opened("two_coins")
    controls = {one.get_attribute("data-control"): one for one in page.query_selector_all("[data-control]")}
    controls["clip"].evaluate(MOVE, clip)
    for learner, sampler, alpha, delta in (
        ("0.3", "0.7", "1", "0.2"),
        ("0.5", "0.5", "0", "0.05"),
        ("0.9", "0.8", "3", "0.6"),
    ):
        for name, value in (("learner", learner), ("sampler", sampler), ("alpha", alpha), ("delta", delta)):
            controls[name].evaluate(MOVE, value)
            agree(page, "two_coins")


def test_the_bound_moves_with_the_updates(opened: Callable[..., Any]) -> None:
    page = opened("cross_weight")
    controls = {one.get_attribute("data-control"): one for one in page.query_selector_all("[data-control]")}
    controls["updates"].evaluate(MOVE, "7")
    bounds = []
    for value in places(controls["delta_step"]):
        controls["delta_step"].evaluate(MOVE, value)
        bounds.append(agree(page, "cross_weight")["bound"][1])
    assert bounds[0] == "0.800"
    assert bounds[-1] == "1.000"  # 1 − 0.2 + 7·0.05 is above 1


def test_rewards_that_the_decisions_are_for(opened: Callable[..., Any]) -> None:
    page = opened("reward_matrix")
    controls = {one.get_attribute("data-control"): one for one in page.query_selector_all("[data-control]")}
    for name in ("r10", "r12", "r13"):
        controls[name].click()
    controls["earlier_b"].evaluate(MOVE, "0.1")
    assert "decision 4" in agree(page, "reward_matrix")["guard"][1]
    controls["r02"].click()
    assert "decision 5" in agree(page, "reward_matrix")["guard"][1]
    controls["earlier_a"].evaluate(MOVE, "0")
    controls["earlier_b"].evaluate(MOVE, "1")
    agree(page, "reward_matrix")


@pytest.mark.parametrize("name", list(EXPECTED))
def test_keys_and_the_way_back(opened: Callable[..., Any], name: str) -> None:
    page = opened(name)
    start = agree(page, name)
    first = page.locator(".hacrl-piece [data-control]").first
    first.focus()
    page.keyboard.press({"BUTTON": "Space"}.get(first.evaluate("one => one.tagName"), "ArrowLeft"))
    if first.evaluate("one => one.tagName") == "SELECT":
        page.keyboard.press("Home")
    assert agree(page, name) != start
    page.locator(".hacrl-start").click()
    assert agree(page, name) == start


@pytest.mark.parametrize("name", list(EXPECTED))
def test_pieces_fit_a_small_telephone_and_have_names(opened: Callable[..., Any], name: str) -> None:
    page = opened(name, 360)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0
    assert page.locator(f"img[src*='/{name}']").count() == 1
    for control in page.query_selector_all(".hacrl-piece [data-control]"):
        label = "control => control.ariaLabel || (control.labels.length ? control.labels[0].textContent : '')"
        assert control.evaluate(label)
    for drawing in page.query_selector_all(".hacrl-stage svg"):
        assert drawing.get_attribute("aria-label")


@pytest.mark.parametrize("name", list(EXPECTED))
def test_any_settings_can_be_asked_for(opened: Callable[..., Any], name: str) -> None:
    """``window.hacrl.NAME.values(settings)`` gives the numbers that the page shows at the same settings."""
    page = opened(name)
    shown = agree(page, name)
    asked = page.evaluate(
        """([name, lengths]) => {
            const read = (one) => one.tagName === 'BUTTON' ? Number(one.ariaPressed === 'true')
                : one.dataset.control === 'length' ? lengths[Number(one.value)]
                : Number.isNaN(Number(one.value)) ? one.value : Number(one.value);
            const controls = [...document.querySelectorAll('.hacrl-piece [data-control]')];
            const settings = Object.fromEntries(controls.map((one) => [one.dataset.control, read(one)]));
            const values = window.hacrl[name].values(settings);
            return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)]));
        }""",
        [name, list(lengths.ANSWER_LENGTHS)],
    )
    assert asked == {key: exact for key, (exact, _) in shown.items()}
