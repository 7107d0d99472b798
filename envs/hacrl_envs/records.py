"""Records of problem files: JSON Lines, JSON, CSV or Parquet.

Numbers stay as they are written: an answer such as ``0.00001`` or ``1e16`` that went through floating point would be
another text, and 0.1 of 32 bits is 0.10000000149011612 in 64.

A line or entry that is no record stands among them as :class:`Unusable`; a file that is of another format is an error.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hacrl_lab.errors import LabError, first_line
from hacrl_lab.extras import extra

LONGEST_LINE = 16 * 2**20
"""Bytes of a line of JSON Lines; no problem is longer, and a file that is not JSON Lines may be one line."""
LONGEST_SHOWN = 60
"""Characters of a value in a message."""
LARGEST_FILE = 2**30
"""Bytes of a JSON file, which is read at once; JSON Lines may be larger."""
_EXAMPLE = '{"question": "...", "answer": "..."}'
_OBJECT = f"a JSON object like {_EXAMPLE}"
_LIST = f"a JSON list of objects like {_EXAMPLE}; a file with an object in each line is named .jsonl"


@dataclass(frozen=True)
class Record:
    """One entry of a file."""

    location: str
    """File and line, for messages."""
    values: Mapping[str, Any]
    """By column."""


class Unusable(LabError):
    """An entry that is no problem.

    Args:
        location: file and line.
        reason: what is wrong, in the same words for all entries with the same fault.
        column: in which it is wrong; None: the entry as a whole is.
        shown: what stands there; of a longer text the first LONGEST_SHOWN characters are shown.
    """

    def __init__(self, location: str, reason: str, column: str | None = None, shown: str = "") -> None:
        self.location = location
        self.reason = reason if column is None else f"{column!r} {reason}"
        place = location if column is None else f"{location}: {column!r}"
        super().__init__(f"{place} {reason}{f': {shortened(shown)}' if shown else ''}")


class Number(str):
    """A number, as a file has it written or as exactly as its type has it."""

    __slots__ = ()


def shortened(text: str) -> str:
    """A text on one line, of LONGEST_SHOWN characters at most.

    >>> shortened("a" * 61) == "a" * 59 + "…"
    True
    """
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def read_records(path: Path) -> list[Record | Unusable]:
    """The records of a file, in order, with what is none at its place.

    Args:
        path: of a file with one of the endings of READERS.

    Raises:
        LabError: another ending, a file that cannot be read, or one that is not of its format.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise LabError(f"problem file {str(path)!r} has none of the endings {', '.join(READERS)}")
    try:
        return list(reader(path))
    except OSError as error:
        raise LabError(f"problem file {str(path)!r} cannot be read: {error.strerror or error}") from error


def rows_as_written(batch: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of a table of pyarrow, by column, with numbers of 16 and 32 bits and decimals as they are written.

    Args:
        batch: a ``pyarrow.RecordBatch`` or ``pyarrow.Table``.

    Raises:
        LabError: two columns have the same name.
    """
    if twice := _repeated(batch.schema.names):
        raise LabError(f"a table has the column {twice!r} twice")
    kinds = {column.name: column.type for column in batch.schema}
    for row in batch.to_pylist():
        yield {name: _as_written(value, kinds[name]) for name, value in row.items()}


def _as_written(value: Any, kind: Any) -> Any:
    """A value of pyarrow's type ``kind``, with the numbers in it as they are written."""
    types = extra("pyarrow", "data").types
    if value is None:
        return None
    if types.is_decimal(kind):
        return Number(format(value, "f"))
    if (types.is_float16(kind) or types.is_float32(kind)) and np.isfinite(value):
        narrow = np.float16 if types.is_float16(kind) else np.float32
        return Number(np.format_float_positional(narrow(value), trim="-"))
    if types.is_struct(kind):
        return {name: _as_written(entry, kind.field(name).type) for name, entry in value.items()}
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return [_as_written(entry, kind.value_type) for entry in value]
    return value


def _json_lines(path: Path) -> Iterator[Record | Unusable]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE + 1), b""), start=1):
            location = f"{path}, line {number}"
            if len(line) > LONGEST_LINE:
                raise LabError(f"{location} is longer than {LONGEST_LINE // 2**20} MiB")
            try:
                text = _utf8(line, location)
                if text.strip():
                    yield Record(location, _decoded(text, location, dict, _OBJECT))
            except Unusable as fault:
                yield fault


def _json(path: Path) -> Iterator[Record | Unusable]:
    if path.stat().st_size > LARGEST_FILE:
        raise LabError(f"{path} is larger than {LARGEST_FILE // 2**30} GiB; write it as JSON Lines")
    entries = _decoded(_utf8(path.read_bytes(), str(path)), str(path), list, _LIST)
    for number, entry in enumerate(entries, start=1):
        location = f"{path}, entry {number}"
        yield Record(location, entry) if isinstance(entry, dict) else Unusable(location, f"is not {_OBJECT}")


def _csv(path: Path) -> Iterator[Record | Unusable]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from _rows(csv.reader(file, strict=True), path)
    except (csv.Error, UnicodeDecodeError) as error:
        raise LabError(f"{path} is not CSV in UTF-8: {error}") from error


def _rows(reader: Any, path: Path) -> Iterator[Record | Unusable]:
    header: Sequence[str] = next(reader, [])
    if twice := _repeated(header):
        raise LabError(f"{path}, line 1 has the column {twice!r} twice")
    for row in filter(None, reader):
        location = f"{path}, line {reader.line_num}"
        if len(row) == len(header):
            yield Record(location, dict(zip(header, row, strict=True)))
        else:
            yield Unusable(location, f"has {len(row)} cells and the header has {len(header)}")


def _parquet(path: Path) -> Iterator[Record]:
    parquet = extra("pyarrow.parquet", "data")
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for values in rows_as_written(batch):
                    number += 1
                    yield Record(f"{path}, row {number}", values)
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:  # pyarrow's own, and unknown time zones
        raise LabError(f"{path} is not a Parquet file that pyarrow can read: {first_line(error)}") from error


def _utf8(content: bytes, location: str) -> str:
    try:
        return content.decode("utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        raise Unusable(location, "is not text in UTF-8") from error


def _decoded(text: str, location: str, kind: type, expected: str) -> Any:
    """The value of a text of JSON, with numbers as they are written.

    Raises:
        Unusable: the text is not JSON, holds NaN or one key twice, or is of another kind than expected.
    """
    try:
        value = json.loads(
            text, parse_int=Number, parse_float=Number, parse_constant=_refused, object_pairs_hook=_object
        )
    except (json.JSONDecodeError, RecursionError) as error:
        raise Unusable(location, f"is not {expected}") from error
    except ValueError as error:  # of the two functions below
        raise Unusable(location, str(error)) from error
    if not isinstance(value, kind):
        raise Unusable(location, f"is not {expected}")
    return value


def _refused(constant: str) -> Any:
    raise ValueError(f"holds {constant}, which is not JSON")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if twice := _repeated(key for key, _ in pairs):
        raise ValueError(f"has the key {twice!r} twice")
    return dict(pairs)


def _repeated(names: Iterable[str]) -> str | None:
    """The first name that comes more than once, or None."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


READERS: Mapping[str, Callable[[Path], Iterator[Record | Unusable]]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
"""By the ending of a file's name; Parquet needs the extra ``data``."""
