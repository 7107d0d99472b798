"""Two different language models learn from each other: HACPO against GSPO from the same start.

    python experiments/llm_pair.py                                     the lab's own small pair, on a CPU, in minutes
    python experiments/llm_pair.py --size base --device cuda           a larger pair, on a GPU
    python experiments/llm_pair.py --agents PATH_OR_HUB_ID PATH_OR_HUB_ID --problems FILE.jsonl
    python experiments/llm_pair.py --agents ... --plan                 memory and hours of the run, before its weights
    python experiments/llm_pair.py --resume runs/llm_pair/...          go on after Ctrl-C or a crash

Every run leaves a folder with its configuration, metrics, TensorBoard events, figures, checkpoints and a summary.
"""

from __future__ import annotations

import sys

from safetensors import SafetensorError

from hacrl_lab.errors import LabError
from hacrl_lab.interrupt import Interrupted
from hacrl_runs.command_line import as_options, read_options
from hacrl_runs.program import exit_with


def main() -> int:
    """Run from the command line; returns the exit status."""
    try:
        options = read_options(None, __doc__)
        # imported here, so that --help answers at once and verifier processes stay small
        if options.plan:
            from hacrl_runs.plan import plan

            plan(options)
        else:
            from hacrl_runs.train import run

            run(options)
    except (LabError, ValueError) as error:
        print(f"error: {as_options(str(error))}", file=sys.stderr)
        return 1
    except (OSError, MemoryError, RuntimeError, SafetensorError) as error:
        print(f"error: {_of_the_machine(error)}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"{stop}.", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("Stopped at once; what the last checkpoint holds is kept.", file=sys.stderr)
        return 130
    return 0


def _of_the_machine(error: Exception) -> str:
    """A sentence about a full disk, a folder that may not be written, or memory that is not enough.

    Raises:
        Exception: one of another kind, which is a fault of the program.
    """
    text = str(error).strip().split("\n")[0]
    if isinstance(error, OSError):
        place = f" ({error.filename!r})" if error.filename else ""
        return f"{error.strerror or text}{place}; what the last checkpoint holds is kept"
    if isinstance(error, MemoryError) or "memory" in text:
        return f"not enough memory: {text}; --plan says what a run takes, and what makes it smaller"
    if "No space left" in text or "I/O error" in text or "write" in text:  # torch and safetensors on a full disk
        return f"{text}; what the last checkpoint holds is kept"
    raise error


if __name__ == "__main__":
    exit_with(main)
