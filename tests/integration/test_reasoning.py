"""Reasoning Gym's own generators and verifiers as a world; skipped without the extra ``tasks``."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from hacrl_envs.held_out import Part, is_held_out
from hacrl_envs.reasoning import ReasoningWorld, Task, parse_task
from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.answer_rules import ANSWER_RULES

reasoning_gym = pytest.importorskip("reasoning_gym")

pytestmark = pytest.mark.extras

SUMS = Task("chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2})
GCD = Task("gcd")
PARTS: tuple[Part, ...] = ("training", "validation", "test")
SLOW = {  # seconds for a question, or no question without settings
    *("arc_agi", "codeio", "composite", "figlet_font", "futoshiki", "group_anagrams", "intermediate_integration"),
    *("knight_swap", "puzzle24", "rush_hour", "spell_backward", "word_ladder", "zebra_puzzles"),
}

NO_ANSWERS = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube"}
"""Of the quick ones, those that have a verifier and tell no answer."""
REWARDS_ANYTHING = {"game_of_life_halting"}
"""Whose verifier, as of 0.1.25, takes any text for "no"."""


def world(*tasks: Task, rule: str = "last_number", **others: str) -> ReasoningWorld:
    return ReasoningWorld(tasks, ANSWER_RULES[rule], **others)  # type: ignore[index, arg-type]


def responses(texts: Sequence[Sequence[str]]) -> RolloutBatch:
    return RolloutBatch("a", texts, torch.ones(len(texts), len(texts[0]), dtype=torch.bool))


def value_of(question: str) -> int:
    """What Python says of the sum that a question asks for."""
    return eval(question.rpartition(":")[2].strip(" =."), {"__builtins__": {}})


def test_right_and_wrong_answers_are_rewarded_by_the_tasks_own_verifier() -> None:
    sums = world(SUMS)
    prompts = sums.sample_prompts(20, RandomStream(0))
    right = [value_of(question) for question in prompts.questions]
    given = [[f"It is {value}.", f"It is {value + 1}.", "I do not know."] for value in right]
    rewards = sums.verify(prompts, responses(given))
    assert rewards.shape == (20, 3)
    assert rewards[:, 0].tolist() == [1] * 20
    assert bool((rewards[:, 1] < 1).all())
    assert rewards[:, 2].tolist() == [0] * 20


def test_the_same_stream_draws_the_same_questions() -> None:
    first, again = (world(SUMS, GCD).sample_prompts(10, RandomStream(3, 1)) for _ in range(2))
    assert first == again
    assert first != world(SUMS, GCD).sample_prompts(10, RandomStream(3, 2))


def test_a_mixture_draws_each_task_in_proportion_to_its_weight() -> None:
    mixed = world(SUMS, Task("gcd", weight=3.0))
    topics = [topic for (topic,) in mixed.sample_prompts(2000, RandomStream(0)).topics]
    share = topics.count("gcd") / 2000
    assert abs(share - 0.75) < 5 * (0.75 * 0.25 / 2000) ** 0.5  # false alarm 6e-7
    assert set(topics) == {"gcd", "chain_sum"}


def test_no_question_is_asked_both_in_training_and_in_a_test() -> None:
    few = Task("chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1})
    parts = [world(few, part=part) for part in ("training", "test")]
    training, test = (set(part.sample_prompts(300, RandomStream(0)).questions) for part in parts)
    assert training
    assert test
    assert not training & test
    assert all(is_held_out(question) for question in test)
    parts = [ReasoningWorld([few], ANSWER_RULES["last_number"], part, validation=0.5) for part in PARTS]
    asked = [set(part.sample_prompts(300, RandomStream(0)).questions) for part in parts]
    assert all(asked)
    assert sum(map(len, asked)) == len(set.union(*asked))
    assert asked[2] == test  # validation takes from training only


def test_every_registered_task_can_be_drawn_and_gives_its_own_answer_all_of_the_reward() -> None:
    names = sorted(reasoning_gym.factory.DATASETS)
    assert len(names) >= 100
    quick = [name for name in names if name not in SLOW]
    for name in quick:
        one = world(Task(name), rule="whole")
        prompts = one.sample_prompts(1, RandomStream(1))
        nonsense = float(one.verify(prompts, responses([["@@@"]])))
        assert (nonsense == 1) == (name in REWARDS_ANYTHING), name
        if name in NO_ANSWERS:
            with pytest.raises(LabError, match="not all have answers to demonstrate"):
                one.answers(prompts)
        else:
            assert float(one.verify(prompts, responses([one.answers(prompts)]))) == 1, name


def test_a_question_that_was_not_drawn_here_is_refused() -> None:
    prompts = world(SUMS).sample_prompts(1, RandomStream(0))
    with pytest.raises(ValueError, match="was not drawn by this world"):
        world(SUMS).verify(prompts, responses([["1"]]))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task("no_such_task"), "no_such_task"),
        (Task("chain_sum", {"min_terms": -1}), "min_terms"),
        (Task("chain_sum", {"colour": 1}), "colour"),
        (Task("gcd", weight=0.0), "weights"),
    ],
)
def test_impossible_tasks_are_refused(task: Task, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        world(task)


def test_impossible_shares_for_validation_are_refused() -> None:
    with pytest.raises(SettingError, match=r"^validation must be in \[0, 1\), got 1\.0$"):
        ReasoningWorld([GCD], ANSWER_RULES["whole"], validation=1.0)
    with pytest.raises(SettingError, match=r"^validation must be > 0 for a world that asks"):
        ReasoningWorld([GCD], ANSWER_RULES["whole"], "validation")


@pytest.mark.parametrize("text", ["chain_sum:min_terms", "gcd*often", "gcd:a=1,b"])
def test_tasks_that_are_written_otherwise_are_refused(text: str) -> None:
    with pytest.raises(SettingError, match="is not NAME:SETTING=VALUE"):
        parse_task(text)


def test_settings_are_numbers_words_or_lists() -> None:
    assert parse_task("gcd").settings == {}
    assert parse_task("x:a=1,b=0.5,c=true,d=word").settings == {"a": 1, "b": 0.5, "c": True, "d": "word"}
