"""The sets of problems of an evaluation, each with the world that rewards responses to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hacrl_envs.data import LEAST_EVALUATION
from hacrl_envs.held_out import is_held_out, normalised
from hacrl_envs.reasoning import ReasoningWorld, parse_task, tasks_version
from hacrl_envs.rewards import Rewards
from hacrl_envs.sources import Columns, read_problems
from hacrl_envs.text import Grade, Problem, TextWorld
from hacrl_envs.usable import left_out, with_readable_answers
from hacrl_lab.errors import LabError
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.answer_rules import ANSWER_RULES, AnswerRuleName
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_runs.evaluation.settings import EvaluatedSettings
from hacrl_runs.worlds import EVALUATION_SEED

OF_A_TASK = 256
"""Questions that are drawn of a task, which has no end; one that is drawn twice is asked once."""
COUNTED = "full rewards"
"""How answers to tasks are counted; records from before, which counted partial credit, are not taken for these."""


@dataclass(frozen=True)
class Batch:
    """Problems that are answered together."""

    number: int
    """Place in its set."""
    problems: Sequence[Problem]
    """Those of tasks without their rules, and with an empty answer where there is only a verifier."""

    @property
    def questions(self) -> list[str]:
        """What is asked."""
        return [problem.question for problem in self.problems]


@dataclass(frozen=True)
class ProblemSet:
    """Problems that are evaluated together."""

    name: str
    """As it was asked for."""
    problems: Sequence[Problem]
    world: TextWorld | ReasoningWorld
    """Has asked them all, and rewards responses."""
    reward_version: str = ""
    """Of the user's reward function, which changes with its file, or of the tasks' verifiers; empty for neither."""
    left_out: str = ""
    """A sentence on entries that are no problems; empty if there are none."""

    def batches(self, size: int) -> list[Batch]:
        """The problems in their order, some at a time."""
        starts = range(0, len(self.problems), size)
        return [Batch(number, self.problems[start : start + size]) for number, start in enumerate(starts)]


def sets_of(evaluated: EvaluatedSettings, answer_rule: AnswerRuleName, verifier: MathVerifier) -> list[ProblemSet]:
    """The sets that the settings name.

    Args:
        evaluated: what is asked.
        answer_rule: where answers of tasks are.
        verifier: decides equality where nothing else rewards responses.

    Raises:
        LabError: problems, tasks or a reward function that cannot be used, or a set of fewer than two problems.
    """
    found = [_problems(evaluated, source, verifier) for source in dict.fromkeys(evaluated.problems)]
    found += [_task(evaluated, answer_rule, task) for task in dict.fromkeys(evaluated.tasks)]
    if small := [one for one in found if len(one.problems) < LEAST_EVALUATION]:
        raise LabError(f"{small[0].name!r} has {len(small[0].problems)} problems, too few for an interval")
    return found


def _problems(evaluated: EvaluatedSettings, source: str, verifier: MathVerifier) -> ProblemSet:
    functions = [] if evaluated.reward is None else [evaluated.reward]
    rewards = Rewards(functions, evaluated.reward_timeout, evaluated.trust_reward_in_process)
    columns = Columns(evaluated.question_column, evaluated.answer_column, rewards.compare_answers)
    reading = read_problems(source, columns, "evaluation")
    problems = [one for one in reading.problems if not evaluated.held_out or is_held_out(normalised(one.question))]
    reading = replace(reading, problems=problems[: evaluated.most_problems or None])
    if rewards.compare_answers:
        reading = with_readable_answers(reading, verifier.unreadable)
    notes = left_out([reading], evaluated.skip_unusable)
    world = _asked(reading.problems, rewards.first(verifier))
    return ProblemSet(source, reading.problems, world, rewards.fingerprint, " ".join(notes))


def _asked(problems: Sequence[Problem], grade: Grade) -> TextWorld:
    """A world that has asked the problems in their order."""
    world = TextWorld(lambda _, count: problems[:count], grade)
    world.sample_prompts(len(problems), RandomStream(EVALUATION_SEED))
    return world


def _task(evaluated: EvaluatedSettings, answer_rule: AnswerRuleName, task: str) -> ProblemSet:
    world = ReasoningWorld([parse_task(task)], ANSWER_RULES[answer_rule], "test")
    prompts = world.sample_prompts(evaluated.most_problems or OF_A_TASK, RandomStream(EVALUATION_SEED))
    answers = dict(zip(prompts.questions, world.known_answers(prompts), strict=True))  # each question once
    problems = [Problem(question, answer or "") for question, answer in answers.items()]
    return ProblemSet(task, problems, world, f"{tasks_version()}, {COUNTED}")
