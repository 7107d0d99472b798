"""What a run trains and evaluates on: problems, divided so that no evaluation asks what training has asked."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from tqdm.auto import tqdm

from hacrl_envs.held_out import TEST_SHARE, check_validation_share, is_for_validation, is_held_out, normalised
from hacrl_envs.sources import Columns, parse_source, read_problems
from hacrl_envs.text import Draw, Problem, draw_in_epochs
from hacrl_envs.usable import Unreadable, left_out, with_readable_answers
from hacrl_lab.errors import LabError, SettingError

MEASURED_AT_ONCE = 1000
"""Prompts; then the progress bar moves."""
LEAST_EVALUATION = 2
"""An evaluation or validation of fewer problems has no interval."""


@dataclass(frozen=True)
class Data:
    """Problems for training, evaluation and validation; no question is in two of these."""

    training: Sequence[Problem]
    evaluation: Sequence[Problem]
    """The test: never used to choose anything."""
    notes: Sequence[str]
    """Sentences about what was read and what was left out, for the user."""
    fingerprint: str
    """Of what was read: a run notices by it that its files have changed, see :func:`fingerprint`."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """How often training draws from each source, beside the others; empty: every problem is equally likely."""
    validation: Sequence[Problem] = ()
    """For choosing when to stop; each question once."""

    @property
    def draw(self) -> Draw:
        """Draws problems for training, see :func:`hacrl_envs.text.draw_in_epochs`."""
        return draw_in_epochs(self.training, self.weights)


def load_data(
    problems: str | Sequence[str],
    evaluation: str | None = None,
    columns: Columns | None = None,
    test_share: float = TEST_SHARE,
    validation: float = 0.0,
    unreadable: Unreadable | None = None,
    skip_unusable: bool = False,
) -> Data:
    """Read the problems of a run and divide them.

    Args:
        problems: sources for training, each SOURCE or SOURCE*WEIGHT; see :func:`hacrl_envs.sources.read_problems`.
            Without weights every problem is equally likely. With a weight on any of them each source is drawn in
            proportion to its weight, 1 where none is written, and then one of its problems.
        evaluation: source for evaluations; None: a share of the problems, chosen by their text.
        columns: of questions and answers, in all sources.
        test_share: of the problems that is held out if there is no source for evaluations, in [0, 1].
        validation: share of the other problems that is kept apart for validation, chosen by their text too, in [0, 1).
        unreadable: finds exact answers that cannot be compared with; None: answers are not compared.
        skip_unusable: leave out and count what is no problem, as always in data sets of a hub.

    Raises:
        SettingError: a weight that is not a number > 0, no source, one that is given twice, or an impossible share.
        LabError: a source that cannot be read, entries that are no problems, nothing left to train on, or fewer than
            LEAST_EVALUATION problems to evaluate on or, with a share > 0, to validate on.
    """
    if not 0 <= test_share <= 1:
        raise SettingError(f"test_share must be in [0, 1], got {test_share}")
    check_validation_share(validation)
    sources, weights = _mixture([problems] if isinstance(problems, str) else problems)
    readings = [read_problems(source, columns) for source in sources]
    if evaluation is not None:
        readings.append(read_problems(evaluation, columns, "evaluation"))
    if unreadable is not None:
        readings = [with_readable_answers(reading, unreadable) for reading in readings]
    unused = left_out(readings, skip_unusable)
    sets = [reading.problems for reading in readings[: len(sources)]]
    if evaluation is None:
        asked = [problem for problem in chain(*sets) if _is_asked(problem, test_share)]
        sets = [[problem for problem in read if not _is_asked(problem, test_share)] for read in sets]
        origin = f"a share of {test_share:g} of {', '.join(sources)}, chosen by the questions' text"
    else:
        asked = readings[-1].problems
        origin = evaluation
    tests = _each_once(asked)
    training = _one_source_each(sets)
    unasked = _without(training, tests)
    kept_apart = [problem for problem in unasked if is_for_validation(normalised(problem.question), validation)]
    learned, validating = _without(unasked, kept_apart), _each_once(kept_apart)
    notes = [
        *_counts(learned, sources, weights),
        f"{len(tests)} problems for evaluation, {origin}.",
        f"{len(training) - len(unasked)} training problems are also asked in the evaluation and were left out.",
    ]
    if len(tests) < len(asked):
        notes.append(f"{len(asked) - len(tests)} evaluation problems repeat another and were left out.")
    if repeated := sum(map(len, sets)) - len(training):
        notes.append(f"{repeated} training problems repeat a question of an earlier source and were left out.")
    if validation:
        notes.append(
            f"{len(validating)} problems for validation, a share of {validation:g} of those that the evaluation does "
            "not ask, chosen by the questions' text."
        )
    notes += unused
    data = Data(learned, tests, notes, _fingerprint(sets, asked, sources, weights), weights, validating)
    remedy = "give other problems, or more of them, for training or as eval_problems"
    return _checked(data, remedy, validated=validation > 0)


def within_context(data: Data, fits: Mapping[str, Callable[[Sequence[str]], Sequence[bool]]]) -> Data:
    """Leave out problems whose prompt leaves an agent no room for a response.

    Args:
        data: as read.
        fits: for each agent, by name, says of questions whether their prompts fit.

    Raises:
        LabError: nothing left to train on, or fewer than LEAST_EVALUATION problems to evaluate on.
    """
    questions = list(dict.fromkeys(problem.question for problem in _all_of(data)))
    too_long: set[str] = set()
    notes = list(data.notes)
    for name, fit in fits.items():
        without_room: set[str] = set()
        for start in tqdm(range(0, len(questions), MEASURED_AT_ONCE), desc=f"Prompts of {name} are measured", delay=2):
            some = questions[start : start + MEASURED_AT_ONCE]
            without_room |= {question for question, fitting in zip(some, fit(some), strict=True) if not fitting}
        if without_room:
            notes.append(
                f"{len(without_room)} of {len(questions)} questions were left out: their prompts leave agent "
                f"{name!r} no room for a response."
            )
        too_long |= without_room
    kept = _each_part(data, lambda problems: [problem for problem in problems if problem.question not in too_long])
    remedy = "prompts are too long for the agents' contexts: lower max_new_tokens, or give shorter problems"
    return _checked(replace(kept, notes=notes), remedy, bool(data.validation))


def fingerprint(problems: Sequence[Problem]) -> str:
    """SHA-256 of the problems in their order, with all columns, by which a run notices that its files have changed."""
    digest = hashlib.sha256()
    for problem in problems:
        known = [problem.question, problem.answer, dict(problem.columns)]
        digest.update(json.dumps(known, sort_keys=True, default=repr).encode())
    return digest.hexdigest()


def _fingerprint(
    sets: Sequence[Sequence[Problem]], asked: Sequence[Problem], sources: Sequence[str], weights: Mapping[str, float]
) -> str:
    """Of one source as :func:`fingerprint`, of several SHA-256 over those of each and their weights, in order."""
    if len(sources) == 1:
        return fingerprint([*sets[0], *asked])
    parts = [[fingerprint(read), weights.get(source)] for source, read in zip(sources, sets, strict=True)]
    return hashlib.sha256(json.dumps([*parts, fingerprint(asked)]).encode()).hexdigest()


def _mixture(problems: Sequence[str]) -> tuple[list[str], dict[str, float]]:
    """The sources, and the weight of each if there are several and one has a weight."""
    written = [parse_source(text) for text in problems]
    sources = [source for source, _ in written]
    if not sources:
        raise SettingError("problems must name at least one source")
    for source in sources:
        if sources.count(source) > 1:
            raise SettingError(f"problems name {source!r} twice; write {source}*2 to draw it more often than others")
    if len(sources) == 1 or all(weight is None for _, weight in written):
        return sources, {}
    return sources, {source: 1.0 if weight is None else weight for source, weight in written}


def _counts(training: Sequence[Problem], sources: Sequence[str], weights: Mapping[str, float]) -> list[str]:
    """A sentence for each source: how many problems for training are of it, and its weight beside others."""
    count = Counter(problem.source for problem in training)
    drawn = {source: f", drawn with weight {weight:g}" for source, weight in weights.items()}
    return [f"{count[source]} problems for training, from {source}{drawn.get(source, '')}." for source in sources]


def _is_asked(problem: Problem, test_share: float) -> bool:
    return is_held_out(normalised(problem.question), test_share)


def _one_source_each(sets: Sequence[Sequence[Problem]]) -> list[Problem]:
    """The problems of all sets, each question of the first set that asks it."""
    kept: list[Problem] = []
    for problems in sets:
        kept += _without(problems, kept)
    return kept


def _each_once(problems: Sequence[Problem]) -> list[Problem]:
    """Without those that ask the question of an earlier one."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(normalised(problem.question), problem)
    return list(first.values())


def _without(problems: Sequence[Problem], others: Sequence[Problem]) -> list[Problem]:
    """Without those whose questions the others ask."""
    asked = {normalised(problem.question) for problem in others}
    return [problem for problem in problems if normalised(problem.question) not in asked]


def _all_of(data: Data) -> list[Problem]:
    return [*data.training, *data.evaluation, *data.validation]


def _each_part(data: Data, keep: Callable[[Sequence[Problem]], Sequence[Problem]]) -> Data:
    """With some problems of each part left out."""
    parts = {"training": data.training, "evaluation": data.evaluation, "validation": data.validation}
    return replace(data, **{name: keep(problems) for name, problems in parts.items()})


def _checked(data: Data, remedy: str, validated: bool) -> Data:
    """The data, if enough problems are left.

    Raises:
        LabError: they are too few; the message ends with the remedy.
    """
    if not data.training or len(data.evaluation) < LEAST_EVALUATION:
        raise LabError(
            f"{len(data.training)} problems are left for training and {len(data.evaluation)} for evaluation, at least "
            f"1 and {LEAST_EVALUATION} are needed: {remedy}"
        )
    if validated and len(data.validation) < LEAST_EVALUATION:
        raise LabError(
            f"{len(data.validation)} problems are left for validation, at least {LEAST_EVALUATION} are needed: {remedy}"
        )
    for source in data.weights:
        if not any(problem.source == source for problem in data.training):
            raise LabError(f"no problem of {source!r} is left for training: leave it out, or {remedy}")
    return data
