"""What every experiment does on the command line: options from a dataclass, a printed result, clear errors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import tyro

from hacrl_lab.errors import LabError

Config = TypeVar("Config")


def main(config: type[Config], run: Callable[[Config], str], description: str | None) -> int:
    """Read the options, run, print what the experiment returns.

    Args:
        config: a dataclass whose fields are the options; a ``ValueError`` of its own is shown beside the usage.
        run: the experiment.
        description: for ``--help``.

    Returns:
        The exit status: 0, or 1 after an error.
    """
    options = tyro.cli(config, description=description)
    try:
        print(run(options))
    except (LabError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
