"""Two different language models learn from each other: ``hacrl-lab train`` by the name that it had first."""

import sys
from functools import partial

from hacrl_runs.cli.main import train
from hacrl_runs.program import exit_with

if __name__ == "__main__":
    exit_with(partial(train, sys.argv[1:], "python experiments/llm_pair.py"))
