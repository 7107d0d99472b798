"""What a run asks: the lab's own stories, the user's problems, or tasks of Reasoning Gym."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hacrl_envs.arithmetic import ArithmeticWorld
from hacrl_envs.data import Data, load_data, within_context
from hacrl_envs.reasoning import ReasoningWorld, parse_task
from hacrl_envs.rewards import ANSWER, Rewards
from hacrl_envs.sources import Columns, local_files, parse_source
from hacrl_envs.text import TextWorld, draw_each_once
from hacrl_lab.files import content_digest
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
    problems: int | None = None
    """Those that training asks in epochs; None if they never end, or if weights decide how often each is asked."""
    own_rewards: bool = False
    """Whether functions of the user's own reward responses, perhaps with negative numbers."""


def rewards_of(problems: ProblemSettings) -> Rewards:
    """The rewards that the settings name.

    Raises:
        LabError: a reward function that cannot be used.
    """
    return Rewards(problems.reward, problems.reward_timeout, problems.trust_reward_in_process)


def read_data(problems: ProblemSettings, evaluation: EvaluationSettings) -> Data | None:
    """The user's problems, or None for a run on others. Needs no model, so that what is missing is noticed at once.

    Raises:
        LabError: problems that cannot be read, or too few, or a reward function that cannot be used.
    """
    if not problems.problems:
        return None
    compared = rewards_of(problems).compare_answers
    columns = Columns(problems.question_column, problems.answer_column, answers_needed=compared)
    with MathVerifier() as verifier:
        return load_data(
            problems.problems,
            problems.eval_problems,
            columns,
            validation=evaluation.share_for_validation,
            unreadable=verifier.unreadable if compared else None,
            skip_unusable=problems.skip_unusable,
        )


def files_of(problems: ProblemSettings) -> str:
    """Changes with the content of the local files that problems are read from."""
    sources = [parse_source(text)[0] for text in problems.problems] + [problems.eval_problems or ""]
    return " ".join(content_digest(path) for source in sources for path in local_files(source))


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
        LabError: tasks or a reward function that cannot be used, or prompts that are all too long.
    """
    share = evaluation.share_for_validation
    if problems.tasks:
        tasks, rule = [parse_task(text) for text in problems.tasks], ANSWER_RULES[answer_rule]
        return Worlds(
            ReasoningWorld(tasks, rule, "training", share, problems.partial_credit),
            ReasoningWorld(tasks, rule, "validation", share) if share else None,
            ReasoningWorld(tasks, rule, "test", share),
            description=", ".join(problems.tasks),
        )
    if data is None:
        stories = ArithmeticWorld(verifier)
        return Worlds(stories, stories if share else None, stories)
    rewards = rewards_of(problems)
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
        None if data.weights else len(data.training),
        list(rewards.weights) != [ANSWER],
    )


def times_asked(problems: int, asked: int) -> str:
    """How often training asks each problem.

    Args:
        problems: those for training.
        asked: how many all steps ask.

    >>> print(times_asked(7500, 59 * 128))
    Training asks each of 7,500 problems once, and 52 of them 2 times.
    >>> print(times_asked(100, 60), times_asked(100, 300))
    Training asks 60 of 100 problems, each once. Training asks each of 100 problems 3 times.
    """
    rounds, more = divmod(asked, problems)
    if rounds == 0:
        return f"Training asks {more:,} of {problems:,} problems, each once."
    again = f", and {more:,} of them {rounds + 1} times" if more else ""
    return f"Training asks each of {problems:,} problems {'once' if rounds == 1 else f'{rounds} times'}{again}."
