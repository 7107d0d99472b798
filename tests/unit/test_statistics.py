import numpy as np
import pytest
from study.statistics import bootstrap_interval, compare, holm, interquartile_mean


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


def test_the_interval_of_the_interquartile_mean_does_not_see_one_outlier() -> None:
    values = np.concatenate([np.linspace(0, 1, 31), [1000.0]])
    assert bootstrap_interval(values, "iqm")[1] < 2
    assert bootstrap_interval(values)[1] > 10


def test_a_comparison_is_paired() -> None:
    # everyone gains 0.1 although the seeds differ by much more
    reference = np.linspace(0, 10, 20)
    one = compare(reference + 0.1, reference)
    assert one.mean == pytest.approx(0.1)
    assert one.low == pytest.approx(0.1)
    assert one.high == pytest.approx(0.1)
    assert one.improved == 1
    assert one.p_value < 1e-4
    worse = compare(reference - 0.1, reference)
    assert (worse.mean < 0, worse.improved) == (True, 0)


def test_no_difference_is_no_improvement() -> None:
    one = compare(np.ones(5), np.ones(5))
    assert (one.mean, one.improved, one.p_value) == (0, 0.5, 1)


def test_holms_correction_steps_down() -> None:
    # sorted: 0.01 ≤ 0.05/4, 0.016 ≤ 0.05/3, 0.03 > 0.05/2 stops, and 0.04 with it although 0.04 ≤ 0.05/1
    assert holm([0.04, 0.016, 0.03, 0.01]) == [False, True, False, True]
    assert holm([]) == []
