"""What a run asks: the lab's own stories, the user's problems, or tasks of Reasoning Gym."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hacrl_envs.arithmetic import ArithmeticWorld
from hacrl_envs.data import Data, load_data, with_verifiable_answers, within_context
from hacrl_envs.reasoning import ReasoningWorld, parse_task
from hacrl_envs.rewards import OwnReward
from hacrl_envs.sources import Columns
from hacrl_envs.text import Grade, TextWorld, by_answer, draw_each_once, draw_from
from hacrl_lab.language_models.loading import load_codec
from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_runs.models import settings_of
from hacrl_runs.settings import Options


@dataclass(frozen=True)
class Worlds:
    """What training asks and what evaluations ask; the same world if its problems never end."""

    training: TextWorld | ReasoningWorld
    test: TextWorld | ReasoningWorld
    notes: Sequence[str] = ()
    """Sentences for the user: what was read, and what was left out."""


def read_data(options: Options) -> Data | None:
    """The user's problems, or None for a run on others. Needs no model, so that what is missing is noticed at once.

    Raises:
        LabError: problems that cannot be read, or too few.
    """
    if options.problems is None:
        return None
    return load_data(options.problems, options.eval_problems, Columns(options.question_column, options.answer_column))


def fingerprint_of(options: Options, data: Data | None) -> str | None:
    """Of the user's problems and reward function, by which a run notices that they have changed; None without any."""
    if data is None:
        return None
    return data.fingerprint if options.reward is None else f"{data.fingerprint} {OwnReward(options.reward).fingerprint}"


def make_worlds(options: Options, sources: Mapping[str, str], verifier: MathVerifier, data: Data | None) -> Worlds:
    """The worlds of a run, checked before anything is trained on them.

    Args:
        options: resolved.
        sources: of the agents, see :func:`hacrl_runs.models.sources_of`.
        verifier: decides equality where nothing else rewards responses.
        data: as :func:`read_data` gives it.

    Raises:
        LabError: tasks, answers or a reward function that cannot be used, or prompts that are all too long.
    """
    if options.tasks:
        tasks, rule = [parse_task(text) for text in options.tasks], ANSWER_RULES[options.answer_rule]
        return Worlds(ReasoningWorld(tasks, rule, "training"), ReasoningWorld(tasks, rule, "test"))
    if data is None:
        stories = ArithmeticWorld(verifier)
        return Worlds(stories, stories)
    assert options.problems is not None
    grade: Grade
    if options.reward is None:
        data = with_verifiable_answers(data, options.problems, options.eval_problems, verifier)
        grade = by_answer(verifier)
    else:
        grade = OwnReward(options.reward)
    codecs = [load_codec(sources[name], name, settings) for name, settings in settings_of(options, sources).items()]
    data = within_context(data, {name: codec.fits for name, codec in zip(sources, codecs, strict=True)})
    asked = min(options.eval_prompts, len(data.evaluation))
    notes = [*data.notes, f"Evaluations ask {asked} of the {len(data.evaluation)} problems for them."]
    return Worlds(TextWorld(draw_from(data.training), grade), TextWorld(draw_each_once(data.evaluation), grade), notes)
