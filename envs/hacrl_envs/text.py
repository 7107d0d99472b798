"""Worlds of written problems: the verifier compares answers, or a function of the user's own rewards responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hacrl_envs.weights import shares
from hacrl_lab.errors import LabError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_lab.worlds import TextPrompts


@dataclass(frozen=True)
class Problem:
    """One problem in words, its exact answer, and what it is about."""

    question: str
    answer: str
    """LaTeX where the verifier compares it."""
    topics: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What else is known about it, for reward functions."""
    source: str = field(default="", compare=False)
    """Where it was read, as the user wrote it."""
    location: str = field(default="", compare=False)
    """File and line, for messages."""


Draw = Callable[[RandomStream, int], Sequence[Problem]]
"""(stream, count) -> so many problems, or fewer if there are no more."""
Grade = Callable[[Sequence[Problem], Sequence[str]], Sequence[float]]
"""(problems, responses) -> the reward of each response to the problem at the same place."""


class TextWorld:
    """Problems in words and the rewards of responses to them.

    Agents are shown the questions; everything else about a problem stays here, by question.

    Args:
        draw: gives some number of problems from a stream of random numbers.
        grade: rewards responses, see :func:`by_answer`.
        verifier: what ``grade`` verifies with, if it does; its answers without a verdict are counted.
    """

    def __init__(self, draw: Draw, grade: Grade, verifier: MathVerifier | None = None) -> None:
        self._draw = draw
        self._grade = grade
        self._verifier = verifier
        self.undecided_share = 0.0
        """Of the responses of the last :meth:`verify`: rewarded 0 because the verifier reached no verdict."""
        self._asked: dict[str, Problem] = {}

    def sample_prompts(self, count: int, stream: RandomStream) -> TextPrompts:
        """Draw ``count`` problems, or fewer if there are no more.

        Raises:
            LabError: a question was drawn before with another answer.
        """
        problems = self._draw(stream, count)
        for problem in problems:
            if self._asked.setdefault(problem.question, problem).answer != problem.answer:
                raise LabError(f"the question {problem.question[:60]!r} has two different answers")
        return as_prompts(problems)

    def verify(self, prompts: TextPrompts, rollouts: RolloutBatch) -> Tensor:
        """The reward of every response: (P, G).

        Raises:
            ValueError: a question that this world has not drawn.
        """
        if unknown := [question for question in prompts.questions if question not in self._asked]:
            raise ValueError(f"the question {unknown[0][:60]!r} was not drawn by this world")
        group = rollouts.finished.shape[-1]
        texts = [text for texts in rollouts.whole_texts for text in texts]
        problems = [self._asked[question] for question in prompts.questions for _ in range(group)]
        before = self._undecided()
        rewards = torch.tensor(self._grade(problems, texts)).reshape(-1, group)
        self.undecided_share = (self._undecided() - before) / max(1, len(texts))
        return rewards

    def _undecided(self) -> int:
        return self._verifier.undecided if self._verifier else 0

    def answers(self, prompts: TextPrompts) -> list[str]:
        """The exact answer to each question that this world has drawn; for people, agents do not see it."""
        return [self._asked[question].answer for question in prompts.questions]


def by_answer(verifier: MathVerifier) -> Grade:
    """Reward 1 for a response whose answer equals the problem's, 0 for any other."""
    return lambda problems, responses: verifier.rewards(responses, [problem.answer for problem in problems])


def as_prompts(problems: Sequence[Problem]) -> TextPrompts:
    """Problems in the form in which agents are asked them: without their answers."""
    return TextPrompts([problem.question for problem in problems], [problem.topics for problem in problems])


def draw_in_epochs(problems: Sequence[Problem], weights: Mapping[str, float] | None = None) -> Draw:
    """Draw in shuffled epochs: each problem is asked once before any is asked again.

    The run has one endless list: the problems in a random order, then in another one, and so on. Step t (from 0) of P
    prompts asks the places t·P to t·P + P − 1 of it. So what a step asks depends on the seed, t and P alone, and a run
    that continues asks what it would have asked.

    Args:
        problems: of one source or of several. Entries with the same question and answer are all replaced by the first
            of them, so that what rewards a response does not depend on which of them a run asks first.
        weights: of each source, by its text. Every place of the list gets a source with probability proportional to
            its weight, and each source is asked in epochs of its own. None or empty: all problems are one source.

    Raises:
        SettingError: a weight that is not > 0.
    """
    first = {(problem.question, problem.answer): problem for problem in reversed(problems)}
    same = [first[problem.question, problem.answer] for problem in problems]
    sets = [[problem for problem in same if problem.source == source] for source in weights] if weights else [same]
    chances = shares(list(weights.values()) if weights else [1.0])

    def draw(stream: RandomStream, count: int) -> list[Problem]:
        begin = stream.step * count
        # numbers for all places up to the last one, so that each place has the same source in every step's view
        sources = stream.elsewhere(Stream.EPOCHS).numpy.choice(len(sets), size=begin + count, p=chances)
        places = np.bincount(sources[:begin], minlength=len(sets))  # each source's next place in its own list
        orders: dict[tuple[int, int], Tensor] = {}
        drawn = []
        for source in sources[begin:].tolist():
            epoch, place = divmod(int(places[source]), len(sets[source]))
            if (source, epoch) not in orders:
                orders[source, epoch] = stream.elsewhere(Stream.EPOCHS, source, epoch).permutation(len(sets[source]))
            drawn.append(sets[source][int(orders[source, epoch][place])])
            places[source] += 1
        return drawn

    return draw


def draw_each_once(problems: Sequence[Problem]) -> Draw:
    """Draw without replacement from a fixed set of problems, each with the same probability; at most all of them."""
    return lambda stream, count: [problems[int(index)] for index in stream.numpy.permutation(len(problems))[:count]]
