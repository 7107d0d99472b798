"""Records of problem files: JSON Lines, JSON, CSV or Parquet.

Numbers of text files stay as they are written: an answer such as ``0.00001`` or ``1e16`` that went through floating
point would be another text.
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

from hacrl_lab.errors import LabError, first_line
from hacrl_lab.extras import extra

LONGEST_LINE = 16 * 2**20
"""Bytes of a line of JSON Lines; no problem is longer, and a file that is not JSON Lines may be one line."""
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


class Number(str):
    """A number of a JSON file, as it is written there."""

    __slots__ = ()


def read_records(path: Path) -> list[Record]:
    """The records of a file, in order.

    Args:
        path: of a file with one of the endings of READERS.

    Raises:
        LabError: another ending, a file that cannot be read, or content that is not of its format, by line.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise LabError(f"problem file {str(path)!r} has none of the endings {', '.join(READERS)}")
    try:
        return list(reader(path))
    except OSError as error:
        raise LabError(f"problem file {str(path)!r} cannot be read: {error.strerror or error}") from error


def _json_lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE + 1), b""), start=1):
            location = f"{path}, line {number}"
            if len(line) > LONGEST_LINE:
                raise LabError(f"{location} is longer than {LONGEST_LINE // 2**20} MiB")
            text = _utf8(line, location)
            if text.strip():
                yield Record(location, _decoded(text, location, dict, _OBJECT))


def _json(path: Path) -> Iterator[Record]:
    if path.stat().st_size > LARGEST_FILE:
        raise LabError(f"{path} is larger than {LARGEST_FILE // 2**30} GiB; write it as JSON Lines")
    entries = _decoded(_utf8(path.read_bytes(), str(path)), str(path), list, _LIST)
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise LabError(f"{path}, entry {number} is not {_OBJECT}")
        yield Record(f"{path}, entry {number}", entry)


def _csv(path: Path) -> Iterator[Record]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from _rows(csv.reader(file, strict=True), path)
    except (csv.Error, UnicodeDecodeError) as error:
        raise LabError(f"{path} is not CSV in UTF-8: {error}") from error


def _rows(reader: Any, path: Path) -> Iterator[Record]:
    header: Sequence[str] = next(reader, [])
    if twice := _repeated(header):
        raise LabError(f"{path}, line 1 has the column {twice!r} twice")
    for row in filter(None, reader):
        location = f"{path}, line {reader.line_num}"
        if len(row) != len(header):
            raise LabError(f"{location} has {len(row)} cells and the header has {len(header)}")
        yield Record(location, dict(zip(header, row, strict=True)))


def _parquet(path: Path) -> Iterator[Record]:
    parquet = extra("pyarrow.parquet", "data")
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for values in batch.to_pylist():
                    number += 1
                    yield Record(f"{path}, row {number}", values)
    except (ValueError, TypeError, NotImplementedError) as error:  # pyarrow's own are kinds of these
        raise LabError(f"{path} is not a Parquet file that pyarrow can read: {first_line(error)}") from error


def _utf8(content: bytes, location: str) -> str:
    try:
        return content.decode("utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        raise LabError(f"{location} is not text in UTF-8") from error


def _decoded(text: str, location: str, kind: type, expected: str) -> Any:
    """The value of a text of JSON, with numbers as they are written.

    Raises:
        LabError: the text is not JSON, holds NaN or one key twice, or is of another kind than expected.
    """
    try:
        value = json.loads(
            text, parse_int=Number, parse_float=Number, parse_constant=_refused, object_pairs_hook=_object
        )
    except (json.JSONDecodeError, RecursionError) as error:
        raise LabError(f"{location} is not {expected}") from error
    except ValueError as error:  # of the two functions below
        raise LabError(f"{location} {error}") from error
    if not isinstance(value, kind):
        raise LabError(f"{location} is not {expected}")
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


READERS: Mapping[str, Callable[[Path], Iterator[Record]]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
"""By the ending of a file's name; Parquet needs the extra ``data``."""
