"""The testbeds of the studies: the same for every team, method and number of seeds."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from hacrl_lab.config import TrainingConfig
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_studies.common.teams import PAIRS, AgentSpec, Team, check_pairs, mlp, table
from hacrl_studies.common.testbeds import BANDIT, CHAIN, FROZEN_LAKE, TESTBEDS, Testbed
from hacrl_studies.common.testbeds.frozen_lake import a_seed_for_each_start
from hacrl_studies.common.testbeds.questions import QuestionTestbed
from hacrl_studies.common.training import by_seed, clipped_share, crossed_clip_fraction, final_success, team_cell, train
from hacrl_studies.common.tuning import Sweep

PAIR = Team("a pair", "model", (mlp(8, (0, 1)), table((2, 3))))
SHORT = TrainingConfig(prompts_per_step=4, group_size=2)
every_testbed = pytest.mark.parametrize("testbed", TESTBEDS.values(), ids=TESTBEDS)


@every_testbed
def test_seeds_that_train_together_do_what_each_does_alone(testbed: Testbed[Any, Any]) -> None:
    together = train(testbed, PAIR, "hacpo", SHORT, 2, [3, 5])
    alone = train(testbed, PAIR, "hacpo", SHORT, 2, [5])
    for key in ("success", "clipped"):
        np.testing.assert_allclose(together[key][..., 1], alone[key][..., 0], rtol=0, atol=1e-12)
    assert together["success"].shape == (3, 2, 2)


@every_testbed
def test_every_training_begins_with_agents_that_no_other_has_changed(testbed: Testbed[Any, Any]) -> None:
    first, again = (train(testbed, PAIR, "hacpo", SHORT, 2, [3, 5]) for _ in range(2))
    for key in ("success", "clipped"):
        np.testing.assert_array_equal(first[key], again[key])
    made = testbed.make_agents(PAIR, testbed.world([3, 5]), [3, 5])
    for agent, fresh in zip(testbed.agents(PAIR, [3, 5]), made, strict=True):
        for name, value in agent.parameters.items():
            torch.testing.assert_close(value, fresh.parameters[name], rtol=0, atol=0)


@every_testbed
def test_an_agent_with_demonstrations_of_everything_succeeds_more_than_one_without(
    testbed: Testbed[Any, Any],
) -> None:
    seeds = [0, 1]
    world = testbed.world(seeds)
    specs = (mlp(32, (0, 1, 2, 3)), AgentSpec("without", PAIRS[0].agents[0].network, (0,), updates=0))
    agents = testbed.make_agents(Team("two", "state", specs), world, seeds)
    able, without = (testbed.success(agent, world, seeds) for agent in agents)
    assert bool((able > without + 0.3).all())


@pytest.mark.parametrize("testbed", [CHAIN, BANDIT], ids=["chain", "bandit"])
def test_right_answers_are_those_that_the_world_verifies(testbed: QuestionTestbed[Any]) -> None:
    world = testbed.world([0, 1])
    answers = testbed.right_answers(world)
    mask = testbed.space.mask_of(answers)
    finished = torch.ones(answers.shape[:-1], dtype=torch.bool)
    questions = torch.arange(len(testbed.skills)).expand(2, -1)
    assert bool((world.verify(questions, RolloutBatch("somebody", answers, finished, answers, mask)) == 1).all())


@pytest.mark.parametrize("testbed", [CHAIN, BANDIT], ids=["chain", "bandit"])
def test_exact_success_is_what_sampling_estimates(testbed: QuestionTestbed[Any]) -> None:
    # 4096 answers to each question: five standard errors of a mean over all questions
    world = testbed.world([0])
    agent = testbed.make_agents(PAIR, world, [0])[0]
    questions = torch.arange(len(testbed.skills)).expand(1, -1)
    right = world.verify(questions, agent.generate(questions, 4096, RandomStream([7])))
    by_question = right.mean(-1)[0]
    error = float((by_question * (1 - by_question) / 4096).sum().sqrt()) / len(testbed.skills)
    assert abs(float(by_question.mean()) - testbed.success(agent, world, [0])[0]) < 5 * error


def test_all_right_answers_of_a_bandit_are_counted() -> None:
    world = BANDIT.world([0])
    assert BANDIT.right_answers(world).shape[:-1] == (1, 16, int(world.answers[0, 0].sum()))
    assert int(world.answers[0, 0].sum()) == 3  # 0.05 of 64


def test_frozen_lake_has_a_way_from_every_corner() -> None:
    assert len(FROZEN_LAKE.world([0]).starts) == 4


def test_a_map_with_too_few_starts_is_refused() -> None:
    make = partial(gymnasium.make, "FrozenLake-v1")
    with pytest.raises(ValueError, match="1 initial states, expected 4"):
        a_seed_for_each_start(make(), 4)


def test_a_cell_of_other_training_has_another_file(tmp_path: Any) -> None:
    def file(training: TrainingConfig = SHORT, steps: int = 2, seeds: int = 2, team: Team = PAIR) -> str:
        return team_cell(CHAIN, team, "hacpo", training, steps, seeds, Sweep()).path(tmp_path).name

    same_name = Team(PAIR.name, PAIR.heterogeneity, (mlp(9, (0, 1)), table((2, 3))))
    changed = (file(TrainingConfig()), file(steps=3), file(seeds=3), file(team=same_name))
    assert len({file(), *changed}) == 5
    assert file() == file()


def test_a_line_of_a_csv_file_is_one_agent_in_one_seed() -> None:
    success = np.arange(12.0).reshape(3, 2, 2) / 10  # steps + 1, agents, seeds
    arrays = {"success": success, "clipped": np.array([[0.5, 0.25], [0.125, 1]])}
    assert list(by_seed(arrays, PAIR)) == [
        ["1: MLP-8", "0", "0.000000", "0.800000", "0.500000"],
        ["1: MLP-8", "1", "0.100000", "0.900000", "0.250000"],
        ["2: table", "0", "0.200000", "1.000000", "0.125000"],
        ["2: table", "1", "0.300000", "1.100000", "1.000000"],
    ]
    np.testing.assert_allclose(final_success(arrays), [0.9, 1.0])
    assert clipped_share("hacpo", arrays) == "47%"  # 1.875/4
    assert clipped_share("gspo", arrays) == ""


def test_the_clipped_share_of_a_learner_is_the_mean_over_the_others() -> None:
    crossed = {"a/b": 0.5, "a/c": 0.25, "b/a": 1.0, "b/c": 0.5, "c/a": 0.0, "c/b": 1.0}
    shares = {"a/a": 0.0, "b/b": 0.0, "c/c": 0.0, **crossed}
    metrics = {f"clip_fraction/{pair}": torch.tensor([share]) for pair, share in shares.items()}
    assert crossed_clip_fraction(metrics, ["a", "b", "c"]).tolist() == [[0.375], [0.75], [0.5]]
    alone = {key: value for key, value in metrics.items() if key[-1] == key[-3]}
    assert np.isnan(crossed_clip_fraction(alone, ["a", "b", "c"])).all()


@pytest.mark.parametrize("wrong", [(0, 0), (), (0, 6), (-1,)])
def test_pairs_that_do_not_exist_are_refused(wrong: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pairs must be different ones of 0 \.\.\. 5, got"):
        check_pairs(wrong, "pairs")
    check_pairs((0, 5), "pairs")
