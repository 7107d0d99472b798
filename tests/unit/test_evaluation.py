from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacrl_lab.evaluation import mean_interval, pass_at_k


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
