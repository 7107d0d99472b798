"""Pages from templates: placeholders are filled from the run, and a sentence that was written for other settings goes.

A template is Markdown with ``$placeholders``. A sentence that states a result is made from placeholders, or it stands
between two lines of its own::

    <!-- published settings -->
    Plain pooling gains on all six pairs.
    <!-- end -->

Such blocks are kept if the run's settings are among the study's PUBLISHED ones. Otherwise the first one becomes a note
about it, and the others are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

BEGIN, END = "<!-- published settings -->", "<!-- end -->"
NOTE = "*What was written about the published run is left out here: this run has other settings.*\n"

_BLOCK = re.compile(rf"^{BEGIN}\n(.*?)^{END}\n", re.MULTILINE | re.DOTALL)


def fill(template: Path, values: Mapping[str, object], published: bool) -> str:
    """The page in Markdown.

    Args:
        template: the file.
        values: by placeholder.
        published: whether the run has settings for which the sentences in blocks were written.

    Raises:
        ValueError: a placeholder without a value, or a block that is not closed.
    """
    text = template.read_text(encoding="utf-8")
    kept = _without_blocks(text) if not published else _BLOCK.sub(r"\1", text)
    if BEGIN in kept or END in kept:
        raise ValueError(f"{template}: every line {BEGIN!r} must be followed by a line {END!r}")
    try:
        return Template(kept).substitute(values)
    except KeyError as error:
        raise ValueError(f"{template} has a placeholder without a value: ${error.args[0]}") from error


def _without_blocks(text: str) -> str:
    shortened = _BLOCK.sub("", _BLOCK.sub(NOTE, text, count=1))
    return re.sub(r"\n{3,}", "\n\n", shortened)
