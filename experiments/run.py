"""Runs the studies of this folder, one at a time.

python experiments/run.py                      lists the studies
python experiments/run.py STUDY --help         explains a study's options
python experiments/run.py STUDY [options]      runs it
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from common import cli, study

ROOT = Path(__file__).parent


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Run a study by name, or list them all; returns the exit status.

    Args:
        arguments: the words of the command line.
        root: the folder of the studies, from which modules are imported.
    """
    names = study.study_names(root)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview(names))
        return 0
    name, *rest = arguments
    if name not in names:
        print(f"error: unknown study {name!r}; choose one of {', '.join(names)}", file=sys.stderr)
        return 2
    chosen = study.load(name)
    prog = f"python experiments/run.py {name}"
    return cli.main(chosen.options, partial(study.run, chosen), chosen.description, rest, prog)


def overview(names: Sequence[str]) -> str:
    """A line for each study: what it asks, and how long it takes."""
    width = max(map(len, names))
    lines = [str(__doc__), "Studies, with their minutes on two cores:", ""]
    for name in names:
        question, minutes = study.question_and_minutes(name)
        lines.append(f"{name:{width}}  {question} ({minutes:g} min)")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.leave(partial(main, sys.argv[1:]))
