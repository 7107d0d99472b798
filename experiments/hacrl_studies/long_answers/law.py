"""The law of long answers: which right answers pass HACPO's clip, predicted from styles and skills, and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product

import numpy as np
import torch
from torch import Tensor

from hacrl_envs.long_answers import LongAnswerTask, LongAnswerWorld, long_answer_world
from hacrl_lab.agents.actions import gathered_log_probs, plain_ascent
from hacrl_lab.importance import mean_log_prob, sequence_importance_ratio
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.theory.passing import CrossAnswers, crossing_length, token_budget
from hacrl_lab.theory.passing_chance import pass_probability, style_distance
from hacrl_runs.cache import Cell
from hacrl_studies.common.study import Results
from hacrl_studies.common.writers import Beginning, Writer, draw_writers, style_log_probs

DISTANCES = (0.2, 0.35, 0.45, 0.6)
OTHERS = (0.6, 0.0, -1.0)
"""How well skills are known that were not taught: somewhat, not at all, the opposite. It sets the skill deficit."""
BEGINNINGS = [Beginning(style_distance=distance, other=other) for other, distance in product(OTHERS, DISTANCES)]
LENGTHS = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
QUESTIONS, ANSWERS = 32, 16
HALF = 0.5
"""An answer has crossed where this share of right answers passes."""


@dataclass(frozen=True)
class Passing:
    """The key of a cell: right answers of one agent in the other's weak skills, at every length."""

    beginning: Beginning


def cells(seeds: int) -> dict[Passing, Cell]:
    """One for each point of the grid."""
    return {
        Passing(beginning): Cell(
            f"passing-{beginning.style_distance}-{beginning.other}",
            partial(measure, beginning, range(seeds)),
            {
                **asdict(beginning),
                "seeds": seeds,
                "lengths": LENGTHS,
                "sizes": [QUESTIONS, ANSWERS],
                "task": asdict(LongAnswerTask()),
                "study": "passing",
            },
        )
        for beginning in BEGINNINGS
    }


def measure(beginning: Beginning, seeds: Sequence[int]) -> Mapping[str, np.ndarray]:
    """What passes before training, at δ = 0.2 and m = 0.

    Returns:
        ``measured`` and ``predicted``, share of the right answers that pass, (lengths, S); ``deficit``, mean skill
        deficit D of right answers, and ``style``, κ, nats, (S,). All are means over both directions.
    """
    shares = [np.mean([part(beginning, length, seeds) for part in (measured, predicted)], axis=2) for length in LENGTHS]
    both = distances(beginning, seeds)
    passed = np.array(shares)  # (lengths, 2, S)
    return {
        "measured": passed[:, 0],
        "predicted": passed[:, 1],
        "deficit": np.mean([distance.deficit for distance in both], axis=0),
        "style": np.mean([distance.style for distance in both], axis=0),
    }


def measured(beginning: Beginning, length: int, seeds: Sequence[int]) -> list[np.ndarray]:
    """For each direction, the share of sampled right answers whose ratio s is within the bounds: (S,)."""
    shares = []
    for world, learner, sampler, questions in directions(beginning, length, seeds):
        batch = sampler.generate(questions, ANSWERS, RandomStream(list(seeds), Stream.EVALUATION, length))
        means = [_mean_log_probs(agent, questions, batch) for agent in (learner, sampler)]
        ratio = sequence_importance_ratio(*means)
        settings = ObjectiveSettings()
        inside = (ratio >= 1 - settings.delta) & (ratio <= 1)
        right = world.verify(questions, batch)
        shares.append(((inside * right).sum((-2, -1)) / right.sum((-2, -1))).numpy())
    return shares


def _mean_log_probs(agent: Writer, questions: Tensor, batch: object) -> Tensor:
    """Mean log-probability of each answer under an agent: (S, P, G)."""
    encoded = agent.encode(questions, [batch])  # type: ignore[list-item]
    with torch.no_grad():
        log_probs = agent.token_log_probs(encoded, encoded.rows())
    return mean_log_prob(log_probs, torch.ones_like(log_probs, dtype=torch.bool)).unflatten(-1, (-1, ANSWERS))


def predicted(beginning: Beginning, length: int, seeds: Sequence[int]) -> list[np.ndarray]:
    """For each direction, the law's share of right answers that pass: (S,)."""
    shares = []
    for world, learner, sampler, questions in directions(beginning, length, seeds):
        deficit, weight = skill_deficits(world, learner, sampler, questions)
        taken = torch.arange(world.task.style_tokens) % world.task.period
        style = style_distance(*style_log_probs([sampler, learner])[..., taken, :].unbind(-3))
        per_seed = replace(
            style, mean=_column(style.mean), variance=_column(style.variance), spread=_column(style.spread)
        )
        answers = CrossAnswers(length, world.task.decisive, deficit, per_seed)
        chance = pass_probability(answers, token_budget(ObjectiveSettings().delta))
        shares.append(((chance * weight).sum(-1) / weight.sum(-1)).numpy())
    return shares


def _column(values: object) -> Tensor:
    return torch.as_tensor(values).unsqueeze(-1)


def skill_deficits(
    world: LongAnswerWorld, learner: Writer, sampler: Writer, questions: Tensor
) -> tuple[Tensor, Tensor]:
    """D of the right answer to each question, and its probability under the sampler: (S, P) each."""
    right = world.right_tokens(questions)
    with torch.no_grad():
        log_probs = [
            gathered_log_probs(world.task.scores(agent.parameters["skills"], questions), right).sum(-1)
            for agent in (learner, sampler)
        ]
    return log_probs[1] - log_probs[0], log_probs[1].exp()


@dataclass(frozen=True)
class Distance:
    """How far a learner is from a sampler before training; every field has a value for each seed, (S,)."""

    deficit: np.ndarray
    """Mean skill deficit D of right answers, nats."""
    style: np.ndarray
    """κ, nats per style token."""
    variance: np.ndarray
    """v, variance of a style token's deficit, nats²."""


def distances(beginning: Beginning, seeds: Sequence[int]) -> list[Distance]:
    """One for each direction of the pair; styles and skills do not depend on the length of answers."""
    by_direction = []
    for world, learner, sampler, questions in directions(beginning, LongAnswerTask().length, seeds):
        deficit, weight = skill_deficits(world, learner, sampler, questions)
        style = style_distance(*style_log_probs([sampler, learner]).unbind(-3))
        means = (torch.as_tensor(value).numpy() for value in (style.mean, style.variance))
        by_direction.append(Distance(((deficit * weight).sum(-1) / weight.sum(-1)).numpy(), *means))
    return by_direction


def directions(
    beginning: Beginning, length: int, seeds: Sequence[int]
) -> Iterator[tuple[LongAnswerWorld, Writer, Writer, Tensor]]:
    """World, learner, sampler, and questions (S, P) of skills that the sampler was taught and the learner was not."""
    task = replace(LongAnswerTask(), length=length)
    world = long_answer_world(list(seeds), task)
    writers = draw_writers(beginning, world, list(seeds), plain_ascent)
    sharpness = beginning.sharpness(task)
    for k, j in ((0, 1), (1, 0)):
        skills = torch.arange(task.skills)[sharpness[j] > sharpness[k]]
        stream = RandomStream(list(seeds), Stream.EVALUATION, j)
        drawn = stream.integers(len(skills) * 2**task.attributes, QUESTIONS)
        questions = skills[drawn // 2**task.attributes] * 2**task.attributes + drawn % 2**task.attributes
        yield world, writers[k], writers[j], questions


def crossing(lengths: Sequence[float], values: Sequence[float], level: float) -> float:
    """Where values first reach a level, interpolated in log length; inf if nowhere, the first length if at once.

    >>> round(crossing([4, 16], [0.0, 1.0], 0.5), 6), crossing([4, 16], [0.0, 0.1], 0.5)
    (8.0, inf)
    """
    reached = np.flatnonzero(np.asarray(values) >= level)
    if len(reached) == 0:
        return float("inf")
    after = int(reached[0])
    if after == 0:
        return float(lengths[0])
    share = (level - values[after - 1]) / (values[after] - values[after - 1])
    return float(np.exp(np.log(lengths[after - 1]) + share * np.log(lengths[after] / lengths[after - 1])))


@dataclass(frozen=True)
class Crossing:
    """One point of the grid: lengths from which right answers pass."""

    beginning: Beginning
    style: float
    """κ, nats per style token."""
    deficit: float
    """D, nats."""
    formula: float
    """L* of the mean answer."""
    predicted: float
    """Where the law's share, over all answers and seeds, reaches one half."""
    measured: float
    """Where the measured share does."""


def crossings(results: Results) -> list[Crossing]:
    """Every point of the grid."""
    by_beginning = []
    for beginning in BEGINNINGS:
        arrays = results[Passing(beginning)]
        style, deficit = float(arrays["style"].mean()), float(arrays["deficit"].mean())
        budget = token_budget(ObjectiveSettings().delta)
        formula = float(crossing_length(budget, style, deficit, LongAnswerTask().decisive))
        both = [crossing(LENGTHS, arrays[name].mean(-1), HALF) for name in ("predicted", "measured")]
        by_beginning.append(Crossing(beginning, style, deficit, formula, *both))
    return by_beginning
