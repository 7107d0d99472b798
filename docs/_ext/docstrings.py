"""Docstrings are plain sentences: characters that mean something to reStructuredText stand for themselves."""

import re
from collections.abc import Iterator

from sphinx.application import Sphinx

LITERAL_OR_MARKUP = re.compile(r"``.*?``|:\w+:`.*?`|(?<!\w)\*\w[\w ]*\*(?!\w)|(`)|([|*_\\])")


def setup(app: Sphinx) -> dict[str, bool]:
    """Runs before napoleon reads the sections of a docstring."""
    app.connect("autodoc-process-docstring", plain, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def plain(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Rewrites the lines of one docstring where they are."""
    lines[:] = rewritten(lines)


def rewritten(lines: list[str]) -> Iterator[str]:
    """Indented blocks after an empty line become literal blocks; elsewhere markup is escaped, `this` a literal."""
    literal, before, last = False, "", " "  # the line before, and the last one that is not empty
    for line in lines:
        if line:
            starts = not before and not last.startswith(" ")
            if line.startswith(" ") and starts and not last.endswith("::"):
                yield from ("::", "")
            literal = line.startswith(" ") and (literal or starts)
        doctest = line.lstrip().startswith((">>>", "..."))
        yield line if literal or doctest else LITERAL_OR_MARKUP.sub(escaped, line)
        before, last = line, line or last


def escaped(match: re.Match[str]) -> str:
    """A literal, role or *emphasis* as it is, a single backtick doubled, another character with a backslash."""
    if match[1]:
        return "``"
    return rf"\{match[2]}" if match[2] else match[0]
