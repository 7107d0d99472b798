import numpy as np
import pytest

from hacrl_studies.common.comparison import (
    Comparison,
    bootstrap_interval,
    compare,
    holm,
    interquartile_mean,
    means_and_errors,
    tally,
)


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    # of eight values the two smallest and the two largest are left out: (3 + 4 + 5 + 6)/4
    assert interquartile_mean(np.array([-100, 2, 3, 4, 5, 6, 7, 1000.0])) == 4.5


def test_the_bootstrap_interval_has_its_coverage() -> None:
    # 400 samples of 32 normal numbers: the mean lies inside in some 94 % (percentile intervals are a little narrow);
    # below 88 % or above 99 % the count is off by more than 5 standard deviations
    generator = np.random.default_rng(0)
    inside = 0
    for sample in generator.standard_normal((400, 32)):
        low, high = bootstrap_interval(sample)
        inside += low <= 0 <= high
    assert 0.88 < inside / 400 < 0.99


def test_the_interval_of_the_interquartile_mean_is_not_moved_by_one_outlier() -> None:
    values = np.concatenate([np.linspace(0, 1, 31), [1000.0]])
    assert bootstrap_interval(values, "iqm")[1] < 2
    assert bootstrap_interval(values)[1] > 10


def test_a_comparison_is_paired() -> None:
    # everyone gains 0.1 although the seeds differ by much more
    reference = np.linspace(0, 10, 20)
    found = compare({"better": (reference + 0.1, reference), "worse": (reference - 0.1, reference)})
    one = found["better"]
    assert (one.mean, one.low, one.high) == pytest.approx((0.1, 0.1, 0.1))
    assert (one.improved, one.significant) == (1, True)
    assert found["worse"].mean == pytest.approx(-0.1)
    assert (found["worse"].improved, found["worse"].significant) == (0, True)


def test_no_difference_is_no_improvement() -> None:
    one = compare({"same": (np.ones(5), np.ones(5))})["same"]
    assert (one.mean, one.improved, one.significant) == (0, 0.5, False)


def test_comparisons_are_corrected_together() -> None:
    # all six seeds improve: the smallest p of Wilcoxon's test with six pairs is 2/64 = 0.031, which is below 0.05, but
    # not below 0.05/2
    reference = np.zeros(6)
    pair = (np.arange(1.0, 7.0), reference)
    assert compare({"alone": pair})["alone"].significant
    assert not any(one.significant for one in compare({"first": pair, "second": pair}).values())


def test_holms_correction_steps_down() -> None:
    # sorted: 0.01 ≤ 0.05/4, 0.016 ≤ 0.05/3, 0.03 > 0.05/2 stops, and 0.04 with it although 0.04 ≤ 0.05/1
    assert holm([0.04, 0.016, 0.03, 0.01]) == [False, True, False, True]
    assert holm([]) == []


def test_a_comparison_in_a_table_has_a_star_if_it_is_significant() -> None:
    assert str(Comparison(0.1234, -0.01, 0.2, 0.5, False)) == "+0.123 [-0.010, +0.200]"
    assert str(Comparison(-0.1, -0.2, -0.05, 0.1, True)) == "-0.100 [-0.200, -0.050] *"


def test_errors_are_distances_from_the_mean() -> None:
    means, errors = means_and_errors([Comparison(0.25, 0.0, 0.75, 1, False), Comparison(-1, -3, 0, 0, True)])
    assert means.tolist() == [0.25, -1]
    assert errors.tolist() == [[0.25, 2], [0.5, 1]]


def test_a_tally_counts_significant_differences_on_both_sides() -> None:
    def comparison(mean: float, significant: bool) -> Comparison:
        return Comparison(mean, 0, 0, 0.5, significant)

    comparisons = [comparison(0.2, True), comparison(0.3, False), comparison(-0.1, True), comparison(0.1, True)]
    assert tally(comparisons, "pairs") == ["2 of 4 pairs", "1 of 4 pairs", "-0.100, +0.300"]
