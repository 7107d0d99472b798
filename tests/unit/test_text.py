from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from envs.arithmetic import ArithmeticWorld
from envs.stories import draw_story
from envs.text import Problem, TextWorld, draw_from, read_problems
from hacrl_lab.errors import LabError
from hacrl_lab.rollouts import RolloutBatch, TextPrompts
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verifiers import MathVerifier


class SameText:
    """Stands in for the verifier: a response is right when it is the answer to the letter."""

    def rewards(self, responses: Sequence[str], answers: Sequence[str]) -> list[float]:
        return [float(response == answer) for response, answer in zip(responses, answers, strict=True)]


SAME_TEXT = cast(MathVerifier, SameText())
PROBLEMS = [Problem("1+1?", "2"), Problem("1+2?", "3"), Problem("2+2?", "4")]


def responses_of(texts: list[list[str]]) -> RolloutBatch:
    shape = len(texts), len(texts[0])
    nothing: Any = torch.zeros(*shape, 1, dtype=torch.int64)
    return RolloutBatch(texts, torch.ones(shape, dtype=torch.bool), nothing, nothing.bool())


def test_every_response_is_held_against_its_own_prompts_answer() -> None:
    world = TextWorld(draw_from(PROBLEMS), SAME_TEXT)
    prompts = TextPrompts(["1+1?", "1+2?"], ["2", "3"], [(), ()])
    rewards = world.verify(prompts, responses_of([["2", "3", "2"], ["2", "2", "3"]]))
    assert rewards.tolist() == [[1, 0, 1], [0, 0, 1]]


def test_prompts_keep_question_and_answer_together() -> None:
    prompts = TextWorld(draw_from(PROBLEMS), SAME_TEXT).sample_prompts(40, RandomStream(0))
    pairs = set(zip(prompts.questions, prompts.answers, strict=True))
    assert pairs == {("1+1?", "2"), ("1+2?", "3"), ("2+2?", "4")}
    assert len(prompts.questions) == 40


def test_same_stream_gives_the_same_prompts() -> None:
    world = TextWorld(draw_from(PROBLEMS), SAME_TEXT)
    assert world.sample_prompts(9, RandomStream(0, 1)) == world.sample_prompts(9, RandomStream(0, 1))
    assert world.sample_prompts(9, RandomStream(0, 1)) != world.sample_prompts(9, RandomStream(0, 2))


def test_problems_are_drawn_uniformly() -> None:
    # of 3000 draws each of three comes 1000 ± 25.8 times; six standard deviations are passed with less than 1e-6
    draw, generator = draw_from(PROBLEMS), np.random.default_rng(0)
    answers = [draw(generator).answer for _ in range(3000)]
    assert all(abs(answers.count(problem.answer) - 1000) < 6 * 25.8 for problem in PROBLEMS)


def test_arithmetic_world_tells_stories_and_names_their_skills() -> None:
    prompts = ArithmeticWorld(SAME_TEXT, least_events=3, most_events=4).sample_prompts(20, RandomStream(0, 1))
    generator = RandomStream(0, 1).numpy
    for question, answer, topics in zip(prompts.questions, prompts.answers, prompts.topics, strict=True):
        story = draw_story(generator, 3, 4)
        assert (question, answer) == (story.question, story.answer)
        skills = [event.skill for event in story.events]
        assert list(topics) == sorted(set(skills), key=skills.index)  # each once, in the story's order


def test_problem_file_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    text = '{"question": "½ of 1?", "answer": "\\\\frac{1}{2}", "level": 3}\n{"question": "1+1?", "answer": 2}\n'
    path.write_text(text, encoding="utf-8")
    assert read_problems(path) == [Problem("½ of 1?", r"\frac{1}{2}"), Problem("1+1?", "2")]


@pytest.mark.parametrize("line", ["not json", '{"question": "1+1?"}', '["1+1?", "2"]', "3", "null", '"text"'])
def test_line_that_is_no_problem_is_refused_by_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(f'{{"question": "1+1?", "answer": "2"}}\n{line}\n')
    with pytest.raises(LabError, match=r"problems\.jsonl, line 2 is not a JSON object like"):
        read_problems(path)


def test_missing_problem_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"problem file '.*missing\.jsonl' does not exist"):
        read_problems(tmp_path / "missing.jsonl")


def test_empty_problem_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.touch()
    with pytest.raises(LabError, match=r"problem file '.*empty\.jsonl' holds no problem"):
        read_problems(path)


def test_blank_lines_and_unusual_line_separators_are_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"question": "a\u2028b", "answer": "1"}\n\n{"question": "c", "answer": "2"}\n', encoding="utf-8")
    assert [problem.question for problem in read_problems(path)] == ["a\u2028b", "c"]
