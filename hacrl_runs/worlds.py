"""What a run asks: the lab's own stories, the user's problems, or tasks of Reasoning Gym."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hacrl_envs.arithmetic import ArithmeticWorld
from hacrl_envs.data import Data, load_data, with_verifiable_answers, within_context
from hacrl_envs.reasoning import ReasoningWorld, parse_task
from hacrl_envs.rewards import Rewards
from hacrl_envs.sources import Columns
from hacrl_envs.text import TextWorld, draw_each_once
from hacrl_lab.language_models.causal_lm import CausalLMSettings
from hacrl_lab.language_models.loading import load_codec
from hacrl_lab.verification.answer_rules import ANSWER_RULES, AnswerRuleName
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_runs.settings import EvaluationSettings, ProblemSettings

EVALUATION_SEED = 987_654_321
"""Of the problems and samples of every evaluation, apart from all training seeds."""


@dataclass(frozen=True)
class Worlds:
    """What training, validations and evaluations ask; the same world if its problems never end."""

    training: TextWorld | ReasoningWorld
    validation: TextWorld | ReasoningWorld | None
    """None for a run without validations."""
    test: TextWorld | ReasoningWorld
    notes: Sequence[str] = ()
    """Sentences for the user: what was read, and what was left out."""
    description: str = "the lab's own quantity stories"
    """Of the problems, for a model card."""


def read_data(problems: ProblemSettings, evaluation: EvaluationSettings) -> Data | None:
    """The user's problems, or None for a run on others. Needs no model, so that what is missing is noticed at once.

    Raises:
        LabError: problems that cannot be read, or too few.
    """
    if not problems.problems:
        return None
    columns = Columns(problems.question_column, problems.answer_column)
    return load_data(problems.problems, problems.eval_problems, columns, validation=evaluation.share_for_validation)


def fingerprint_of(problems: ProblemSettings, data: Data | None) -> str | None:
    """Of the user's problems and reward functions, by which a run notices that they have changed; None without any."""
    if data is None:
        return None
    return f"{data.fingerprint} {Rewards(problems.reward).fingerprint}".strip()


def make_worlds(
    problems: ProblemSettings,
    evaluation: EvaluationSettings,
    answer_rule: AnswerRuleName,
    sources: Mapping[str, str],
    settings: Mapping[str, CausalLMSettings],
    verifier: MathVerifier,
    data: Data | None,
) -> Worlds:
    """The worlds of a run, checked before anything is trained on them.

    Args:
        problems, evaluation: of the run.
        answer_rule: where answers of tasks are.
        sources, settings: where each agent comes from, and how it answers.
        verifier: decides equality where nothing else rewards responses.
        data: as :func:`read_data` gives it.

    Raises:
        LabError: tasks, answers or a reward function that cannot be used, or prompts that are all too long.
    """
    share = evaluation.share_for_validation
    if problems.tasks:
        tasks, rule = [parse_task(text) for text in problems.tasks], ANSWER_RULES[answer_rule]
        return Worlds(
            ReasoningWorld(tasks, rule, "training", share),
            ReasoningWorld(tasks, rule, "validation", share) if share else None,
            ReasoningWorld(tasks, rule, "test", share),
            description=", ".join(problems.tasks),
        )
    if data is None:
        stories = ArithmeticWorld(verifier)
        return Worlds(stories, stories if share else None, stories)
    rewards = Rewards(problems.reward)
    if rewards.compare_answers:
        data = with_verifiable_answers(data, verifier)
    first = rewards.first(verifier)
    codecs = {name: load_codec(sources[name], name, settings[name]) for name in sources}
    data = within_context(data, {name: codec.fits for name, codec in codecs.items()})
    asked = min(evaluation.eval_prompts, len(data.evaluation))
    return Worlds(
        TextWorld(data.draw, rewards.total(verifier), verifier),
        TextWorld(draw_each_once(data.validation), first) if share else None,
        TextWorld(draw_each_once(data.evaluation), first),
        [*data.notes, f"Evaluations ask {asked} of the {len(data.evaluation)} problems for them."],
        ", ".join(problems.problems),
    )
