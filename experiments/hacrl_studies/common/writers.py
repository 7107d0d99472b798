"""Linear agents of long answers: a table of style, and a linear map from the question for the tokens that decide.

They are the smallest agents in which skills, style and length can be set apart, and success can be counted instead of
sampled. What they do at each token does not depend on the tokens before (unless style has a cost), so that answers of
hundreds of tokens are sampled and scored at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hacrl_envs.long_answers import LongAnswerTask, LongAnswerWorld
from hacrl_lab.agents.actions import ActionPolicy, MakeOptimizer, Parameters, gathered_log_probs, sample
from hacrl_lab.errors import SettingError
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch, take_rows
from hacrl_lab.seeding import RandomStream, Seeds, Stream


class Writer(Parameters, ActionPolicy):
    """π(y_t) = softmax(style[place of t]) for style tokens, softmax(scores(question)) for decisive ones.

    With a style cost (hypothetical), an agent that writes in words which it did not use before training loses its
    thread: it then writes every decisive token at random with probability 1 − exp(−cost·x), x being the answer's
    surprise under the agent's style before training, −mean_t log π_0(y_t), above what its own answers have on average,
    in nats per token.

    Args:
        name: unique name.
        task: sizes.
        style: initial logits, (..., period, symbols); leading axes are seeds.
        skills: initial weights, (..., skills, attributes + 1, decisive, symbols).
        optimizer: see :data:`hacrl_lab.agents.actions.MakeOptimizer`.
        style_cost: see above; 0 for none.
    """

    def __init__(
        self,
        name: str,
        task: LongAnswerTask,
        style: Tensor,
        skills: Tensor,
        optimizer: MakeOptimizer,
        style_cost: float = 0.0,
    ) -> None:
        super().__init__(name, {"style": style, "skills": skills}, optimizer, leading=style.ndim - 2)
        self.task = task
        self.space = task.space
        self.style_cost = style_cost
        self._style_cells = torch.arange(task.style_tokens) % task.period
        self._usual = style.detach().log_softmax(-1)  # (..., period, symbols)

    def action_logits(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """(..., R, T, symbols) from the definition, for whole answers or their beginnings."""
        style = self.parameters["style"][..., self._style_cells, :].unsqueeze(-3)
        style = style.expand(*tokens.shape[:-1], *style.shape[-2:])
        prompt_index = torch.arange(prompts.shape[-1]).expand(prompts.shape)
        decisive = self._decisive_logits(prompts, prompt_index, tokens[..., : self.task.style_tokens])
        logits = torch.cat([style, decisive], dim=-2)
        return logits[..., : tokens.shape[-1], :]

    @torch.no_grad()
    def generate(self, prompts: Tensor, group_size: int, stream: RandomStream) -> RolloutBatch:
        """As every agent that writes symbols, but all style tokens at once: (..., P) -> (..., P, G, T)."""
        uniforms = stream.uniform(prompts.shape[-1], group_size, self.task.length).flatten(-3, -2)  # (..., R, T)
        split = self.task.style_tokens
        style = sample(self.parameters["style"][..., None, self._style_cells, :], uniforms[..., :split])
        prompt_index = torch.arange(prompts.shape[-1]).repeat_interleave(group_size).expand(style.shape[:-1])
        decisive = sample(self._decisive_logits(prompts, prompt_index, style), uniforms[..., split:])
        actions = torch.cat([style, decisive], dim=-1).unflatten(-2, (-1, group_size))
        mask = torch.ones_like(actions, dtype=torch.bool)
        return RolloutBatch(self.name, actions, mask[..., 0], actions, mask)

    def token_log_probs(self, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        """Log π of every token, (..., R, T); the softmax of style is taken once, on its table."""
        tokens, split = take_rows(encoded.tokens, rows, rest=1), self.task.style_tokens
        style, decisive = tokens[..., :split], tokens[..., split:]
        _, count, group = encoded.pool_shape
        prompt_index = rows // group % count
        style_log_probs = self._look_up(self.parameters["style"].log_softmax(-1), style)
        if self.style_cost == 0:  # then the softmax is that of the prompt, taken once as well
            log_probs = self.task.scores(self.parameters["skills"], encoded.contexts.squeeze(-1)).log_softmax(-1)
            positions = prompt_index.unsqueeze(-1) * self.task.decisive + torch.arange(self.task.decisive)
            cells = positions * self.task.symbols + decisive
            decisive_log_probs = log_probs.flatten(-3).gather(-1, cells.flatten(-2)).reshape(decisive.shape)
        else:
            logits = self._decisive_logits(encoded.contexts.squeeze(-1), prompt_index, style)
            decisive_log_probs = gathered_log_probs(logits, decisive)
        return torch.cat([style_log_probs, decisive_log_probs], dim=-1)

    @torch.no_grad()
    def success(self, questions: Tensor, right: Tensor, stream: RandomStream, answers: int = 4) -> Tensor:
        """The probability of a right answer, mean over questions: (...).

        It is exact without a style cost. With one it is a mean over sampled style tokens.

        Args:
            questions: (P,), for instance held-out ones.
            right: their right decisive tokens, (..., P, decisive), of :meth:`LongAnswerWorld.right_tokens`.
            stream: of style tokens; drawn from only with a style cost.
            answers: style tokens are sampled so many times for each question.
        """
        if self.style_cost == 0:
            scores = self.task.scores(self.parameters["skills"], questions)
            return gathered_log_probs(scores, right).sum(-1).exp().mean(-1)
        prompts = questions.expand(right.shape[:-1])
        style = self.generate(prompts, answers, stream).responses[..., : self.task.style_tokens].flatten(-3, -2)
        prompt_index = torch.arange(len(questions)).repeat_interleave(answers).expand(style.shape[:-1])
        logits = self._decisive_logits(prompts, prompt_index, style)
        return gathered_log_probs(logits, right.repeat_interleave(answers, -2)).sum(-1).exp().mean(-1)

    def _decisive_logits(self, prompts: Tensor, prompt_index: Tensor, style: Tensor) -> Tensor:
        """Logits of decisive tokens for rows; the scores of each prompt are computed once.

        Args:
            prompts: (..., P).
            prompt_index: which prompt each row answers, (..., R).
            style: the rows' style tokens, (..., R, n).

        Returns:
            (..., R, decisive, symbols).
        """
        scores = self.task.scores(self.parameters["skills"], prompts)
        scores = torch.take_along_dim(scores, prompt_index[..., None, None], dim=-3)
        if self.style_cost == 0:
            return scores
        usual = (self._usual.exp() * self._usual).sum(-1)[..., self._style_cells].mean(-1)  # −entropy, nats per token
        surprise = (usual.unsqueeze(-1) - self._look_up(self._usual, style).mean(-1)).clamp_min(0)
        kept = torch.exp(-self.style_cost * surprise)[..., None, None]
        return (kept * scores.softmax(-1) + (1 - kept) / self.task.symbols).log()

    def _look_up(self, table: Tensor, style: Tensor) -> Tensor:
        """Entries of a table (..., period, symbols) for style tokens: (..., R, n) -> (..., R, n)."""
        cells = self._style_cells[: style.shape[-1]] * self.task.symbols + style
        return table.flatten(-2).gather(-1, cells.flatten(-2)).reshape(style.shape)


@dataclass(frozen=True)
class Beginning:
    """What the agents of a world of long answers are like before training.

    The defaults, with answers of 128 tokens, have the cross ratios of the paper's Table 6: with HACPO, mean s is 0.888
    over a run and between 0.846 and 0.922 in its steps (the paper's: 0.8955, 0.862 to 0.936).
    """

    agents: int = 2
    """n, how many."""
    overlap: float = 0.0
    """How much of the skills that an agent was taught the others were taught too: 0 none, 1 all."""
    taught: float = 2.0
    """How sharply an agent knows the rules of its skills: its scores are so many times the secret ones."""
    other: float = 0.6
    """The same for skills that it was not taught; 0: it guesses; below 0: it has learned the opposite."""
    gap: float = 0.0
    """How much less able every further agent is: its knowledge is 1 − gap times as sharp as that of the one before."""
    style_distance: float = 0.45
    """Standard deviation of an agent's own part of its style logits; the part that all share has 1."""
    style_cost: float = 0.0
    """Hypothetical, see :class:`Writer`: what an answer in another style costs its author."""

    def __post_init__(self) -> None:
        if self.agents < 1:
            raise SettingError(f"agents must be ≥ 1, got {self.agents}")
        for name in ("overlap", "gap"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("style_distance", "style_cost"):
            if getattr(self, name) < 0:
                raise SettingError(f"{name} must be ≥ 0, got {getattr(self, name)}")

    def sharpness(self, task: LongAnswerTask) -> Tensor:
        """How sharply each agent knows each skill: (agents, skills).

        Every agent was taught skills/agents skills (rounded up), from ⌊(1 − overlap)·k·skills/agents⌋ on for agent k.
        """
        each = -(-task.skills // self.agents)
        first = torch.floor((1 - self.overlap) * torch.arange(self.agents) * task.skills / self.agents)
        skill = torch.arange(task.skills)
        taught = (skill - first.long().unsqueeze(-1)) % task.skills < each
        ability = (1 - self.gap) ** torch.arange(self.agents, dtype=torch.float64)
        return ability.unsqueeze(-1) * torch.where(taught, self.taught, self.other)


def draw_writers(beginning: Beginning, world: LongAnswerWorld, seeds: Seeds, optimizer: MakeOptimizer) -> list[Writer]:
    """The agents, one copy for every seed of the world, called a, b, c ...

    Args:
        beginning: what they are like.
        world: whose rules they partly know.
        seeds: the world's; also of styles.
        optimizer: of every agent.
    """
    task = world.task

    def table(key: int) -> Tensor:
        return torch.special.ndtri(RandomStream(seeds, Stream.STYLES, key).uniform(task.period, task.symbols))

    shared, writers = table(0), []
    for k, sharpness in enumerate(beginning.sharpness(task)):
        style = shared + beginning.style_distance * table(k + 1)
        skills = sharpness[:, None, None, None] * world.rules
        writers.append(Writer(agent_name(k), task, style, skills, optimizer, beginning.style_cost))
    return writers


def agent_name(k: int) -> str:
    """a, b, c ... by number."""
    return "abcdefghijklmnopqrstuvwxyz"[k]


def style_log_probs(writers: Sequence[Writer]) -> Tensor:
    """Log-probabilities of style tokens: (..., writers, period, symbols), nats."""
    return torch.stack([writer.parameters["style"].detach().log_softmax(-1) for writer in writers], dim=-3)
