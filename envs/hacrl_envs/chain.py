"""A token-chain world: variable-length responses, a terminal verifiable reward, several sub-skills.

A question names a skill, a first letter and a length. A skill is a secret permutation of the letters: the answer starts
with the letter that follows the first one, then the letter that follows that, ``length`` letters in all, and a stop. An
agent that knows how one letter follows another in a skill can answer all of its questions.
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class ChainTask:
    """The sizes of a token-chain world, its difficulty knobs.

    Questions are numbered with the skill as most significant digit, then the first letter, then the length.
    """

    skills: int = 3
    """Sub-skills, each a permutation of its own."""
    symbols: int = 4
    """Number of letters."""
    shortest: int = 1
    """Letters in the shortest answer."""
    longest: int = 3
    """Letters in the longest; harder than many skills, since one wrong letter makes the answer wrong."""

    def __post_init__(self) -> None:
        if self.skills < 1 or self.symbols < 2:
            raise SettingError(f"skills must be ≥ 1 and symbols ≥ 2, got {self.skills} and {self.symbols}")
        if not 1 <= self.shortest <= self.longest:
            raise SettingError(f"lengths must be 1 ≤ shortest ≤ longest, got {self.shortest} and {self.longest}")

    @property
    def lengths(self) -> int:
        """How many different lengths there are."""
        return self.longest - self.shortest + 1

    @property
    def questions(self) -> int:
        """How many questions there are."""
        return self.skills * self.symbols * self.lengths

    @property
    def space(self) -> ResponseSpace:
        """What can be answered: up to ``longest`` letters and a stop."""
        return ResponseSpace(self.symbols, self.longest + 1, stops=True)

    def parts(self, questions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Skill, first letter and answer's length of each question: three arrays of the questions' shape.

        >>> [part.item() for part in ChainTask(skills=3, symbols=4, shortest=1, longest=3).parts(torch.tensor(16))]
        [1, 1, 2]
        """
        length = questions % self.lengths + self.shortest
        rest = questions // self.lengths
        return rest // self.symbols, rest % self.symbols, length


def draw_rules(task: ChainTask, stream: RandomStream) -> Tensor:
    """A permutation of the letters for each skill, at random: (..., skills, symbols), entry a is what follows a."""
    return stream.uniform(task.skills, task.symbols).argsort(-1)


def chain_answers(task: ChainTask, rules: Tensor) -> Tensor:
    """The one right answer to every question, stop included, 0 after its end: (..., questions, longest + 1).

    Args:
        task: sizes.
        rules: of :func:`draw_rules`, (..., skills, symbols).
    """
    skill, letter, length = task.parts(torch.arange(task.questions))
    flat = rules.flatten(-2)  # (..., skills·symbols)
    letter = letter.expand(*rules.shape[:-2], -1)
    answers = torch.zeros(*letter.shape, task.longest + 1, dtype=torch.int64)
    for t in range(task.longest + 1):
        letter = flat.gather(-1, skill * task.symbols + letter)
        answers[..., t] = torch.where(length > t, letter, (length == t) * task.symbols)
    return answers


class ChainWorld:
    """The token chain for agents that answer in letters: prompts are question numbers.

    The best possible expected reward is 1 on every question.

    Args:
        task: sizes.
        rules: of :func:`draw_rules`; leading axes are seeds.
    """

    def __init__(self, task: ChainTask, rules: Tensor) -> None:
        self.task = task
        self.rules = rules
        self.space = task.space
        self.answers = chain_answers(task, rules)
        """The right answers, (..., questions, T)."""

    def sample_prompts(self, count: int, stream: RandomStream) -> Tensor:
        """Questions, uniformly: (..., P)."""
        return stream.integers(self.task.questions, count)

    def verify(self, prompts: Tensor, rollouts: RolloutBatch) -> Tensor:
        """1 for the right answer with its stop, 0 for any other: (..., P, G)."""
        right = torch.take_along_dim(self.answers, prompts.unsqueeze(-1), dim=-2)  # (..., P, T)
        return (rollouts.responses == right.unsqueeze(-2)).all(-1).double() * rollouts.finished


def chain_world(seeds: Seeds, task: ChainTask) -> ChainWorld:
    """One set of rules per seed, the same as the environment with that ``rule_seed``."""
    return ChainWorld(task, draw_rules(task, RandomStream(seeds)))


class TokenChainEnv(gymnasium.Env[np.ndarray, np.int64]):
    """Spell a chain of letters, each of which follows from the last.

    ## Description
    A question names a skill, a first letter and a length. Each skill is a secret permutation of the letters. The agent
    writes the letter that follows the first one, then the letter that follows that, and so on for ``length`` letters,
    and then stops.

    ## Action Space
    ``Discrete(symbols + 1)``: a letter, or the stop action ``symbols``.

    ## Observation Space
    ``MultiDiscrete``: skill, first letter, length − ``shortest``, then the actions given so far plus one, 0 for those
    still to come; ``longest + 1`` of them.

    ## Rewards
    0 before the end; then 1 if the answer is right, else 0. The best expected return is 1.

    ## Starting State
    A question drawn uniformly, nothing written.

    ## Episode End
    Terminates with the stop action, or after ``longest + 1`` actions (an answer that is cut off is wrong).

    ## Arguments
    ``skills``, ``symbols``, ``shortest``, ``longest``: see :class:`ChainTask`. ``rule_seed``: fixes the rules;
    ``reset(seed=...)`` fixes the questions only.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own spelling

    def __init__(
        self, skills: int = 3, symbols: int = 4, shortest: int = 1, longest: int = 3, rule_seed: int = 0
    ) -> None:
        self.task = ChainTask(skills, symbols, shortest, longest)
        self.answers = chain_answers(self.task, draw_rules(self.task, RandomStream(rule_seed))).numpy()
        self.action_space = spaces.Discrete(symbols + 1)
        seen = [symbols + 2] * (longest + 1)
        self.observation_space = spaces.MultiDiscrete([skills, symbols, self.task.lengths, *seen])
        self._question = 0
        self._given: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Draw a question."""
        super().reset(seed=seed, options=options)
        self._question = int(self.np_random.integers(self.task.questions))
        self._given = []
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Write a letter or stop."""
        if self._ended() or not self.action_space.contains(action):
            raise ValueError(f"step needs an action in {self.action_space} and a reset after the end, got {action!r}")
        self._given.append(int(action))
        right = self.answers[self._question, : len(self._given)].tolist()
        stopped = self._given[-1] == self.task.symbols
        return self._observation(), float(stopped and self._given == right), self._ended(), False, {}

    def _ended(self) -> bool:
        return len(self._given) > self.task.longest or self.task.symbols in self._given

    def _observation(self) -> np.ndarray:
        skill, letter, length = (int(part) for part in self.task.parts(torch.tensor(self._question)))
        seen = [action + 1 for action in self._given]
        unseen = [0] * (self.task.longest + 1 - len(seen))
        return np.array([skill, letter, length - self.task.shortest, *seen, *unseen], dtype=np.int64)


class ChainFeatures:
    """An agent's observation of the token chain: skill, letter to continue from, and how many letters are to come.

    Skill, letter and letters to come are one-hot vectors, beside each other; ``jointly`` adds one for skill and letter
    together, with which a linear policy can know several skills.

    Args:
        task: sizes.
        jointly: whether skill and letter are also observed as one thing.
    """

    def __init__(self, task: ChainTask, jointly: bool = False) -> None:
        self.task = task
        self.jointly = jointly

    @property
    def size(self) -> int:
        """F, the number of features."""
        task = self.task
        return task.skills + task.symbols + 1 + task.longest + 2 + self.jointly * task.skills * (task.symbols + 1)

    def __call__(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """(..., R) and (..., R, T) -> (..., R, T, F)."""
        shape, task = tokens.shape, self.task
        skill, first, length = (part.unsqueeze(-1).expand(shape) for part in task.parts(prompts))
        last = torch.cat([first[..., :1], tokens[..., :-1]], dim=-1)  # the stop action is a letter of its own
        to_come = (length - torch.arange(shape[-1])).clamp_min(-1) + 1
        parts = [one_hot(skill, task.skills), one_hot(last, task.symbols + 1), one_hot(to_come, task.longest + 2)]
        if self.jointly:
            parts.append(one_hot(skill * (task.symbols + 1) + last, task.skills * (task.symbols + 1)))
        return torch.cat(parts, dim=-1)


class QuestionFeatures:
    """The token chain as numbered questions: which question, which position. Nothing carries over between questions.

    Args:
        task: sizes.
    """

    def __init__(self, task: ChainTask) -> None:
        self.task = task

    @property
    def size(self) -> int:
        """F, the number of features."""
        return self.task.questions + self.task.longest + 1

    def __call__(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """(..., R) and (..., R, T) -> (..., R, T, F)."""
        question = prompts.unsqueeze(-1).expand(tokens.shape)
        position = torch.arange(tokens.shape[-1]).expand(tokens.shape)
        return torch.cat([one_hot(question, self.task.questions), one_hot(position, self.task.longest + 1)], dim=-1)
