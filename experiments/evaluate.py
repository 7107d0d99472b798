"""How able any language models are on any problems: greedy accuracy, avg@k, best@k and pass@k, with intervals.

    python experiments/evaluate.py --models FOLDER_OR_HUB_ID ... --problems math500 aime2025 --samples 8
    python experiments/evaluate.py --models runs/llm_pair/RUN --problems my_problems.jsonl
    python experiments/evaluate.py --models FOLDER --tasks chain_sum:max_terms=3 gcd

Writes a page with a table, the same in LaTeX, and a record of every response. Ctrl-C and the same command again goes
on.
"""

from __future__ import annotations

from functools import partial

from hacrl_runs.evaluation.settings import Options
from hacrl_runs.program import exit_with, main


def run(options: Options) -> str:
    """Evaluate and write the results; returns the table."""
    from hacrl_runs.evaluation.evaluate import run as evaluate  # here, so that --help answers at once

    return evaluate(options)


if __name__ == "__main__":
    exit_with(partial(main, Options, run, __doc__))
