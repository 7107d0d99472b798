"""The three coordinates of the map are what they are said to be; which methods its figures show."""

import pytest
import torch
from torch import Tensor

from hacrl_studies.common.testbeds import BANDIT
from hacrl_studies.sharing_map.agents import MapPoint, make_agents, mean_cross_ratios
from hacrl_studies.sharing_map.analysis import pictures
from hacrl_studies.sharing_map.study import Options

SEEDS = range(64)
WORLD = BANDIT.world(SEEDS)
KNOWLEDGE = 2.0


def logits(point: MapPoint) -> tuple[Tensor, Tensor]:
    first, second = (agent.logits.detach() for agent in make_agents(point, WORLD, SEEDS, KNOWLEDGE, 0.05))
    return first, second


def habits(point: MapPoint) -> tuple[Tensor, Tensor]:
    """The same agents without knowledge."""
    first, second = (agent.logits.detach() for agent in make_agents(point, WORLD, SEEDS, 0.0, 0.05))
    return first, second


def known(with_knowledge: Tensor, without: Tensor) -> tuple[set[int], float]:
    """The contexts in which an agent knows something, and how much."""
    bonus = (with_knowledge - without).amax((-2, -1))  # (S, contexts)
    return {int(c) for c in bonus[0].nonzero()}, float(bonus.max())


def test_without_gap_and_distance_and_with_full_overlap_agents_are_the_same() -> None:
    first, second = logits(MapPoint(gap=0.0, overlap=1.0, distance=0.0))
    assert torch.equal(first, second)


@pytest.mark.parametrize(("overlap", "shared"), [(0.0, 0), (0.5, 4), (1.0, 8)])
def test_overlap_is_the_share_of_known_contexts_in_common(overlap: float, shared: int) -> None:
    point = MapPoint(gap=0.0, overlap=overlap, distance=1.0)
    mine, theirs = (
        known(with_knowledge, without)[0] for with_knowledge, without in zip(logits(point), habits(point), strict=True)
    )
    assert len(mine) == len(theirs) == 8
    assert len(mine & theirs) == shared


def test_the_gap_makes_knowledge_weaker() -> None:
    point = MapPoint(gap=0.25, overlap=0.0, distance=0.0)
    strengths = [known(*one)[1] for one in zip(logits(point), habits(point), strict=True)]
    assert strengths == pytest.approx([2.0, 1.5])


def test_knowledge_is_along_a_right_answer() -> None:
    point = MapPoint(gap=0.0, overlap=1.0, distance=0.0)
    knowing, habit = (
        make_agents(point, WORLD, SEEDS, knowledge, 0.05)[0].response_log_probs().exp() for knowledge in (2.0, 0.0)
    )
    number = WORLD.answers.int().argmax(-1, keepdim=True)  # of the first right answer
    gained = (knowing - habit).gather(-1, number).squeeze(-1)
    assert bool((gained[:, :8] > 0).all())
    assert bool((gained[:, 8:] == 0).all())


@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0])
def test_distance_is_one_minus_the_correlation_of_habits(distance: float) -> None:
    # 64 · 16 · 21 · 4 pairs: five standard errors of a correlation are at most 5/√86016 = 0.017
    first, second = (one.flatten() for one in habits(MapPoint(0.0, 0.0, distance)))
    correlation = float(torch.corrcoef(torch.stack([first, second]))[0, 1])
    assert correlation == pytest.approx(1 - distance, abs=0.017)
    assert float(second.std()) == pytest.approx(1, abs=0.02)


def test_mean_cross_ratios_are_one_for_the_same_agents_and_fall_with_distance() -> None:
    means = []
    for distance in (0.0, 0.5, 1.0):
        agents = make_agents(MapPoint(0.0, 1.0, distance), WORLD, SEEDS, KNOWLEDGE, 0.05)
        means.append(mean_cross_ratios(agents, WORLD))
    torch.testing.assert_close(means[0], torch.ones(2, 64, dtype=torch.float64), rtol=0, atol=1e-12)
    assert bool((means[1] < means[0]).all())
    assert bool((means[2].mean(-1) < means[1].mean(-1)).all())


def test_the_methods_of_the_finding_are_in_the_first_figure_and_the_others_in_another() -> None:
    assert pictures(Options()) == {
        "gains.png": ["hacpo", "naive", "hacpo_ppo_clip_alpha0"],
        "others.png": ["hacpo_lagged_loo_capped", "hacpo_alpha0", "hacpo_ppo_clip"],
    }
    assert pictures(Options(methods=("hacpo_alpha0", "hacpo_capped"))) == {
        "gains.png": ["hacpo_alpha0", "hacpo_capped"]
    }
