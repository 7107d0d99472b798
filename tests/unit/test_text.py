from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
import torch

from hacrl_envs.arithmetic import ArithmeticWorld
from hacrl_envs.stories import draw_story
from hacrl_envs.text import Problem, TextWorld, by_answer, draw_each_once, draw_from
from hacrl_lab.errors import LabError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_lab.worlds import TextPrompts


class SameText:
    """Stands in for the verifier: a response is right when it is the answer to the letter."""

    undecided = 0

    def rewards(self, responses: Sequence[str], answers: Sequence[str]) -> list[float]:
        return [float(response == answer) for response, answer in zip(responses, answers, strict=True)]


VERIFIER = cast(MathVerifier, SameText())
SAME_TEXT = by_answer(VERIFIER)
PROBLEMS = [Problem("1+1?", "2"), Problem("1+2?", "3"), Problem("2+2?", "4")]


def responses_of(texts: list[list[str]]) -> RolloutBatch:
    shape = len(texts), len(texts[0])
    return RolloutBatch("somebody", texts, torch.ones(shape, dtype=torch.bool))


def test_every_response_is_held_against_its_own_prompts_answer() -> None:
    world = TextWorld(draw_from(PROBLEMS), SAME_TEXT)
    world.sample_prompts(40, RandomStream(0))
    prompts = TextPrompts(["1+1?", "1+2?"], [(), ()])
    rewards = world.verify(prompts, responses_of([["2", "3", "2"], ["2", "2", "3"]]))
    assert rewards.tolist() == [[1, 0, 1], [0, 0, 1]]


def test_prompts_are_the_problems_that_were_drawn() -> None:
    world = TextWorld(draw_from(PROBLEMS), SAME_TEXT)
    prompts = world.sample_prompts(40, RandomStream(0))
    assert set(prompts.questions) == {"1+1?", "1+2?", "2+2?"}
    assert len(prompts.questions) == 40
    answers = {problem.question: problem.answer for problem in PROBLEMS}
    right = responses_of([[answers[question]] for question in prompts.questions])
    assert (world.verify(prompts, right) == 1).all()


def test_prompts_of_earlier_steps_are_still_verified() -> None:
    world = TextWorld(draw_from(PROBLEMS), SAME_TEXT)
    first, _ = world.sample_prompts(1, RandomStream(0)), world.sample_prompts(40, RandomStream(1))
    (answer,) = (problem.answer for problem in PROBLEMS if problem.question == first.questions[0])
    assert world.verify(first, responses_of([[answer, "other"]])).tolist() == [[1, 0]]


def test_questions_that_were_not_drawn_cannot_be_verified() -> None:
    world = TextWorld(draw_from(PROBLEMS[:1]), SAME_TEXT)
    world.sample_prompts(3, RandomStream(0))
    with pytest.raises(ValueError, match=r"^the question '1\+2\?' was not drawn by this world$"):
        world.verify(TextPrompts(["1+1?", "1+2?"], [(), ()]), responses_of([["2"], ["3"]]))


def test_a_question_with_two_answers_is_refused() -> None:
    same = TextWorld(draw_from([PROBLEMS[0], PROBLEMS[0]]), SAME_TEXT)
    same.sample_prompts(40, RandomStream(0))
    other = TextWorld(draw_from([PROBLEMS[0], Problem("1+1?", "11")]), SAME_TEXT)
    with pytest.raises(LabError, match=r"^the question '1\+1\?' has two different answers$"):
        other.sample_prompts(40, RandomStream(0))


def test_same_stream_gives_the_same_prompts() -> None:
    world = TextWorld(draw_from(PROBLEMS), SAME_TEXT)
    assert world.sample_prompts(9, RandomStream(0, 1)) == world.sample_prompts(9, RandomStream(0, 1))
    assert world.sample_prompts(9, RandomStream(0, 1)) != world.sample_prompts(9, RandomStream(0, 2))


def test_problems_are_drawn_uniformly() -> None:
    # of 3000 draws each of three comes 1000 ± 25.8 times; six standard deviations are passed with less than 1e-6
    answers = [problem.answer for problem in draw_from(PROBLEMS)(np.random.default_rng(0), 3000)]
    assert all(abs(answers.count(problem.answer) - 1000) < 6 * 25.8 for problem in PROBLEMS)


def test_problems_of_an_evaluation_are_drawn_once_each() -> None:
    draw = draw_each_once(PROBLEMS)
    drawn = draw(np.random.default_rng(0), 256)
    assert len(drawn) == 3
    assert {problem.answer for problem in drawn} == {"2", "3", "4"}
    # each of three is the one that is drawn first in 1000 ± 25.8 of 3000 draws
    first = [draw(np.random.default_rng(seed), 1)[0].answer for seed in range(3000)]
    assert all(abs(first.count(problem.answer) - 1000) < 6 * 25.8 for problem in PROBLEMS)


def test_two_streams_tell_no_story_twice() -> None:
    world = ArithmeticWorld(VERIFIER)
    asked = [set(world.sample_prompts(500, RandomStream(seed)).questions) for seed in (0, 1)]
    assert not asked[0] & asked[1]


def test_arithmetic_world_tells_stories_and_names_their_skills() -> None:
    world = ArithmeticWorld(VERIFIER, least_events=3, most_events=4)
    prompts = world.sample_prompts(20, RandomStream(0, 1))
    generator = RandomStream(0, 1).numpy
    stories = [draw_story(generator, 3, 4) for _ in range(20)]
    assert prompts.questions == [story.question for story in stories]
    right = responses_of([[story.answer, story.answer + "0"] for story in stories])
    assert world.verify(prompts, right).tolist() == [[1, 0]] * 20
    for story, topics in zip(stories, prompts.topics, strict=True):
        skills = [event.skill for event in story.events]
        assert list(topics) == sorted(set(skills), key=skills.index)  # each once, in the story's order
