"""How learning rates are chosen: on success made by hand, and on one team that is really trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import NonFiniteError
from hacrl_runs.cache import computed
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.common.teams import Team, mlp
from hacrl_studies.common.testbeds import CHAIN
from hacrl_studies.common.training import final_success, team_cell, train
from hacrl_studies.common.tuning import FIRST_SEED, Sweep, beyond_the_edge, sweep_section, tuned

PAIR = Team("a pair", "state", (mlp(8, (0, 1)), mlp(8, (2, 3))))
SHORT = TrainingConfig(prompts_per_step=4, group_size=2)
SWEEP = Sweep(tuning_share=1)


class Peak:
    """A training whose success falls off on both sides of one multiple of the learning rate, by powers of three."""

    def __init__(self, power: float) -> None:
        self.power = power
        self.calls: list[tuple[list[int], float]] = []

    def __call__(self, seeds: Sequence[int], rate: float) -> dict[str, np.ndarray]:
        self.calls.append((list(seeds), rate))
        success = -abs(np.log(rate) / np.log(3) - self.power)
        return {"final": np.full(len(seeds), success), "seeds": np.array(seeds)}

    def tuned_arrays(self) -> dict[str, np.ndarray]:
        return tuned(self, lambda arrays: arrays["final"], 2, SWEEP)


@pytest.mark.parametrize(
    ("power", "tried", "best_rate"),
    [
        (0, [1 / 3, 1, 3], 1),
        (1, [1 / 3, 1, 3, 9], 3),  # the best of the first three is the outermost
        (-2, [1 / 27, 1 / 9, 1 / 3, 1, 3], 1 / 9),
        (3, [1 / 3, 1, 3, 9, 27], 27),
        (5, [1 / 3, 1, 3, 9, 27], 27),  # at most two more on a side
        (-5, [1 / 27, 1 / 9, 1 / 3, 1, 3], 1 / 27),
    ],
)
def test_the_best_multiple_is_chosen_and_the_edge_moves_while_it_is_there(
    power: float, tried: list[float], best_rate: float
) -> None:
    arrays = Peak(power).tuned_arrays()
    assert arrays["rates"].tolist() == pytest.approx(tried)
    assert float(arrays["rate"]) == pytest.approx(best_rate)
    assert float(arrays["rates"][arrays["tuning_success"].argmax()]) == float(arrays["rate"])


def test_the_smallest_of_equal_rates_is_chosen() -> None:
    arrays = Peak(0.5).tuned_arrays()  # 1 and 3 are equally far away
    assert float(arrays["rate"]) == 1
    assert arrays["tuning_success"].tolist() == pytest.approx([-1.5, -0.5, -0.5])


def test_what_is_reported_is_trained_once_on_other_seeds() -> None:
    training = Peak(0)
    arrays = training.tuned_arrays()
    *tuning, (reported, rate) = training.calls
    assert (reported, rate) == ([0, 1], 1.0)
    assert [seeds for seeds, _ in tuning] == [[FIRST_SEED, FIRST_SEED + 1]] * 3
    assert arrays["seeds"].tolist() == [0, 1]


@pytest.mark.parametrize(("share", "reported", "number"), [(0.5, 32, 16), (0.25, 32, 8), (0.5, 2, 1), (0.1, 2, 1)])
def test_tuning_seeds_are_a_share_of_the_reported_ones_and_disjoint(share: float, reported: int, number: int) -> None:
    options = ComparisonOptions(seeds=reported, sweep=Sweep(share))
    seeds = options.sweep.seeds(reported)
    assert len(seeds) == options.tuning_seeds == number
    assert not set(seeds) & set(range(reported))


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="tuning_share must be > 0, got 0"):
        Sweep(0)


def test_a_rate_that_breaks_training_is_not_chosen() -> None:
    training = Peak(2)

    def breaks(seeds: Sequence[int], rate: float) -> dict[str, np.ndarray]:
        if rate > 1:
            raise NonFiniteError("the gradient is not finite")
        return training(seeds, rate)

    arrays = tuned(breaks, lambda arrays: arrays["final"], 2, SWEEP)
    assert float(arrays["rate"]) == 1
    assert arrays["tuning_success"].tolist() == pytest.approx([-3, -2, -np.inf])


def test_nothing_more_is_tried_on_the_inside() -> None:
    assert beyond_the_edge({-1: 0.0, 0: 1.0, 1: 0.5}) is None
    assert beyond_the_edge({-1: 1.0, 0: 1.0, 1: 0.5}) == -2  # of equals the smallest
    assert beyond_the_edge({-1: 0.0, 0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4}) is None


def of_rate(rate: float, seeds: Sequence[int] = (0, 1)) -> np.ndarray:
    return train(CHAIN, PAIR, "gspo", SHORT, 2, seeds, rate)["success"]


def test_the_rate_changes_training_and_not_what_was_demonstrated() -> None:
    usual, faster = of_rate(1.0), of_rate(9.0)
    np.testing.assert_array_equal(usual[0], faster[0])
    assert bool((usual[1:] != faster[1:]).all())


def test_a_cell_is_the_training_with_its_best_rate_and_is_kept(tmp_path: Path) -> None:
    cell = team_cell(CHAIN, PAIR, "gspo", SHORT, 2, 2, SWEEP)
    first = computed(cell, tmp_path)
    np.testing.assert_array_equal(first["success"], of_rate(float(first["rate"])))
    unseen = range(FIRST_SEED, FIRST_SEED + 2)
    by_hand = [final_success({"success": of_rate(float(rate), unseen)}).mean() for rate in first["rates"]]
    assert first["tuning_success"].tolist() == by_hand
    assert float(first["rate"]) == float(first["rates"][int(np.argmax(by_hand))])
    stamp = cell.path(tmp_path).stat().st_mtime_ns
    again = computed(cell, tmp_path)
    assert cell.path(tmp_path).stat().st_mtime_ns == stamp
    for key in ("success", "rates", "tuning_success", "rate"):
        np.testing.assert_array_equal(first[key], again[key])


def test_cells_of_another_sweep_are_others() -> None:
    one, other = (team_cell(CHAIN, PAIR, "gspo", SHORT, 2, 2, Sweep(share)).record for share in (0.5, 1))
    assert one != other


def arrays_of(success: Callable[[float], float], rates: Sequence[float], rate: float) -> dict[str, np.ndarray]:
    values = np.array([success(one) for one in rates])
    return {"rates": np.array(rates), "tuning_success": values, "rate": np.array(rate)}


def test_the_page_shows_every_rate_tried_with_the_chosen_one_marked() -> None:
    rows = [
        (["GSPO"], arrays_of(lambda rate: rate / 10, (1 / 3, 1.0, 3.0), 3.0)),
        (["HACPO"], arrays_of(lambda rate: 1 - rate, (1 / 9, 1 / 3, 1.0, 3.0), 1 / 9)),
    ]
    section = sweep_section(["method"], rows, 16)
    assert "on 16 seeds (number 2,000,000 and following" in section
    assert [line for line in section.splitlines() if line.startswith("|")] == [
        "| method | × 1/9 | × 1/3 | × 1 | × 3 |",
        "|---|---|---|---|---|",
        "| GSPO |  | 0.033 | 0.100 | **0.300** |",
        "| HACPO | **0.889** | 0.667 | 0.000 | -2.000 |",
    ]
