"""The worlds of the studies: the same for every team, method and number of seeds."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from study.answers import AnswerStudy
from study.base import StudyWorld
from study.lake import a_seed_for_each_start
from study.teams import PAIRS, AgentSpec, Team, mlp, table
from study.training import StudyConfig, train
from study.worlds import BANDIT, CHAIN, LAKE, WORLDS

from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream

PAIR = Team("a pair", "model", (mlp(8, (0, 1)), table((2, 3))))
SHORT = StudyConfig(steps=2, prompts_per_step=4, group_size=2)
every_world = pytest.mark.parametrize("study", WORLDS.values(), ids=WORLDS)


@every_world
def test_seeds_that_train_together_do_what_each_does_alone(study: StudyWorld[Any, Any]) -> None:
    together = train(study, PAIR, "hacpo", SHORT, [3, 5])
    alone = train(study, PAIR, "hacpo", SHORT, [5])
    for key in ("success", "clipped"):
        np.testing.assert_allclose(together[key][..., 1], alone[key][..., 0], rtol=0, atol=1e-12)
    assert together["success"].shape == (3, 2, 2)


@every_world
def test_an_agent_that_is_taught_everything_succeeds_more_than_one_that_is_taught_nothing(
    study: StudyWorld[Any, Any],
) -> None:
    seeds = [0, 1]
    world = study.world(seeds)
    specs = (mlp(32, (0, 1, 2, 3)), AgentSpec("untaught", PAIRS[0].agents[0].network, (0,), updates=0))
    agents = study.make_agents(Team("two", "state", specs), world, seeds)
    taught, untaught = (study.success(agent, world, seeds) for agent in agents)
    assert bool((taught > untaught + 0.3).all())


@pytest.mark.parametrize("study", [CHAIN, BANDIT], ids=["chain", "bandit"])
def test_right_answers_are_those_that_the_world_verifies(study: AnswerStudy[Any]) -> None:
    world = study.world([0, 1])
    answers = study.right_answers(world)
    mask = study.space.mask_of(answers)
    finished = torch.ones(answers.shape[:-1], dtype=torch.bool)
    questions = torch.arange(len(study.skills)).expand(2, -1)
    assert bool((world.verify(questions, RolloutBatch(answers, finished, answers, mask)) == 1).all())


@pytest.mark.parametrize("study", [CHAIN, BANDIT], ids=["chain", "bandit"])
def test_exact_success_is_what_sampling_estimates(study: AnswerStudy[Any]) -> None:
    # 4096 answers to each question: five standard errors of a mean over all questions
    world = study.world([0])
    agent = study.make_agents(PAIR, world, [0])[0]
    questions = torch.arange(len(study.skills)).expand(1, -1)
    right = world.verify(questions, agent.generate(questions, 4096, RandomStream([7])))
    by_question = right.mean(-1)[0]
    error = float((by_question * (1 - by_question) / 4096).sum().sqrt()) / len(study.skills)
    assert abs(float(by_question.mean()) - study.success(agent, world, [0])[0]) < 5 * error


def test_all_right_answers_of_a_bandit_are_counted() -> None:
    world = BANDIT.world([0])
    assert BANDIT.right_answers(world).shape[:-1] == (1, 16, int(world.answers[0, 0].sum()))
    assert int(world.answers[0, 0].sum()) == 3  # 0.05 of 64


def test_the_lake_has_a_way_from_every_corner() -> None:
    assert len(LAKE.world([0]).starts) == 4


def test_a_map_with_too_few_starts_is_refused() -> None:
    make = partial(gymnasium.make, "FrozenLake-v1")
    with pytest.raises(ValueError, match="1 initial states, expected 4"):
        a_seed_for_each_start(make(), 4)
