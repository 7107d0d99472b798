"""How able any language models are on any problems: ``hacrl-lab evaluate`` by the name that it had first."""

import sys
from functools import partial

from hacrl_runs.cli.main import evaluate
from hacrl_runs.program import exit_with

if __name__ == "__main__":
    exit_with(partial(evaluate, sys.argv[1:], "python experiments/evaluate.py"))
