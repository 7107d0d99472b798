from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacrl_lab.evaluation import accuracy_interval, mean_interval, pass_at_k


def test_pass_at_k_by_hand() -> None:
    # of 4 responses 1 is right: 3 of the 6 pairs have it; 2 right: only one pair of 6 has none
    assert pass_at_k([0, 1, 2, 3, 4], samples=4, k=2).tolist() == [0, 1 / 2, 1 - 1 / 6, 1, 1]
    # of 10 responses 3 are right: C(7, 5)/C(10, 5) = 21/252 of the groups of 5 have none
    assert pass_at_k([3], samples=10, k=5).tolist() == [1 - 21 / 252]


@given(st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_response(data: st.DataObject) -> None:
    verdicts = data.draw(st.lists(st.booleans(), min_size=1, max_size=9))
    k = data.draw(st.integers(1, len(verdicts)))
    passed = [any(chosen) for chosen in combinations(verdicts, k)]
    expected = sum(passed) / len(passed)
    assert pass_at_k([sum(verdicts)], len(verdicts), k)[0] == pytest.approx(expected, abs=1e-15)


@given(st.integers(1, 300), st.data())
def test_pass_at_1_is_accuracy_and_pass_at_n_is_whether_any_is_right(samples: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, samples))
    assert pass_at_k([right], samples, 1)[0] == pytest.approx(right / samples, abs=1e-15)
    assert pass_at_k([right], samples, samples)[0] == float(right > 0)


@pytest.mark.parametrize("k", [0, 5, -1])
def test_more_responses_than_there_are_cannot_be_chosen(k: int) -> None:
    with pytest.raises(ValueError, match=rf"^k must be in \[1, 4\], got {k}$"):
        pass_at_k([1], samples=4, k=k)


@pytest.mark.parametrize("count", [-1, 5])
def test_counts_above_the_number_of_responses_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=rf"^right must hold counts in \[0, 4\], got {count}$"):
        pass_at_k([0, count], samples=4, k=1)


def test_an_interval_is_of_student_t_over_units() -> None:
    # mean 0.5, sample std √(1/3), t₀.₉₇₅(3) = 3.18245: 3.18245 · 0.57735 / 2
    assert mean_interval([0, 1, 0, 1]) == (0.5, pytest.approx(0.918694, abs=1e-6))


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(0, 10, 0, 0.277533), (10, 10, 0.722467, 1), (1, 3, 0.061492, 0.792340), (5, 10, 0.236593, 0.763407)],
)
def test_single_verdicts_have_wilsons_interval(right: int, of: int, low: float, high: float) -> None:
    # z² = 3.841459. Of 0 of 10: z²/(10 + z²) = 0.277533. Of 1 of 3: (1/3 + 0.640243 ± 0.833349) / 2.280486
    interval = accuracy_interval([1.0] * right + [0.0] * (of - right))
    assert interval == (right / of, pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


@pytest.mark.parametrize("verdict", [0.0, 0.5, 1.0])
def test_the_mean_is_within_its_interval_to_the_last_bit(verdict: float) -> None:
    for count in range(2, 300):
        mean, low, high = accuracy_interval([verdict] * count, samples=2)
        assert 0 <= low <= mean <= high <= 1


def test_means_of_several_responses_have_a_t_interval_where_it_fits() -> None:
    values = [0.25, 0.5, 0.5, 0.75]
    mean, half = mean_interval(values)
    assert accuracy_interval(values, samples=4) == (mean, mean - half, mean + half)


@pytest.mark.parametrize(
    ("values", "verdicts"),
    [
        ([0.0] * 8, 8),  # as many as prompts: all responses to a prompt may be alike
        ([0.5] * 8, 32),  # as many as responses: prompts do not differ
        ([0.0] * 7 + [0.25], 31),  # 8 · (1/32)(31/32) / s² with s² = (1/16 - 1/128) / 7 = 1/128
    ],
)
def test_where_it_does_not_fit_the_interval_is_wilsons_with_so_many_verdicts(
    values: list[float], verdicts: float
) -> None:
    mean, low, high = accuracy_interval(values, samples=4)
    expected = _wilson(mean, verdicts)
    assert (low, high) == (pytest.approx(expected[0], abs=1e-9), pytest.approx(expected[1], abs=1e-9))
    assert 0 <= low < high <= 1


def _wilson(p: float, n: float) -> tuple[float, float]:
    z = 1.959963984540054
    middle, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def test_rewards_outside_the_unit_interval_have_a_t_interval() -> None:
    mean, half = mean_interval([-1.0, 2.0, 0.0])
    assert accuracy_interval([-1.0, 2.0, 0.0]) == (mean, mean - half, mean + half)
