"""A world of long answers: a few tokens decide whether an answer is right, the others are a matter of style.

A question asks for a skill and has attributes, each +1 or −1. The last ``decisive`` tokens of an answer must be the
right ones; a skill is a secret linear rule for each of them, which says from the attributes which symbol is right. All
tokens before them may be anything: agents differ in what they usually write there. Answers of language models are like
that: two models reason in different words, and a few of their words decide.

Since ``length`` is free, the same skills and the same styles can be studied in answers of three tokens and of hundreds.
Questions practically never repeat (262,144 of them by default), and a 64th of them is held out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from hacrl_lab.errors import SettingError
from hacrl_lab.responses import ResponseSpace, one_hot
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream, Seeds

HELD_OUT = 64
"""One question in so many is held out."""
_HASH = 2654435761  # Knuth's multiplicative hash, so that held-out questions are like all others


@dataclass(frozen=True)
class LongAnswerTask:
    """The sizes of a world of long answers.

    Questions are numbered with the skill as most significant part, then one binary digit for each attribute.
    """

    length: int = 64
    """L, tokens in an answer."""
    decisive: int = 2
    """c, the last tokens of an answer, which decide."""
    symbols: int = 8
    """Symbols to choose from at every position."""
    skills: int = 4
    """Sub-skills, each with rules of its own."""
    attributes: int = 16
    """Attributes of a question, on which the right symbols depend."""
    period: int = 4
    """Style tokens have places 0, 1 ... period − 1, 0 ...; agents have habits for each place."""

    def __post_init__(self) -> None:
        for name, least in (("decisive", 1), ("symbols", 2), ("skills", 1), ("attributes", 6), ("period", 1)):
            if getattr(self, name) < least:
                raise SettingError(f"{name} must be ≥ {least}, got {getattr(self, name)}")
        if self.length <= self.decisive:
            raise SettingError(f"length must exceed decisive = {self.decisive}, got {self.length}")

    @property
    def style_tokens(self) -> int:
        """N = L − c, tokens that do not decide."""
        return self.length - self.decisive

    @property
    def questions(self) -> int:
        """How many questions there are."""
        return self.skills * 2**self.attributes

    @property
    def space(self) -> ResponseSpace:
        """What can be answered: ``length`` symbols."""
        return ResponseSpace(self.symbols, self.length)

    def parts(self, questions: Tensor) -> tuple[Tensor, Tensor]:
        """Skill, (...), and attributes, +1 or −1, (..., attributes), of each question."""
        digits = questions.unsqueeze(-1) // 2 ** torch.arange(self.attributes) % 2
        return questions // 2**self.attributes, digits.double() * 2 - 1

    def features(self, questions: Tensor) -> Tensor:
        """What linear agents observe: the attributes and a 1, in the place of the skill; 0 elsewhere.

        Returns:
            (..., skills·(attributes + 1)), float64.
        """
        skill, attributes = self.parts(questions)
        seen = torch.cat([attributes, torch.ones_like(attributes[..., :1])], dim=-1)
        return (one_hot(skill, self.skills).unsqueeze(-1) * seen.unsqueeze(-2)).flatten(-2)

    def scores(self, weights: Tensor, questions: Tensor) -> Tensor:
        """A score of every symbol at every decisive token, linear in the question's features.

        Args:
            weights: (..., skills, attributes + 1, decisive, symbols).
            questions: (..., P), with the weights' leading axes.

        Returns:
            (..., P, decisive, symbols).
        """
        flat = weights.flatten(-4, -3).flatten(-2)
        return (self.features(questions) @ flat).unflatten(-1, (self.decisive, self.symbols))

    def is_held_out(self, questions: Tensor) -> Tensor:
        """Whether a question is kept for evaluation, by a hash of its number: booleans (...)."""
        return questions * _HASH % 2**32 < 2**32 // HELD_OUT

    def held_out(self, count: int) -> Tensor:
        """Held-out questions, evenly over all of them: (count,).

        Raises:
            SettingError: there are not so many.
        """
        kept = _all_held_out(self)
        if not 1 <= count <= len(kept):
            raise SettingError(f"count must be 1 ... {len(kept)}, got {count}")
        return kept[torch.arange(count) * len(kept) // count]


@cache
def _all_held_out(task: LongAnswerTask) -> Tensor:
    numbers = torch.arange(task.questions)
    return numbers[task.is_held_out(numbers)]


def draw_rules(task: LongAnswerTask, stream: RandomStream) -> Tensor:
    """The secret rules: weights whose scores are standard normal over questions, without a constant.

    Returns:
        (..., skills, attributes + 1, decisive, symbols); the symbol with the largest score is right.
    """
    shape = task.skills, task.attributes, task.decisive, task.symbols
    weights = torch.special.ndtri(stream.uniform(*shape)) / task.attributes**0.5
    return torch.nn.functional.pad(weights, (0, 0, 0, 0, 0, 1))


class LongAnswerWorld:
    """Long answers for agents that write symbols: prompts are question numbers, none of them held out.

    The best possible expected reward is 1.

    Args:
        task: sizes.
        rules: of :func:`draw_rules`; leading axes are seeds.
    """

    def __init__(self, task: LongAnswerTask, rules: Tensor) -> None:
        self.task = task
        self.rules = rules

    def sample_prompts(self, count: int, stream: RandomStream) -> Tensor:
        """Questions, uniformly; one that is held out gives way to the next that is not: (..., P)."""
        questions = stream.integers(self.task.questions, count)
        while bool((held := self.task.is_held_out(questions)).any()):
            questions = torch.where(held, (questions + 1) % self.task.questions, questions)
        return questions

    def right_tokens(self, questions: Tensor) -> Tensor:
        """The right decisive tokens: (..., P) -> (..., P, decisive)."""
        return self.task.scores(self.rules, questions).argmax(-1)

    def verify(self, prompts: Tensor, rollouts: RolloutBatch) -> Tensor:
        """1 if all decisive tokens are right, else 0: (..., P, G)."""
        given = rollouts.responses[..., self.task.style_tokens :]
        return (given == self.right_tokens(prompts).unsqueeze(-2)).all(-1).double()


def long_answer_world(seeds: Seeds, task: LongAnswerTask) -> LongAnswerWorld:
    """One set of rules per seed, the same as the environment with that ``rule_seed``."""
    return LongAnswerWorld(task, draw_rules(task, RandomStream(seeds)))


class LongAnswerEnv(gymnasium.Env[np.ndarray, np.int64]):
    """Write a long answer whose last tokens decide.

    ## Description
    A question asks for a skill and has binary attributes. The agent writes ``length`` symbols. The last ``decisive`` of
    them must be the right ones, which secret linear rules of the skill give from the attributes; the others may be
    anything.

    ## Action Space
    ``Discrete(symbols)``: the next symbol.

    ## Observation Space
    ``MultiDiscrete``: skill, the attributes as 0 or 1, the position in the answer, the symbol before plus one (0 at the
    beginning).

    ## Rewards
    0 before the end; then 1 if all decisive symbols are right, else 0. The best expected return is 1.

    ## Starting State
    A question drawn uniformly, nothing written.

    ## Episode End
    Terminates after ``length`` symbols.

    ## Arguments
    ``length``, ``decisive``, ``symbols``, ``skills``, ``attributes``: see :class:`LongAnswerTask`. ``rule_seed``: fixes
    the rules; ``reset(seed=...)`` fixes the questions only.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own spelling

    def __init__(
        self,
        length: int = 64,
        decisive: int = 2,
        symbols: int = 8,
        skills: int = 4,
        attributes: int = 16,
        rule_seed: int = 0,
    ) -> None:
        self.task = LongAnswerTask(length, decisive, symbols, skills, attributes)
        self._world = long_answer_world(rule_seed, self.task)
        self.action_space = spaces.Discrete(symbols)
        self.observation_space = spaces.MultiDiscrete([skills, *[2] * attributes, length + 1, symbols + 1])
        self._question = torch.tensor([0])
        self._given: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Draw a question."""
        super().reset(seed=seed, options=options)
        self._question = torch.tensor([int(self.np_random.integers(self.task.questions))])
        self._given = []
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Write a symbol."""
        if len(self._given) == self.task.length or not self.action_space.contains(action):
            raise ValueError(f"step needs an action in {self.action_space} and a reset after the end, got {action!r}")
        self._given.append(int(action))
        ended = len(self._given) == self.task.length
        right = ended and self._given[self.task.style_tokens :] == self._world.right_tokens(self._question)[0].tolist()
        return self._observation(), float(right), ended, False, {}

    def _observation(self) -> np.ndarray:
        skill, attributes = self.task.parts(self._question)
        before = self._given[-1] + 1 if self._given else 0
        seen = [int(skill), *(attributes[0] > 0).int().tolist(), len(self._given), before]
        return np.array(seen, dtype=np.int64)


class LongAnswerFeatures:
    """What a network observes at each position: the place, the symbol before, and, where it decides, the question.

    The place is one of ``period`` style places or one of the decisive tokens, one-hot; the symbol before is one-hot. At
    decisive tokens the skill, one-hot, and the attributes are beside them; with ``jointly`` instead the features of
    linear agents, in which every skill and every decisive token has places of its own.

    Args:
        task: sizes.
        jointly: whether token, skill and attributes are observed as one thing, with which a linear network can know
            several skills.
    """

    def __init__(self, task: LongAnswerTask, jointly: bool = False) -> None:
        self.task = task
        self.jointly = jointly

    @property
    def size(self) -> int:
        """F, the number of features."""
        task = self.task
        joint = task.decisive * task.skills * (task.attributes + 1)
        question = joint if self.jointly else task.skills + task.attributes
        return task.period + task.decisive + task.symbols + question

    def __call__(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """(..., R) and (..., R, T) -> (..., R, T, F)."""
        shape, task = tokens.shape, self.task
        position = torch.arange(shape[-1])
        decides = position >= task.style_tokens
        place = torch.where(decides, task.period + position - task.style_tokens, position % task.period)
        before = one_hot(tokens[..., :-1], task.symbols)
        before = torch.nn.functional.pad(before, (0, 0, 1, 0))  # nothing before the first
        places = one_hot(place, task.period + task.decisive)  # (T, places)
        which = places[:, task.period :] if self.jointly else decides.double().unsqueeze(-1)  # (T, D or 1)
        question = (which.unsqueeze(-1) * self._question(prompts)[..., None, None, :]).flatten(-2)  # (..., R, T, F')
        return torch.cat([places.expand(*shape, -1), before, question], dim=-1)

    def _question(self, prompts: Tensor) -> Tensor:
        """What is observed of the question alone: (..., R) -> (..., R, F'')."""
        if self.jointly:
            return self.task.features(prompts)
        skill, attributes = self.task.parts(prompts)
        return torch.cat([one_hot(skill, self.task.skills), attributes], dim=-1)
