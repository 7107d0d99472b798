import math

import numpy as np
import pytest

from hacrl_lab.config import TrainingConfig
from hacrl_studies.common.teams import PAIRS
from hacrl_studies.sample_efficiency.analysis import needed, relative_need, rollouts
from hacrl_studies.sample_efficiency.study import Options

GENERATED = np.array([0, 100, 200, 300])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (0.1, 0),
        (0.2, 50),
        (0.3, 100),
        (0.4, 150),
        (0.5, 200),
        (0.6, math.inf),
    ],  # halfway between steps by interpolation
)
def test_the_first_crossing_counts(target: float, expected: float) -> None:
    curve = np.array([0.1, 0.3, 0.5, 0.2])
    assert needed(curve, GENERATED, target) == pytest.approx(expected)


def test_gspo_x2_generates_twice_as_many() -> None:
    options = Options(steps=2, training=TrainingConfig(prompts_per_step=3, group_size=4, minibatches=1))
    assert rollouts(options, "gspo").tolist() == [0, 12, 24]
    assert rollouts(options, "gspo_x2").tolist() == [0, 24, 48]


def test_needs_are_relative_to_all_of_gspos_rollouts() -> None:
    # GSPO reaches 0.4 after two steps; the other method already after one: half. GSPO itself needs all of its own
    options, team = Options(seeds=4, steps=2), PAIRS[0]
    slow, fast = (np.array(curve)[:, None, None].repeat(2, 1).repeat(4, 2) for curve in ([0, 0.2, 0.4], [0, 0.4, 0.5]))
    results = {(team.name, "gspo"): {"success": slow}, (team.name, "hacpo"): {"success": fast}}
    assert relative_need(options, results, team, "hacpo") == pytest.approx((0.5, 0.5, 0.5))
    assert relative_need(options, results, team, "gspo") == pytest.approx((1, 1, 1))
    never = {**results, (team.name, "hacpo"): {"success": slow / 2}}
    assert relative_need(options, never, team, "hacpo") == (math.inf, math.inf, math.inf)


def test_both_references_are_needed() -> None:
    with pytest.raises(ValueError, match="methods must contain gspo_x2, got gspo, hacpo"):
        Options(methods=("gspo", "hacpo"))
