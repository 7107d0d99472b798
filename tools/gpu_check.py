"""Ten minutes on a machine with one GPU: is the lab sound there, and how fast?

    tools/gpu_check.sh --with WHEELS                            on the GPU, without a network
    python tools/gpu_check.py --size tiny --device cpu ...      a rehearsal

Pre-trains the lab's own pair, then measures tokens a second of our sampler and of transformers' ``generate``, steps of
GSPO, HACPO and two TRL trainers in turn with the share of the card's peak that updates reach, and trains with long
answers. Prints every row when it is measured; README.md and results.json in the folder are written anew each time.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from gpu_measuring.options import Options
from hacrl_runs.own_folder import own_folder
from hacrl_runs.program import exit_with, main

MAKER = "tools/gpu_check.py"


def run(options: Options) -> str:
    """Measure everything; returns where it is written."""
    from gpu_measuring import parts  # here, so that verifier processes stay small
    from gpu_measuring.record import Record
    from gpu_measuring.steps import steps

    with own_folder(options.folder, MAKER), tempfile.TemporaryDirectory() as models:
        record, folder = Record(options.folder, options.minutes), Path(models)
        peak = parts.machine(options, record)
        short = parts.pair(options, "short", folder, record)
        parts.sampling(options, short, record)
        steps(options, short, peak, record)
        if not record.is_late:
            parts.long_answers(options, parts.pair(options, "long", folder, record), record)
        else:
            record.note(parts.LATE)
    return f"\nWritten to {options.folder}."


if __name__ == "__main__":
    exit_with(partial(main, Options, run, __doc__))
