from collections.abc import Sequence
from typing import cast

import pytest
import torch

from hacrl_envs.arithmetic import ArithmeticWorld
from hacrl_envs.stories import draw_story
from hacrl_envs.text import Draw, Problem, TextWorld, by_answer, draw_each_once, draw_in_epochs
from hacrl_lab.errors import LabError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream, StepStream
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
    world = TextWorld(draw_in_epochs(PROBLEMS), SAME_TEXT)
    world.sample_prompts(40, RandomStream(0))
    prompts = TextPrompts(["1+1?", "1+2?"], [(), ()])
    rewards = world.verify(prompts, responses_of([["2", "3", "2"], ["2", "2", "3"]]))
    assert rewards.tolist() == [[1, 0, 1], [0, 0, 1]]


def test_prompts_are_the_problems_that_were_drawn() -> None:
    world = TextWorld(draw_in_epochs(PROBLEMS), SAME_TEXT)
    prompts = world.sample_prompts(40, RandomStream(0))
    assert set(prompts.questions) == {"1+1?", "1+2?", "2+2?"}
    assert len(prompts.questions) == 40
    answers = {problem.question: problem.answer for problem in PROBLEMS}
    right = responses_of([[answers[question]] for question in prompts.questions])
    assert (world.verify(prompts, right) == 1).all()


def test_prompts_of_earlier_steps_are_still_verified() -> None:
    world = TextWorld(draw_in_epochs(PROBLEMS), SAME_TEXT)
    first, _ = world.sample_prompts(1, RandomStream(0)), world.sample_prompts(40, RandomStream(1))
    (answer,) = (problem.answer for problem in PROBLEMS if problem.question == first.questions[0])
    assert world.verify(first, responses_of([[answer, "other"]])).tolist() == [[1, 0]]


def test_questions_that_were_not_drawn_cannot_be_verified() -> None:
    world = TextWorld(draw_in_epochs(PROBLEMS[:1]), SAME_TEXT)
    world.sample_prompts(3, RandomStream(0))
    with pytest.raises(ValueError, match=r"^the question '1\+2\?' was not drawn by this world$"):
        world.verify(TextPrompts(["1+1?", "1+2?"], [(), ()]), responses_of([["2"], ["3"]]))


def test_a_question_with_two_answers_is_refused() -> None:
    same = TextWorld(draw_in_epochs([PROBLEMS[0], PROBLEMS[0]]), SAME_TEXT)
    same.sample_prompts(40, RandomStream(0))
    other = TextWorld(draw_in_epochs([PROBLEMS[0], Problem("1+1?", "11")]), SAME_TEXT)
    with pytest.raises(LabError, match=r"^the question '1\+1\?' has two different answers$"):
        other.sample_prompts(40, RandomStream(0))


def test_same_stream_gives_the_same_prompts() -> None:
    world = TextWorld(draw_in_epochs(PROBLEMS), SAME_TEXT)
    assert world.sample_prompts(9, RandomStream(0, 1)) == world.sample_prompts(9, RandomStream(0, 1))
    assert world.sample_prompts(9, RandomStream(0, 1)) != world.sample_prompts(9, RandomStream(0, 2))


def steps(draw: Draw, count: int, prompts: int, seed: int = 0) -> list[list[str]]:
    """The questions of the first steps of a run, each drawn as the training loop draws it."""
    streams = [RandomStream(seed, step, StepStream.PROMPTS) for step in range(count)]
    return [[problem.question for problem in draw(stream, prompts)] for stream in streams]


@pytest.mark.parametrize("prompts", [1, 3, 7, 16, 40])
def test_each_problem_is_asked_once_before_any_is_asked_again(prompts: int) -> None:
    problems = [Problem(f"{n}?", str(n)) for n in range(16)]
    asked = [one for step in steps(draw_in_epochs(problems), 80 // prompts, prompts) for one in step]
    epochs = [asked[start : start + 16] for start in range(0, len(asked), 16)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch)
    assert len(epochs) == 5
    assert set(epochs[0]) == {problem.question for problem in problems}


def test_every_epoch_has_an_order_of_its_own() -> None:
    problems = [Problem(f"{n}?", str(n)) for n in range(30)]
    orders = [tuple(step) for seed in (0, 1) for step in steps(draw_in_epochs(problems), 4, 30, seed)]
    assert len(set(orders)) == 8
    # of 3000 epochs each of three problems begins 1000 ± 25.8; six standard deviations are passed with less than 1e-6
    first = [draw_in_epochs(PROBLEMS)(RandomStream(0, step), 3)[0].answer for step in range(3000)]
    assert all(abs(first.count(problem.answer) - 1000) < 6 * 25.8 for problem in PROBLEMS)


def test_what_a_step_asks_depends_on_the_seed_the_step_and_its_prompts_alone() -> None:
    problems = [Problem(f"{n}?", str(n), source="ab"[n % 2]) for n in range(11)]
    for weights in (None, {"a": 1.0, "b": 2.5}):
        draw = draw_in_epochs(problems, weights)
        whole = steps(draw, 12, 4)
        fresh = draw_in_epochs(problems, weights)
        again = fresh(RandomStream(0, 9, StepStream.PROMPTS), 4)  # without the steps before it
        assert [problem.question for problem in again] == whole[9]
        assert steps(draw, 12, 4) == whole != steps(draw, 12, 4, seed=1)


def test_every_source_of_a_mixture_is_asked_in_epochs_of_its_own() -> None:
    problems = [Problem(f"{n}?", str(n), source="few" if n < 3 else "many") for n in range(20)]
    asked = [one for step in steps(draw_in_epochs(problems, {"few": 1.0, "many": 1.0}), 40, 4) for one in step]
    few = {problem.question for problem in problems if problem.source == "few"}
    for chosen, size in (([one for one in asked if one in few], 3), ([one for one in asked if one not in few], 17)):
        epochs = [chosen[start : start + size] for start in range(0, len(chosen) - size + 1, size)]
        assert len(epochs) > 2
        assert all(len(set(epoch)) == size for epoch in epochs)


def test_entries_of_one_question_are_all_the_first_one() -> None:
    problems = [Problem("1+1?", "2", columns={"level": level}) for level in range(5)]
    for seed in range(5):
        assert [one.columns for one in draw_in_epochs(problems)(RandomStream(seed), 5)] == [{"level": 0}] * 5


def test_problems_of_an_evaluation_are_drawn_once_each() -> None:
    draw = draw_each_once(PROBLEMS)
    drawn = draw(RandomStream(0), 256)
    assert len(drawn) == 3
    assert {problem.answer for problem in drawn} == {"2", "3", "4"}
    # each of three is the one that is drawn first in 1000 ± 25.8 of 3000 draws
    first = [draw(RandomStream(seed), 1)[0].answer for seed in range(3000)]
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
