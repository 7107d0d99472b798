"""The world of long answers, by hand-worked numbers and as a Gymnasium environment."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from hacrl_envs.long_answers import (
    HELD_OUT,
    LongAnswerEnv,
    LongAnswerFeatures,
    LongAnswerTask,
    draw_rules,
    long_answer_world,
)
from hacrl_lab.errors import SettingError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream

TASK = LongAnswerTask(length=5, decisive=2, symbols=3, skills=2, attributes=6, period=2)


def test_a_question_is_a_skill_and_binary_digits_of_attributes() -> None:
    skill, attributes = TASK.parts(torch.tensor([0, 64 + 5]))
    assert skill.tolist() == [0, 1]
    assert attributes.tolist() == [[-1] * 6, [1, -1, 1, -1, -1, -1]]
    assert TASK.questions == 128


def test_features_of_a_question_stand_in_the_place_of_its_skill() -> None:
    assert TASK.features(torch.tensor(64 + 5)).tolist() == [0] * 7 + [1, -1, 1, -1, -1, -1, 1]


def test_scores_are_linear_in_attributes_and_constant() -> None:
    weights = torch.zeros(2, 7, 2, 3, dtype=torch.float64)
    weights[1, 0, 0, 2], weights[1, 6, 0, 2], weights[0, 6, 1, 1] = 2.0, 0.5, 9.0
    scores = TASK.scores(weights, torch.tensor([64 + 1, 64]))
    assert scores[:, 0].tolist() == [[0, 0, 2.5], [0, 0, -1.5]]  # +2 and −2 by the first attribute, and the constant
    assert not scores[:, 1].any()  # the other skill's


def test_secret_scores_are_standard_normal_and_every_symbol_is_right_as_often() -> None:
    task = LongAnswerTask(skills=1, symbols=4)
    rules = draw_rules(task, RandomStream(range(40)))
    assert not rules[..., -1, :, :].any()  # no constant
    questions = RandomStream(range(40), 1).integers(task.questions, 200)
    scores = task.scores(rules, questions)
    # 64,000 scores of 320 independent rules; a rule's mean square has variance 2/16, so the mean's std is 0.02
    assert float(scores.square().mean()) == pytest.approx(1, abs=0.1)  # 5 stds: false alarm < 1e-6
    # over 320 decisive tokens the share of a symbol has std ≈ √(3/16)/√320 or less were all questions one: 5.5 stds
    counts = torch.bincount(scores.argmax(-1).flatten(), minlength=4) / scores.argmax(-1).numel()
    assert float((counts - 0.25).abs().max()) < 0.134


def test_only_decisive_tokens_are_verified_and_all_of_them() -> None:
    world = long_answer_world(0, TASK)
    prompts = torch.tensor([7, 90])
    right = world.right_tokens(prompts)
    style = torch.tensor([[0, 1, 2], [2, 2, 2]])
    answers = torch.stack([torch.cat([style, right], -1), torch.cat([style.flip(0), right], -1)], dim=1)
    wrong = answers.clone()
    wrong[..., 3] = (wrong[..., 3] + 1) % 3
    both = torch.cat([answers, wrong], dim=1)
    mask = torch.ones_like(both, dtype=torch.bool)
    assert world.verify(prompts, RolloutBatch("a", both, mask[..., 0])).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]


def test_held_out_questions_are_never_asked_and_are_like_all_others() -> None:
    task = LongAnswerTask()
    held = task.held_out(4096)
    assert len(held.unique()) == 4096
    assert bool(task.is_held_out(held).all())
    asked = long_answer_world(0, task).sample_prompts(100_000, RandomStream(0))
    assert not task.is_held_out(asked).any()
    share = task.is_held_out(torch.arange(task.questions)).double().mean()
    assert float(share) == pytest.approx(1 / HELD_OUT, rel=0.01)
    # of independent fair coins, 4,096 of them: the mean of ±1 has std 1/64; 80 numbers, 6 stds
    skill, attributes = task.parts(held)
    assert float(attributes.mean(0).abs().max()) < 6 / 64
    assert (torch.bincount(skill) / 4096 - 0.25).abs().max() < 6 * 0.433 / 64
    with pytest.raises(SettingError, match=r"count must be 1 \.\.\. "):
        task.held_out(task.questions)


def test_questions_practically_never_repeat() -> None:
    questions = long_answer_world(0, LongAnswerTask()).sample_prompts(960, RandomStream(0))  # of 60 steps of 16
    assert len(questions.unique()) > 950


def test_every_seed_has_rules_of_its_own_those_that_it_has_alone() -> None:
    both, alone = long_answer_world([3, 4], TASK), long_answer_world(4, TASK)
    assert torch.equal(both.rules[1], alone.rules)
    assert not torch.equal(both.rules[0], alone.rules)


def test_networks_observe_the_place_the_symbol_before_and_the_question_where_it_decides() -> None:
    features = LongAnswerFeatures(TASK)
    seen = features(torch.tensor([64 + 1]), torch.tensor([[0, 2, 1, 0, 1]]))[0]
    assert seen.shape == (5, features.size)
    places, before, question = seen.split([4, 3, 8], dim=-1)
    assert places.argmax(-1).tolist() == [0, 1, 0, 2, 3]
    assert before.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert not question[:3].any()
    assert question[3].tolist() == question[4].tolist() == [0, 1, 1, -1, -1, -1, -1, -1]
    jointly = LongAnswerFeatures(TASK, jointly=True)
    first, second = jointly(torch.tensor([64 + 1]), torch.zeros(1, 5, dtype=torch.int64))[0, 3:, 7:]
    alone = TASK.features(torch.tensor(64 + 1)).tolist()
    assert first.tolist() == [*alone, *[0] * 14]
    assert second.tolist() == [*[0] * 14, *alone]
    assert jointly.size == 7 + 28


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"length": 2}, "length must exceed decisive = 2, got 2"),
        ({"decisive": 0}, "decisive must be ≥ 1, got 0"),
        ({"symbols": 1}, "symbols must be ≥ 2, got 1"),
        ({"attributes": 5}, "attributes must be ≥ 6, got 5"),
    ],
)
def test_impossible_sizes_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        LongAnswerTask(**wrong)


def test_the_environment_passes_gymnasiums_check() -> None:
    env = gymnasium.make("hacrl_lab/LongAnswers-v0", length=4)
    check_env(env.unwrapped, skip_render_check=True)


def test_the_environment_asks_and_rewards_as_the_world_does() -> None:
    env = LongAnswerEnv(length=5, symbols=3, skills=2, attributes=6, rule_seed=3)
    world = long_answer_world(3, env.task)
    for seed in range(6):
        seen, _ = env.reset(seed=seed)
        number = int(seen[0]) * 64 + int((seen[1:7] * 2 ** np.arange(6)).sum())
        right = world.right_tokens(torch.tensor([number]))[0].tolist()
        answer = [0, 1, 2, *right] if seed % 2 else [0, 1, 2, right[0], (right[1] + 1) % 3]
        for position, action in enumerate(answer):
            seen, reward, terminated, truncated, _ = env.step(np.int64(action))
            assert (seen[-2], seen[-1]) == (position + 1, action + 1)
            assert (terminated, truncated) == (position == 4, False)
            assert reward == (seed % 2 if terminated else 0)
        with pytest.raises(ValueError, match="a reset after the end"):
            env.step(np.int64(0))
