import pytest

from hacrl_envs.weights import shares, split_weight
from hacrl_lab.errors import SettingError


@pytest.mark.parametrize(
    ("text", "name", "weight"),
    [
        ("a.jsonl", "a.jsonl", None),
        ("a.jsonl*0.25", "a.jsonl", 0.25),
        ("a*2*3", "a*2", 3.0),
        ("a*2b", "a*2b", None),
        ("a*", "a*", None),
        ("7", "7", None),
        ("*7", "", 7.0),
    ],
)
def test_a_number_after_the_last_star_is_a_weight(text: str, name: str, weight: float | None) -> None:
    assert split_weight(text) == (name, weight)


@pytest.mark.parametrize("weight", ["0", "-2", "nan", "inf", "-inf", "1e999"])
def test_weights_are_finite_and_above_zero(weight: str) -> None:
    with pytest.raises(SettingError, match=rf"^the weight of 'a' must be a number > 0, got {weight}$"):
        split_weight(f"a*{weight}")


@pytest.mark.parametrize("weights", [[], [1.0, 0.0], [1.0, float("nan")], [1e308, 1e308]])
def test_weights_without_shares_are_refused(weights: list[float]) -> None:
    with pytest.raises(SettingError, match="weights must be at least one, > 0 and with a finite sum"):
        shares(weights)
