"""The arithmetic world: quantity stories of :mod:`hacrl_envs.stories`, as many as one likes."""

from __future__ import annotations

from hacrl_envs.stories import draw_story
from hacrl_envs.text import Problem, TextWorld, by_answer
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.verifier import MathVerifier


class ArithmeticWorld(TextWorld):
    r"""Stories in which a quantity changes a few times; the answer is a whole number or a half.

    There are so many stories that two streams practically never tell the same one: training, validation and the test
    draw from the same world, each from a stream of its own.

    Args:
        verifier: decides equality; ``8.5`` and ``\frac{17}{2}`` are the same answer.
        least_events, most_events: changes in a story, which make it harder.
    """

    def __init__(self, verifier: MathVerifier, least_events: int = 2, most_events: int = 3) -> None:
        def draw(stream: RandomStream, count: int) -> list[Problem]:
            rng = stream.numpy
            stories = [draw_story(rng, least_events, most_events) for _ in range(count)]
            return [
                Problem(story.question, story.answer, tuple(dict.fromkeys(event.skill for event in story.events)))
                for story in stories
            ]

        super().__init__(draw, by_answer(verifier), verifier)
