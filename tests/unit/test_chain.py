import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import hacrl_envs  # noqa: F401 - registers the environment
from hacrl_envs.chain import (
    ChainFeatures,
    ChainTask,
    ChainWorld,
    QuestionFeatures,
    TokenChainEnv,
    chain_answers,
    chain_world,
)
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.errors import SettingError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream

ID = "hacrl_lab/TokenChain-v0"
TASK = ChainTask(skills=2, symbols=3, shortest=1, longest=2)
RULES = torch.tensor([[1, 2, 0], [2, 0, 1]])  # skill 0: a → b → c → a; skill 1: the other way round


def bare_env(**settings: Any) -> TokenChainEnv:
    env = gymnasium.make(ID, **settings).unwrapped
    assert isinstance(env, TokenChainEnv)
    return env


def test_environment_passes_gymnasiums_checks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(bare_env())


def test_environments_run_side_by_side() -> None:
    many = gymnasium.make_vec(ID, num_envs=3, vectorization_mode="sync", longest=2)
    observations, _ = many.reset(seed=0)
    assert observations.shape == (3, 3 + 3)
    _, rewards, *_ = many.step(np.array([0, 1, 4]))
    assert rewards.tolist() == [0, 0, 0]  # an empty answer is never right
    many.close()


def test_answers_follow_the_rules() -> None:
    # questions in order: skill, first letter, length 1 or 2; 3 is the stop
    assert chain_answers(TASK, RULES).tolist() == [
        [1, 3, 0],  # skill 0 from a, one letter: b
        [1, 2, 3],  # b, c
        [2, 3, 0],
        [2, 0, 3],
        [0, 3, 0],
        [0, 1, 3],
        [2, 3, 0],  # skill 1 from a: c
        [2, 1, 3],  # c, b
        [0, 3, 0],
        [0, 2, 3],
        [1, 3, 0],
        [1, 0, 3],
    ]


def test_questions_are_numbered_by_skill_letter_and_length() -> None:
    skill, letter, length = TASK.parts(torch.arange(12))
    assert skill.tolist() == [0] * 6 + [1] * 6
    assert letter.tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert length.tolist() == [1, 2] * 6


def test_only_the_whole_right_answer_with_its_stop_is_rewarded() -> None:
    world = ChainWorld(TASK, RULES)
    answers = torch.tensor([[[1, 2, 3], [1, 3, 0], [1, 2, 0], [1, 1, 3], [2, 2, 3]]])
    finished = (answers == 3).any(-1)
    batch = RolloutBatch("somebody", answers, finished)
    assert world.verify(torch.tensor([1]), batch).tolist() == [[1, 0, 0, 0, 0]]
    assert world.verify(torch.tensor([0]), batch).tolist() == [[0, 1, 0, 0, 0]]


def test_an_answer_that_was_cut_off_is_wrong() -> None:
    # whatever stands in the array: the sampler says that it did not stop by itself
    world = ChainWorld(TASK, RULES)
    answers = torch.tensor([[[1, 2, 3], [1, 2, 3]]])
    batch = RolloutBatch("somebody", answers, torch.tensor([[True, False]]))
    assert world.verify(torch.tensor([1]), batch).tolist() == [[1, 0]]


def test_each_seed_has_rules_of_its_own_the_same_as_alone() -> None:
    together = chain_world([3, 4], ChainTask())
    assert torch.equal(together.answers[0], chain_world(3, ChainTask()).answers)
    assert torch.equal(together.answers[1], chain_world(4, ChainTask()).answers)
    assert not torch.equal(together.answers[0], together.answers[1])


def test_every_skill_is_a_permutation() -> None:
    rules = chain_world(range(50), ChainTask(symbols=5)).rules
    assert (rules.sort(-1).values == torch.arange(5)).all()
    assert len({tuple(row.tolist()) for row in rules.flatten(0, 1)}) > 50


def test_a_policy_that_knows_the_answers_reaches_the_best_reward() -> None:
    world = chain_world(0, ChainTask())
    logits = torch.full((world.task.questions, world.space.length, world.space.actions), -torch.inf)
    logits.scatter_(-1, world.answers.unsqueeze(-1), 0.0)
    agent = TabularAgent("knows", logits, world.space)
    prompts = torch.arange(world.task.questions)
    assert (world.verify(prompts, agent.generate(prompts, 2, RandomStream(0))) == 1).all()


def test_environment_and_world_give_the_same_rewards() -> None:
    env = bare_env(skills=2, symbols=2, longest=2, rule_seed=5)
    world = chain_world(5, env.task)
    space, seen = world.space, set()
    for seed in range(40):
        for tokens, mask in zip(space.tokens, space.mask, strict=True):
            observation, _ = env.reset(seed=seed)
            skill, letter, length = observation[:3].tolist()
            question = (skill * 2 + letter) * 2 + length
            reward, ended = 0.0, False
            for action in tokens[mask].tolist():
                assert not ended
                assert reward == 0
                _, reward, ended, _, _ = env.step(np.int64(action))
            batch = RolloutBatch("somebody", tokens[None, None], (tokens == 2).any()[None, None])
            assert ended
            assert world.verify(torch.tensor([question]), batch).item() == reward
            seen.add((question, reward))
    assert len(seen) == 16  # every question, answered rightly and wrongly


def test_observation_shows_the_question_and_the_actions_so_far() -> None:
    env = bare_env(longest=2)
    observation, _ = env.reset(seed=0)
    assert observation[3:].tolist() == [0, 0, 0]
    observation, *_ = env.step(np.int64(2))
    assert observation[3:].tolist() == [3, 0, 0]
    observation, _, ended, _, _ = env.step(np.int64(4))
    assert observation[3:].tolist() == [3, 5, 0]
    assert ended
    with pytest.raises(ValueError, match="a reset after the end"):
        env.step(np.int64(0))


@pytest.mark.parametrize("make", [ChainFeatures, QuestionFeatures, lambda task: ChainFeatures(task, jointly=True)])
def test_features_know_the_past_and_not_the_future(make: Any) -> None:
    features = make(TASK)
    prompts, tokens = torch.tensor([1, 8]), torch.tensor([[0, 1, 2], [2, 2, 2]])
    seen = features(prompts, tokens)
    assert seen.shape == (2, 3, features.size)
    for t in range(3):
        changed = tokens.clone()
        changed[..., t:] = 3
        assert torch.equal(features(prompts, changed)[..., : t + 1, :], seen[..., : t + 1, :])


def test_chain_features_say_skill_last_letter_and_letters_to_come() -> None:
    # question 8: skill 1, first letter 1, length 1; then the actions 2 and stop
    seen = ChainFeatures(TASK)(torch.tensor([8]), torch.tensor([[2, 3, 0]]))[0]
    skill, last, to_come = seen.split([2, 4, 4], dim=-1)
    assert skill.argmax(-1).tolist() == [1, 1, 1]
    assert last.argmax(-1).tolist() == [1, 2, 3]
    assert to_come.argmax(-1).tolist() == [2, 1, 0]  # one letter, none (the stop), one too many
    assert (seen.sum(-1) == 3).all()


@pytest.mark.parametrize("sizes", [{"skills": 0}, {"symbols": 1}, {"shortest": 0}, {"shortest": 3, "longest": 2}])
def test_impossible_sizes_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(SettingError, match="must be"):
        ChainTask(**sizes)
