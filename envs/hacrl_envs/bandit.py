"""A contextual bandit with verifiable 0/1 rewards: single actions or short sequences, one table of right answers."""

from __future__ import annotations

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


def draw_answers(contexts: int, space: ResponseSpace, right_share: float, stream: RandomStream) -> Tensor:
    """A table of right answers: every context has the same number of right responses, at least one, at random places.

    Args:
        contexts: ≥ 1.
        space: the possible responses.
        right_share: share of the responses that are right, in (0, 1].
        stream: source of randomness.

    Returns:
        Booleans (..., contexts, Y), one table per seed of the stream.

    Raises:
        SettingError: an impossible size or share.
    """
    if contexts < 1:
        raise SettingError(f"contexts must be ≥ 1, got {contexts}")
    if not 0 < right_share <= 1:
        raise SettingError(f"right_share must be in (0, 1], got {right_share}")
    right = max(1, round(right_share * space.size))
    return stream.uniform(contexts, space.size).argsort(-1) < right  # each row a random order of the responses


class BanditWorld:
    """The bandit for tabular agents: prompts are contexts, a response is a sequence of actions.

    Args:
        answers: rewards of all responses, (..., contexts, Y), for instance from :func:`draw_answers`; leading axes are
            seeds.
        space: the possible responses.
    """

    def __init__(self, answers: Tensor, space: ResponseSpace) -> None:
        self.answers = answers
        self.space = space

    def sample_prompts(self, count: int, stream: RandomStream) -> Tensor:
        """Contexts, uniformly: (..., P)."""
        return stream.integers(self.answers.shape[-2], count)

    def verify(self, prompts: Tensor, rollouts: RolloutBatch) -> Tensor:
        """What the table says of each response: 1 for a right one, 0 for any other, (..., P, G)."""
        return self.space.look_up(self.answers, prompts, rollouts.responses).double()


class ContextualBanditEnv(gymnasium.Env[np.ndarray, np.int64]):
    """A contextual bandit whose answer can be verified.

    ## Description
    A context is drawn; the agent gives a sequence of ``length`` actions; the sequence is right or wrong. With
    ``length=1`` it is a contextual bandit, with more a bandit over short sequences, like the tokens of an answer.

    ## Action Space
    ``Discrete(actions)``: the next action of the sequence.

    ## Observation Space
    ``MultiDiscrete([contexts, actions + 1, ..., actions + 1])``: the context, then the actions given so far plus one,
    0 for those still to come; ``length − 1`` of them.

    ## Rewards
    0 before the last action; then 1 if the sequence is right, else 0.

    ## Starting State
    A context drawn uniformly, no action given.

    ## Episode End
    Terminates after ``length`` actions.

    ## Arguments
    ``contexts``, ``actions``, ``length``: sizes. ``right_share``: share of sequences that are right.
    ``answer_seed``: fixes the table of right answers; ``reset(seed=...)`` fixes the contexts only.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own spelling

    def __init__(
        self, contexts: int = 8, actions: int = 4, length: int = 1, right_share: float = 0.25, answer_seed: int = 0
    ) -> None:
        self._space = ResponseSpace(actions, length)
        self.answers = draw_answers(contexts, self._space, right_share, RandomStream(answer_seed)).numpy()
        self.action_space = spaces.Discrete(actions)
        self.observation_space = spaces.MultiDiscrete([contexts] + [actions + 1] * (length - 1))
        self._context = 0
        self._given: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Draw a context."""
        super().reset(seed=seed, options=options)
        self._context = int(self.np_random.integers(len(self.answers)))
        self._given = []
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Take the next action of the sequence."""
        if len(self._given) == self._space.length or not self.action_space.contains(action):
            raise ValueError(f"step needs an action in {self.action_space} and a reset after the end, got {action!r}")
        self._given.append(int(action))
        done = len(self._given) == self._space.length
        reward = float(self.answers[self._context, self._space.number(torch.tensor(self._given))]) if done else 0.0
        return self._observation(), reward, done, False, {}

    def _observation(self) -> np.ndarray:
        visible = [action + 1 for action in self._given[: self._space.length - 1]]
        unseen = [0] * (self._space.length - 1 - len(visible))
        return np.array([self._context, *visible, *unseen], dtype=np.int64)


class ContextFeatures:
    """A network's observation of the bandit: which context, which position, and the action before it.

    All are one-hot vectors, beside each other.

    Args:
        contexts: how many there are.
        space: the possible responses.
        remembers: whether the action before is observed; there is a place of its own for none.
    """

    def __init__(self, contexts: int, space: ResponseSpace, remembers: bool = True) -> None:
        self.contexts = contexts
        self.space = space
        self.remembers = remembers

    @property
    def size(self) -> int:
        """F, the number of features."""
        return self.contexts + self.space.length + self.remembers * (self.space.actions + 1)

    def __call__(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """(..., R) and (..., R, T) -> (..., R, T, F)."""
        context = prompts.unsqueeze(-1).expand(tokens.shape)
        position = torch.arange(tokens.shape[-1]).expand(tokens.shape)
        parts = [one_hot(context, self.contexts), one_hot(position, self.space.length)]
        if self.remembers:
            none = torch.full_like(tokens[..., :1], self.space.actions)
            parts.append(one_hot(torch.cat([none, tokens[..., :-1]], dim=-1), self.space.actions + 1))
        return torch.cat(parts, dim=-1)


def bandit_world(
    seeds: Seeds, contexts: int = 8, actions: int = 4, length: int = 1, right_share: float = 0.25
) -> BanditWorld:
    """One bandit per seed, the same as the environment with that ``answer_seed``."""
    space = ResponseSpace(actions, length)
    return BanditWorld(draw_answers(contexts, space, right_share, RandomStream(seeds)), space)
