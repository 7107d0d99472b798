"""Runs the studies, one at a time.

python experiments/run.py                      lists the studies
python experiments/run.py STUDY --help         explains a study's options
python experiments/run.py STUDY [options]      runs it
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import hacrl_studies
from hacrl_runs import program
from hacrl_studies.common import study


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a study by name, or list them all; returns the exit status.

    Args:
        arguments: the words of the command line; None: those of this process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    names = study.study_names(hacrl_studies.__path__)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview(names))
        return 0
    name, *rest = arguments
    if name not in names:
        print(f"error: unknown study {name!r}; choose one of {', '.join(names)}", file=sys.stderr)
        return 2
    selected = study.load(name)
    prog = f"python experiments/run.py {name}"
    return program.main(selected.options, partial(study.run, selected), selected.description, rest, prog)


def overview(names: Sequence[str]) -> str:
    """A line for each study: what it asks, and how long it takes."""
    width = max(map(len, names))
    lines = [str(__doc__), "Studies, with their minutes on two cores:", ""]
    for name in names:
        question, minutes = study.question_and_minutes(name)
        lines.append(f"{name:{width}}  {question} ({minutes:g} min)")
    return "\n".join(lines)
