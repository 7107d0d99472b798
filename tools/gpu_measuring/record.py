"""What has been measured so far: printed at once, and kept in files that are whole whenever the process is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hacrl_lab.files import write_text
from hacrl_runs.tables import markdown_table


class Record:
    """Sections with a table each.

    Args:
        folder: for ``README.md`` and ``results.json``.
        minutes: after which nothing further should begin.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        self._folder = folder
        self._started = time.monotonic()
        self._end = self._started + 60 * minutes
        self._sections: list[dict[str, Any]] = []

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._end

    def section(self, title: str, header: Sequence[str]) -> None:
        """Begin a section, whose rows follow."""
        begun = round(time.monotonic() - self._started, 1)
        self._sections.append({"title": title, "begun": begun, "header": list(header), "rows": [], "notes": []})
        print(f"\n## {title} (after {begun:.0f} s)\n\n{markdown_table(header, [])}", flush=True)

    def row(self, *cells: Any) -> None:
        """One more row of the last section; numbers are shown with three digits and kept whole."""
        self._sections[-1]["rows"].append(cells)
        print(f"| {' | '.join(map(shown, cells))} |", flush=True)
        self._write()

    def note(self, sentence: str) -> None:
        """A sentence below the last section."""
        self._sections[-1]["notes"].append(sentence)
        print(sentence, flush=True)
        self._write()

    def _write(self) -> None:
        parts = ["# A check of one GPU"]
        for one in self._sections:
            rows = [[shown(cell) for cell in row] for row in one["rows"]]
            parts += [f"## {one['title']}", f"Begun after {one['begun']:.0f} s.", markdown_table(one["header"], rows)]
            parts += one["notes"]
        write_text(self._folder / "README.md", "\n\n".join(parts) + "\n")
        write_text(self._folder / "results.json", json.dumps(self._sections, indent=1) + "\n")


def shown(cell: Any) -> str:
    """A cell of a table; None is empty.

    >>> shown(1234.5), shown(0.012345), shown(3), shown(None)
    ('1,234', '0.0123', '3', '')
    """
    if cell is None:
        return ""
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
