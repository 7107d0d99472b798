"""The command ``hacrl-lab``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from hacrl_runs.program import exit_with, with_clear_errors

USAGE = """\
hacrl-lab: language models learn from each other's verified answers.

    hacrl-lab train      train two or more models together, and each alone to compare
    hacrl-lab plan       the memory and time that a training run needs, before its weights
    hacrl-lab evaluate   accuracy of any models on any problems, with intervals
    hacrl-lab describe   what models are like before any training, and how far apart
    hacrl-lab methods    the methods that there are, and what each is

`hacrl-lab COMMAND --help` explains a command's options. Without options, train
runs the lab's own small pair, on a CPU, in minutes.
"""
TRAIN = """\
Language models learn from each other: HACPO and, from the same start, GSPO.

    hacrl-lab train                        the lab's own small pair, on a CPU
    hacrl-lab train --size base --device cuda           a larger pair on a GPU
    hacrl-lab train --agents MODEL MODEL --problems FILE.jsonl        your own
    hacrl-lab train --agents ... --plan          memory and hours of the run
    hacrl-lab train --config RUN/config.yaml --seed 1     a run with changes
    hacrl-lab train --resume RUN           continue after Ctrl-C or a crash

A MODEL is a transformers folder or a hub id, a RUN the folder of a run.

A run keeps its settings, metrics, figures, checkpoints and a summary."""
EVALUATE = """\
Accuracy of language models: greedy, avg@k, best@k, pass@k, with intervals.

    hacrl-lab evaluate --models MODEL ... --problems math500 aime2025
    hacrl-lab evaluate --models RUN --problems my_problems.jsonl --samples 8
    hacrl-lab evaluate --models MODEL --tasks chain_sum:max_terms=3 gcd

A MODEL is a transformers folder or a hub id, a RUN the folder of a run.

Writes a page, a LaTeX table, and a record of every response.

After Ctrl-C the same command continues."""
DESCRIBE = """\
What models are like before training: lengths, skills, and how far apart.

    hacrl-lab describe --answers long
    hacrl-lab describe --agents MODEL MODEL --tasks gcd

Prints JSON; a pair is chosen by these numbers, before any method is run."""
LAST_CHECKPOINT = "What the last checkpoint holds is kept."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    Args:
        arguments: the words of the command line; None: those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    command, *rest = words
    if command == "--version":
        from importlib.metadata import version

        print(f"hacrl-lab {version('hacrl-lab')}")
        return 0
    if command not in COMMANDS:
        print(f"error: unknown command {command!r}; choose one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return COMMANDS[command](rest, f"hacrl-lab {command}")


def train(words: Sequence[str], prog: str = "hacrl-lab train") -> int:
    """Train, or plan where ``--plan`` is among the words."""
    from hacrl_runs.command_line import NAMES, read_command  # here, so that other commands answer at once

    def run() -> None:
        command = read_command(words, prog, TRAIN)
        if command.start.plan:
            from hacrl_runs.plan import plan

            plan(command.settings, command.start.plan_gpu_gib)
        else:
            from hacrl_runs.train import train

            train(command.settings, command.start.accept_changes)

    return with_clear_errors(run, NAMES, LAST_CHECKPOINT)


def plan(words: Sequence[str], prog: str = "hacrl-lab plan") -> int:
    """The memory and time of a run."""
    return train(["--plan", *words], prog)


def evaluate(words: Sequence[str], prog: str = "hacrl-lab evaluate") -> int:
    """Evaluate models."""
    from hacrl_runs.evaluation.settings import NAMES, read_settings

    def run() -> None:
        settings = read_settings(words, prog, EVALUATE)
        from hacrl_runs.evaluation.evaluate import evaluate

        print(evaluate(settings))

    return with_clear_errors(run, NAMES)


def describe(words: Sequence[str], prog: str = "hacrl-lab describe") -> int:
    """Numbers about models before any training."""
    from hacrl_runs.command_line import NAMES, read_command

    def run() -> None:
        settings = read_command(words, prog, DESCRIBE).settings
        from hacrl_runs.describe import describe

        print(describe(settings))

    return with_clear_errors(run, NAMES)


def methods(words: Sequence[str], prog: str = "hacrl-lab methods") -> int:
    """The table of methods, or one of them."""
    from hacrl_runs.methods_page import methods_page

    return with_clear_errors(lambda: print(methods_page(words, prog)))


COMMANDS: Mapping[str, Callable[[Sequence[str], str], int]] = {
    "train": train,
    "plan": plan,
    "evaluate": evaluate,
    "describe": describe,
    "methods": methods,
}


def run() -> None:
    """The entry point of the installed command."""
    exit_with(main)


if __name__ == "__main__":
    run()
