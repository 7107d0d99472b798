r"""Problems from wherever they are: a file, a folder, a data set of a hub, or a name of :mod:`hacrl_envs.benchmarks`.

The exact answer is taken out of a solution: what follows the last ``####`` (GSM8K), without commas between thousands,
or the last ``\boxed{}`` (MATH); any other text is the answer as it stands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hacrl_envs.benchmarks import NAMED
from hacrl_envs.records import READERS, Number, Record, read_records
from hacrl_envs.text import Problem
from hacrl_envs.weights import split_weight
from hacrl_lab.errors import LabError, SettingError, first_line
from hacrl_lab.extras import extra
from hacrl_lab.verification.answer_rules import boxed_answer, hashed_answer

Role = Literal["training", "evaluation"]
QUESTION_COLUMNS = ("question", "problem", "prompt", "input")
ANSWER_COLUMNS = ("answer", "solution", "gold", "target")
MOST_DIGITS = 300
"""Of a whole number that a reward function is given as one: Python reads no longer ones than a few thousand."""
_HUB_ID = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(?::(?P<config>[^@]+))?(?:@(?P<split>.+))?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@dataclass(frozen=True)
class Columns:
    """Which columns hold questions and answers; None: the only one with a usual name."""

    question: str | None = None
    answer: str | None = None


def read_problems(source: str, columns: Columns | None = None, role: Role = "training") -> list[Problem]:
    """Read problems, in order.

    Args:
        source: a file (.jsonl, .json, .csv, .parquet), a folder of such files or one that ``save_to_disk`` wrote, a hub
            id OWNER/NAME with :CONFIG and @SPLIT where there are several, or a name of NAMED.
        columns: of questions and answers; those of a named source are known.
        role: which split of a named source.

    Raises:
        SettingError: a name of NAMED that is for evaluations only, in the role of training.
        LabError: there is no such source, it cannot be read, it holds no problem, or an entry that is not one, or one
            that asks the question of an earlier entry and has another answer.
    """
    location, columns = _named(source, role) if source in NAMED else (source, columns)
    records = _records(location)
    if not records:
        raise LabError(f"problem file {location!r} holds no problem")
    columns = columns or Columns()
    question = _column(records[0], columns.question, QUESTION_COLUMNS, "question_column")
    answer = _column(records[0], columns.answer, ANSWER_COLUMNS, "answer_column")
    problems = [replace(_problem(record, question, answer), source=source) for record in records]
    _check_answers_agree(records, problems)
    return problems


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


def exact_answer(solution: str) -> str | None:
    r"""The answer in a solution, or None if the solution announces one and does not give it.

    >>> exact_answer("999 + 8 =" + chr(10) + "#### 1,007"), exact_answer(r"so $x = \boxed{7}$."), exact_answer(" 7 ")
    ('1007', '7', '7')
    """
    if "####" in solution:
        answer = hashed_answer(solution)
        return None if answer is None else _THOUSANDS.sub("", answer)
    if "\\boxed" in solution:
        return boxed_answer(solution)
    return solution.strip() or None


def _named(name: str, role: Role) -> tuple[str, Columns]:
    """The hub id of a named source with its configuration and split, and its columns."""
    named = NAMED[name]
    split = named.training if role == "training" else named.test
    if split is None:
        raise SettingError(f"{name!r} is for evaluations only; {_names('training')} can be trained on")
    config = "" if named.config is None else f":{named.config}"
    return f"{named.hub_id}{config}@{split}", Columns(named.question, named.answer)


def _names(role: Role) -> str:
    return ", ".join(name for name, named in NAMED.items() if role == "evaluation" or named.training is not None)


def _records(source: str) -> list[Record]:
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


def _folder(folder: Path, split: str | None) -> list[Record]:
    if any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
        return _dataset(str(folder), split, "load_from_disk", str(folder))
    if split is not None:
        raise LabError(f"folder {str(folder)!r} has no splits: save_to_disk of the datasets library did not write it")
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in READERS)
    except OSError as error:
        raise LabError(f"folder {str(folder)!r} cannot be read: {error.strerror}") from error
    if not files:
        raise LabError(f"folder {str(folder)!r} holds no file with one of the endings {', '.join(READERS)}")
    return [record for path in files for record in read_records(path)]


def _hub(source: str, name: str, config: str | None, split: str | None) -> list[Record]:
    return _dataset(source, split, "load_dataset", name, config)


def _dataset(source: str, split: str | None, load: str, *arguments: str | None) -> list[Record]:
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
    return [Record(f"{source}, row {number}", row) for number, row in enumerate(splits[split], start=1)]


def _column(record: Record, named: str | None, usual: Sequence[str], setting: str) -> str:
    """The column that is named, or the only one with a usual name."""
    present = [name for name in ([named] if named is not None else usual) if name in record.values]
    if len(present) == 1:
        return present[0]
    wanted = repr(named) if named is not None else f"named {', '.join(usual)}"
    raise LabError(
        f"{record.location} has {'several columns' if present else 'no column'} {wanted}; its columns are "
        f"{', '.join(record.values) or 'none'}: set {setting} to the name of one"
    )


def _problem(record: Record, question: str, answer: str) -> Problem:
    for column in (question, answer):
        if column not in record.values:
            raise LabError(f"{record.location} has no {column!r}")
    exact = exact_answer(_text(record, answer))
    if exact is None:
        raise LabError(rf"{record.location}: {answer!r} has #### or \boxed without an answer")
    columns = {name: _value(value) for name, value in record.values.items() if name != question}
    return Problem(_text(record, question), exact, columns=columns)


def _text(record: Record, column: str) -> str:
    """A cell as text: a number in digits, entries of a list with commas between."""
    value = record.values[column]
    entries = value if isinstance(value, list) and value else [value]
    text = ", ".join(_written(entry, record.location, column) for entry in entries)
    if not text.strip():
        raise LabError(f"{record.location}: {column!r} is empty")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise LabError(f"{record.location}: {column!r} holds half of a character (a lone surrogate)") from error
    return text


def _written(value: Any, location: str, column: str) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise LabError(f"{location}: {column!r} is neither text nor a number, but {value!r:.60}")
    return str(value) if isinstance(value, int) else np.format_float_positional(value, trim="-")


def _value(value: Any) -> Any:
    """What a reward function is given of a cell: numbers of JSON as Python's."""
    if isinstance(value, Number):
        is_integer = value.removeprefix("-").isdigit() and len(value) <= MOST_DIGITS
        return int(value) if is_integer else float(value)
    if isinstance(value, list):
        return [_value(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _value(entry) for key, entry in value.items()}
    return value


def _check_answers_agree(records: Sequence[Record], problems: Sequence[Problem]) -> None:
    """Refuse a question that has two answers."""
    known: dict[str, tuple[str, str]] = {}  # answer and location by question
    for record, problem in zip(records, problems, strict=True):
        answer, before = known.setdefault(problem.question, (problem.answer, record.location))
        if answer != problem.answer:
            raise LabError(
                f"{record.location} has another answer to {problem.question[:60]!r} than {before}: "
                f"{problem.answer[:60]!r} and not {answer[:60]!r}"
            )
