"""Problems from wherever they are: a file, a folder, a data set of a hub, or a name of :mod:`hacrl_envs.benchmarks`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hacrl_envs.benchmarks import NAMED
from hacrl_envs.cells import exact_answer_of, has_cell, python_value, text_of
from hacrl_envs.records import READERS, Record, Unusable, read_records, rows_as_written
from hacrl_envs.text import Problem
from hacrl_envs.weights import split_weight
from hacrl_lab.cache_folder import check_hub_cache
from hacrl_lab.errors import LabError, SettingError, first_line
from hacrl_lab.extras import extra

Role = Literal["training", "evaluation"]
QUESTION_COLUMNS = ("question", "problem", "prompt", "input")
ANSWER_COLUMNS = ("answer", "solution", "gold", "target", "final_answer", "expected_answer", "ground_truth")
SOLUTION = "solution"
"""Gives way to the other answer columns: beside one of them it holds how the answer is found."""
NESTED_ANSWER = "reward_model.ground_truth"
"""Where data sets for verl have the answer; read where no column has a usual name."""
ROWS_AT_ONCE = 1000
"""Of a data set, which is read in tables of so many rows."""
_HUB_ID = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(?::(?P<config>[^@]+))?(?:@(?P<split>.+))?")


@dataclass(frozen=True)
class Columns:
    """Which columns hold questions and answers, as :mod:`hacrl_envs.cells` names them.

    None: those with a usual name, in whatever letters; if there are several, all must say the same, but a column
    ``solution`` gives way to another one of answers.
    """

    question: str | None = None
    answer: str | None = None
    answers_needed: bool = True
    """Whether a problem without an answer is no problem; else its answer is empty."""


@dataclass(frozen=True)
class Reading:
    """What a source holds."""

    source: str
    """As the user wrote it."""
    problems: Sequence[Problem]
    unusable: Sequence[Unusable] = ()
    """What stands between them and is no problem."""
    answer_column: str | None = None
    """Where the answers stand; None if there are none."""
    guessed: Mapping[str, str] = field(default_factory=dict)
    """The columns that nobody named, by setting."""


def read_problems(source: str, columns: Columns | None = None, role: Role = "training") -> Reading:
    """Read problems, in order.

    Args:
        source: a file (.jsonl, .json, .csv, .parquet), a folder of such files or one that ``save_to_disk`` wrote, a hub
            id OWNER/NAME with :CONFIG and @SPLIT where there are several, or a name of NAMED.
        columns: of questions and answers; those of a named source are known.
        role: which split of a named source.

    Raises:
        SettingError: a name of NAMED that is for evaluations only, in the role of training.
        LabError: there is no such source, it cannot be read, or it does not have the columns.
    """
    columns = columns or Columns()
    location, columns = _named(source, role, columns) if source in NAMED else (source, columns)
    entries = _entries(location)
    records = [entry for entry in entries if isinstance(entry, Record)]
    unusable = [entry for entry in entries if isinstance(entry, Unusable)]
    if not entries:
        raise LabError(f"problem file {location!r} holds no problem")
    if not records:
        return Reading(source, [], unusable)
    question = _column(records, columns.question, QUESTION_COLUMNS, "question_column", text_of)
    answer = _answer_column(records, columns)
    problems: list[Problem] = []
    for record in records:
        try:
            problems.append(_problem(record, source, question, answer, columns.answers_needed))
        except Unusable as fault:
            unusable.append(fault)
    agreeing, disagreeing = _with_one_answer(problems)
    names = {"question_column": (columns.question, question), "answer_column": (columns.answer, answer)}
    guessed = {setting: found for setting, (named, found) in names.items() if named is None and found is not None}
    return Reading(source, agreeing, [*unusable, *disagreeing], answer, guessed)


def parse_source(text: str) -> tuple[str, float | None]:
    """The source and the weight of ``SOURCE*WEIGHT``; None without a weight.

    Raises:
        SettingError: what follows the last ``*`` is not a number > 0, and there is no file or folder of this name.

    >>> parse_source("gsm8k*2"), parse_source("gsm8k")
    (('gsm8k', 2.0), ('gsm8k', None))
    """
    source, weight = split_weight(text)
    if "*" in source and is_remote(source):
        raise SettingError(f"problems {text!r}: there is no such file, and a weight is a number > 0 after the last *")
    return source, weight


def is_remote(source: str) -> bool:
    """Whether a source is a data set of a hub, in which a user can put nothing right."""
    paths = (source, source.rpartition("@")[0])
    return source in NAMED or not any(os.path.exists(os.path.expanduser(path)) for path in paths if path)


def local_files(source: str) -> list[Path]:
    """The files from which a local source is read; none of a data set of a hub."""
    for path in filter(None, (source, source.rpartition("@")[0])):
        place = Path(os.path.expanduser(path))
        if place.is_dir():
            found = [below for pattern in ("*", "*/*") for below in place.glob(pattern)]
            return sorted(below for below in found if below.suffix in (*READERS, ".arrow") and below.is_file())
        if place.is_file():
            return [place]
    return []


def _named(name: str, role: Role, columns: Columns) -> tuple[str, Columns]:
    """The hub id of a named source with its configuration and split, and its columns."""
    named = NAMED[name]
    split = named.training if role == "training" else named.test
    if split is None:
        raise SettingError(f"{name!r} is for evaluations only; {_names('training')} can be trained on")
    config = "" if named.config is None else f":{named.config}"
    return f"{named.hub_id}{config}@{split}", replace(columns, question=named.question, answer=named.answer)


def _names(role: Role) -> str:
    return ", ".join(name for name, named in NAMED.items() if role == "evaluation" or named.training is not None)


def _entries(source: str) -> list[Record | Unusable]:
    for folder, split in ((source, None), source.rpartition("@")[::2]):
        if folder and os.path.isdir(os.path.expanduser(folder)):
            return _folder(Path(os.path.expanduser(folder)), split)
    path = os.path.expanduser(source)
    if os.path.isfile(path):
        return read_records(Path(path))
    looks_local = source.startswith((".", "/", "~")) or Path(source).suffix.lower() in READERS
    hub_id = _HUB_ID.fullmatch(source)
    if looks_local or hub_id is None:
        raise LabError(
            f"problem file {source!r} does not exist, and it is not a hub id OWNER/NAME:CONFIG@SPLIT or one of "
            f"{_names('evaluation')}"
        )
    return _hub(source, **hub_id.groupdict())


def _folder(folder: Path, split: str | None) -> list[Record | Unusable]:
    _refuse_pipes(folder)
    if any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
        return _dataset(str(folder), split, "load_from_disk", str(folder))
    if split is not None:
        raise LabError(f"folder {str(folder)!r} has no splits: save_to_disk of the datasets library did not write it")
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in READERS and path.is_file())
    except OSError as error:
        raise LabError(f"folder {str(folder)!r} cannot be read: {error.strerror}") from error
    if not files:
        raise LabError(f"folder {str(folder)!r} holds no file with one of the endings {', '.join(READERS)}")
    return [entry for path in files for entry in read_records(path)]


def _refuse_pipes(folder: Path) -> None:
    """Who reads a named pipe may wait for ever."""
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            if path.exists() and not path.is_file():
                raise LabError(f"{str(path)!r} is no file but a pipe or a device; take it out of the folder")


def _hub(source: str, name: str, config: str | None, split: str | None) -> list[Record | Unusable]:
    check_hub_cache()
    return _dataset(source, split, "load_dataset", name, config)


def _dataset(source: str, split: str | None, load: str, *arguments: str | None) -> list[Record | Unusable]:
    """The records of one split of a data set.

    Args:
        source: as the user wrote it, for messages.
        split: which; None: the only one.
        load: a function of the datasets library.
        arguments: its.
    """
    datasets = extra("datasets", "data")
    try:
        loaded = getattr(datasets, load)(*arguments)
    except Exception as error:  # the hub client, pyarrow and the library itself raise many kinds
        raise LabError(f"could not load problems from {source!r}: {first_line(error)}") from error
    splits = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {split: loaded}
    if split is None and len(splits) == 1:
        (split,) = splits
    if split not in splits:
        raise LabError(f"{source!r} has the splits {', '.join(map(str, splits))}: name one of them, as in SOURCE@SPLIT")
    tables = splits[split].with_format("arrow").iter(batch_size=ROWS_AT_ONCE)  # so that no image or sound is decoded
    rows = (row for table in tables for row in rows_as_written(table))
    try:
        return [Record(f"{source}, row {number}", row) for number, row in enumerate(rows, start=1)]
    except LabError:
        raise
    except Exception as error:  # values that Python does not have, such as times of an unknown zone
        raise LabError(f"could not read a value of {source!r}: {first_line(error)}") from error


def _column(
    records: Sequence[Record],
    named: str | None,
    usual: Sequence[str],
    setting: str,
    read: Callable[[Record, str], str],
) -> str:
    """The column that is named, or the one with a usual name.

    Args:
        records: at least one.
        named: a column, path or template, if the user named one.
        usual: names to look for otherwise.
        setting: which names it.
        read: what a cell says.

    Raises:
        LabError: there is none, or several do not say the same.
    """
    if named is None:
        names = dict.fromkeys(name for record in records for name in record.values)
        present = [name for one in usual for name in names if name.lower() == one]
        present = [name for name in present if name.lower() != SOLUTION] or present
        present = present or [name for name in usual if "." in name and has_cell(records[0], name)]
    else:
        present = [named] if any(has_cell(record, named) for record in records) else []
    if len(present) == 1 or (present and all(_say_the_same(record, present, read) for record in records)):
        return present[0]
    wanted = repr(named) if named is not None else f"named {', '.join(name for name in usual if '.' not in name)}"
    raise LabError(
        f"{records[0].location} has {'several columns' if present else 'no column'} {wanted}; its columns are "
        f"{', '.join(records[0].values) or 'none'}: set {setting} to the name of one"
    )


def _answer_column(records: Sequence[Record], columns: Columns) -> str | None:
    """The column of answers; None if there is none and none is needed."""
    try:
        usual = (*ANSWER_COLUMNS, NESTED_ANSWER)
        return _column(records, columns.answer, usual, "answer_column", exact_answer_of)
    except LabError:
        if columns.answers_needed or columns.answer is not None:
            raise
        return None


def _say_the_same(record: Record, columns: Sequence[str], read: Callable[[Record, str], str]) -> bool:
    """Whether those of the columns that say anything in a record all say the same."""
    said = set()
    for column in columns:
        with suppress(Unusable):
            said.add(read(record, column))
    return len(said) <= 1


def _problem(record: Record, source: str, question: str, answer: str | None, answers_needed: bool) -> Problem:
    exact = ""
    if answer is not None:
        try:
            exact = exact_answer_of(record, answer)
        except Unusable:
            if answers_needed:
                raise
    try:
        columns = {name: python_value(value) for name, value in record.values.items() if name != question}
    except RecursionError as error:
        raise Unusable(record.location, "is nested too deeply") from error
    return Problem(text_of(record, question), exact, columns=columns, source=source, location=record.location)


def _with_one_answer(problems: Sequence[Problem]) -> tuple[list[Problem], list[Unusable]]:
    """The problems without those that ask one question and have several answers, and these."""
    answers: dict[str, dict[str, str]] = {}  # places by answer, by question
    for problem in problems:
        answers.setdefault(problem.question, {}).setdefault(problem.answer, problem.location)
    agreeing = [problem for problem in problems if len(answers[problem.question]) == 1]
    return agreeing, [
        Unusable(
            problem.location,
            "has another answer than the same question elsewhere",
            shown=f"{problem.answer!r} to {problem.question!r}",
        )
        for problem in problems
        if len(answers[problem.question]) > 1
    ]
