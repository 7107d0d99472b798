"""What a run asks: the lab's own stories, the user's problems, or tasks of Reasoning Gym."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hacrl_envs.arithmetic import ArithmeticWorld
from hacrl_envs.reasoning import Part, ReasoningWorld, parse_task
from hacrl_envs.text import TextWorld, draw_from, read_problems
from hacrl_lab.agents.loading import load_codec
from hacrl_lab.answer_rules import ANSWER_RULES
from hacrl_lab.verifiers import MathVerifier
from language_pair.models import settings_of
from language_pair.options import Options


def make_world(
    options: Options, sources: Mapping[str, str], verifier: MathVerifier, part: Part = "training"
) -> TextWorld | ReasoningWorld:
    """The world of a run, checked before anything is trained on it.

    Args:
        options: resolved.
        sources: of the agents, see :func:`language_pair.models.sources_of`.
        verifier: decides equality where the tasks have no verifiers of their own.
        part: of Reasoning Gym's questions; other problems are not divided.

    Raises:
        LabError: problems or tasks that cannot be read, verified or put to the agents.
    """
    if options.tasks:
        return ReasoningWorld([parse_task(text) for text in options.tasks], ANSWER_RULES[options.answer_rule], part)
    if options.problems is None:
        return ArithmeticWorld(verifier)
    problems = read_problems(Path(options.problems))
    verifier.check_answers([problem.answer for problem in problems])
    for name, settings in settings_of(options, sources).items():
        load_codec(sources[name], name, settings).prompts([problem.question for problem in problems])
    return TextWorld(draw_from(problems), verifier)
