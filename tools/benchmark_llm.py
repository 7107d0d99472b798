"""The time of a training step of two models, beside the step of one TRL trainer for each of them.

    python tools/benchmark_llm.py                                  the lab's own small pair, on a CPU, in minutes
    python tools/benchmark_llm.py --agents FOLDER_OR_HUB_ID FOLDER_OR_HUB_ID --methods gspo

Needs the extra ``benchmark``: pip install 'hacrl-lab[benchmark]'.
"""

from __future__ import annotations

from functools import partial

from hacrl_runs.program import exit_with, main
from language_benchmark.options import Options


def run(options: Options) -> str:
    """Measure and write the results; returns the first table."""
    from language_benchmark.run import run as measure  # here, so that verifier processes stay small

    return measure(options)


if __name__ == "__main__":
    exit_with(partial(main, Options, run, __doc__))
