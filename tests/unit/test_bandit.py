import itertools
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import hacrl_envs  # noqa: F401 - registers the environment
from hacrl_envs.bandit import BanditWorld, ContextFeatures, ContextualBanditEnv, bandit_world, draw_answers
from hacrl_lab.errors import SettingError
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream

ID = "hacrl_lab/ContextualBandit-v0"


def answers_to(actions: torch.Tensor) -> RolloutBatch:
    mask = torch.ones_like(actions).bool()
    return RolloutBatch("somebody", actions, mask[..., 0])


def bare_env(**settings: Any) -> ContextualBanditEnv:
    env = gymnasium.make(ID, **settings).unwrapped
    assert isinstance(env, ContextualBanditEnv)
    return env


def play(env: gymnasium.Env, actions: list[int], seed: int | None = None) -> tuple[list[list[int]], list[float], bool]:
    """One episode's observations, rewards and whether its last step ended it."""
    observation, _ = env.reset(seed=seed)
    observations, rewards, ended = [observation.tolist()], [], False
    for action in actions:
        assert not ended
        observation, reward, ended, truncated, _ = env.step(np.int64(action))
        assert not truncated
        observations.append(observation.tolist())
        rewards.append(float(reward))
    return observations, rewards, ended


@pytest.mark.parametrize("length", [1, 3])
def test_environment_passes_gymnasiums_checks(length: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(bare_env(length=length))


@pytest.mark.parametrize(("share", "right"), [(0.25, 4), (0.01, 1), (1.0, 16), (0.6, 10)])
def test_every_context_has_its_share_of_right_answers(share: float, right: int) -> None:
    # of 4² = 16 sequences; 0.6·16 = 9.6 is rounded, 0.01·16 raised to one
    table = draw_answers(contexts=50, space=ResponseSpace(4, 2), right_share=share, stream=RandomStream(0))
    assert table.shape == (50, 16)
    assert (table.sum(-1) == right).all()


def test_right_answers_lie_anywhere() -> None:
    # of 2000 contexts a sequence is right in 500 ± 19.4; six standard deviations are passed with less than 1e-6
    counts = draw_answers(contexts=2000, space=ResponseSpace(4, 1), right_share=0.25, stream=RandomStream(0)).sum(0)
    assert ((counts - 500).abs() < 6 * 19.4).all()


def test_each_seed_has_the_table_that_it_has_alone() -> None:
    together = bandit_world([3, 4], length=2).answers
    assert torch.equal(together[0], bandit_world(3, length=2).answers)
    assert torch.equal(together[1], bandit_world(4, length=2).answers)
    assert not torch.equal(together[0], together[1])


def test_world_rewards_right_sequences_of_the_asked_context() -> None:
    # context 0: only 1, 0 (number 2) is right; context 1: only 0, 1 (number 1)
    table = torch.tensor([[False, False, True, False], [False, True, False, False]])
    actions = torch.tensor([[[1, 0], [0, 1]], [[1, 0], [0, 1]]])
    rewards = BanditWorld(table, ResponseSpace(2, 2)).verify(torch.tensor([1, 0]), answers_to(actions))
    assert rewards.tolist() == [[0, 1], [1, 0]]
    assert rewards.dtype == torch.float64


def test_world_keeps_seeds_apart() -> None:
    world, prompts = bandit_world([3, 4], contexts=5, length=2), torch.tensor([[0, 1, 4], [2, 2, 3]])
    actions = RandomStream(0).integers(4, 2, 3, 6, 2)  # (seeds, P, G, T)
    rewards = world.verify(prompts, answers_to(actions))
    for s, seed in enumerate((3, 4)):
        alone = bandit_world(seed, contexts=5, length=2).verify(prompts[s], answers_to(actions[s]))
        assert torch.equal(rewards[s], alone)
    assert rewards.unique().tolist() == [0, 1]


def test_prompts_are_all_contexts_and_no_others() -> None:
    prompts = bandit_world([0, 1], contexts=5).sample_prompts(500, RandomStream([0, 1], 7))
    assert prompts.shape == (2, 500)
    assert prompts.unique().tolist() == [0, 1, 2, 3, 4]


def test_environment_has_the_table_of_its_answer_seed() -> None:
    for seed in (0, 6):
        expected = bandit_world(seed, contexts=20, length=2).answers
        assert (bare_env(contexts=20, length=2, answer_seed=seed).answers == expected.numpy()).all()


@pytest.mark.parametrize("length", [1, 2])
def test_environment_and_world_give_the_same_rewards(length: int) -> None:
    env = bare_env(contexts=4, actions=3, length=length, right_share=0.4, answer_seed=6)
    world = bandit_world(6, contexts=4, actions=3, length=length, right_share=0.4)
    seen = set()
    for seed, actions in itertools.product(range(12), itertools.product(range(3), repeat=length)):
        observations, rewards, ended = play(env, list(actions), seed)
        context = observations[0][0]
        expected = world.verify(torch.tensor([context]), answers_to(torch.tensor([[actions]]))).item()
        assert (rewards[-1], ended) == (expected, True)
        assert rewards[:-1] == [0] * (length - 1)
        seen.add((context, actions))
    assert len(seen) == 4 * 3**length  # every context with every sequence


def test_environments_run_side_by_side() -> None:
    many = gymnasium.make_vec(ID, num_envs=3, vectorization_mode="sync", actions=2, right_share=0.5, answer_seed=2)
    observations, _ = many.reset(seed=4)
    assert observations.shape == (3, 1)
    table = bandit_world(2, actions=2, right_share=0.5).answers  # one of two actions is right
    _, rewards, terminated, *_ = many.step(np.array([0, 1, 0]))
    assert rewards.tolist() == [
        float(table[row[0], action]) for row, action in zip(observations, (0, 1, 0), strict=True)
    ]
    assert terminated.all()
    many.close()


def test_features_are_the_context_the_position_and_the_action_before() -> None:
    # 3 contexts, 2 positions, 2 actions and a place for none; the second of two actions follows action 1
    seen = ContextFeatures(3, ResponseSpace(2, 2))(torch.tensor([2]), torch.tensor([[1, 0]]))[0]
    assert seen.tolist() == [[0, 0, 1, 1, 0, 0, 0, 1], [0, 0, 1, 0, 1, 0, 1, 0]]
    blind = ContextFeatures(3, ResponseSpace(2, 2), remembers=False)
    assert blind.size == 5
    assert blind(torch.tensor([2]), torch.tensor([[1, 0]]))[0].tolist() == [[0, 0, 1, 1, 0], [0, 0, 1, 0, 1]]


def test_observation_shows_the_context_and_the_actions_so_far() -> None:
    env = bare_env(contexts=6, actions=4, length=3)
    observations, _, _ = play(env, [3, 0, 2], seed=0)
    context = observations[0][0]
    assert observations == [[context, 0, 0], [context, 4, 0], [context, 4, 1], [context, 4, 1]]
    assert all(env.observation_space.contains(np.array(observation)) for observation in observations)
    assert env.observation_space == gymnasium.spaces.MultiDiscrete([6, 5, 5])
    assert env.action_space == gymnasium.spaces.Discrete(4)


def test_same_seeds_give_the_same_episodes() -> None:
    def episodes(seed: int) -> list[Any]:
        env = gymnasium.make(ID, length=2, contexts=50, answer_seed=1)
        return [play(env, [3, 1], seed)] + [play(env, [a, b]) for a, b in itertools.product(range(4), repeat=2)]

    assert episodes(0) == episodes(0)
    assert episodes(0) != episodes(1)


def test_answer_seed_changes_the_answers_and_not_the_contexts() -> None:
    first, second = (bare_env(contexts=50, answer_seed=seed) for seed in (0, 1))
    assert (first.answers != second.answers).any()
    contexts = [[play(env, [0], seed)[0][0] for seed in range(10)] for env in (first, second)]
    assert contexts[0] == contexts[1]


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="symbols and length must be ≥ 1, got 4 and 0"):
        bandit_world(0, length=0)
    with pytest.raises(SettingError, match="contexts must be ≥ 1, got 0"):
        bandit_world(0, contexts=0)


@pytest.mark.parametrize("share", [0.0, 1.1, -0.5])
def test_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(SettingError, match=rf"right_share must be in \(0, 1\], got {share}"):
        bandit_world(0, right_share=share)


def test_steps_that_make_no_sense_are_refused() -> None:
    env = gymnasium.make("hacrl_lab/ContextualBandit-v0").unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="step needs an action in Discrete"):
        env.step(7)
    env.step(0)
    with pytest.raises(ValueError, match="a reset after the end"):
        env.step(0)
