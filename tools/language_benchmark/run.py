"""The rounds of the benchmark: in each, every side makes a step, and another side is first."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import transformers
from tqdm.auto import trange

from hacrl_lab.config import save_config
from hacrl_lab.files import write_text
from hacrl_runs.own_folder import own_folder
from hacrl_runs.resolve import Job, prepared
from hacrl_runs.settings import TrainSettings, train_settings
from hacrl_runs.tables import write_csv
from language_benchmark.lab import LabSide
from language_benchmark.options import TRL, Options
from language_benchmark.report import Rounds, page, rounds_csv, table
from language_benchmark.trl_side import TRLSide

Side = LabSide | TRLSide
MAKER = "tools/benchmark_llm.py"


def run(options: Options) -> str:
    """Measure, write the page and the CSV file; returns the first table.

    Raises:
        LabError: TRL is not installed, models that cannot be loaded or asked, or a folder with files of others.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with own_folder(options.folder, MAKER):  # before anything is measured, so that a wrong path costs nothing
        for method in options.methods:
            settings_of(options).training.check(method)
        with ExitStack() as stack:
            rounds = measure(_sides(options, stack), options.rounds)
        _write(options.folder, options, rounds)
    return f"{table(rounds)}\n\nWritten to {options.folder}."


def settings_of(options: Options) -> TrainSettings:
    """The same as settings of a run of the language pair."""
    return train_settings(
        agents=options.agents,
        size=options.size,
        problems=() if options.problems is None else (options.problems,),
        prompt_template=() if options.prompt_template is None else (options.prompt_template,),
        prompts_per_step=options.prompts,
        group_size=options.group_size,
        minibatches=options.minibatches,
        learning_rate=options.learning_rate,
        max_new_tokens=options.max_new_tokens,
        tokens_per_pass=options.tokens_per_pass,
        seed=options.seed,
        device=options.device,
        dtype=options.dtype,
    )


def measure(sides: Mapping[str, Side], count: int) -> Rounds:
    """Steps of all sides in turn, those of a first round left out.

    Args:
        sides: by name.
        count: of rounds.
    """
    names = list(sides)
    rounds: Rounds = {name: [] for name in names}
    for number in trange(count + 1, desc="Benchmark", unit="round"):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            rounds[name].append(sides[name].step())
    return {name: steps[1:] for name, steps in rounds.items()}


def _sides(options: Options, stack: ExitStack) -> dict[str, Side]:
    """Every side with models, world and verifier of its own."""

    def job() -> Job:
        return stack.enter_context(prepared(settings_of(options)))

    lab = {method: LabSide(method, job()) for method in options.methods}
    return {**lab, TRL: stack.enter_context(TRLSide(options, job()))}


def _write(folder: Path, options: Options, rounds: Rounds) -> None:
    write_csv(folder / "rounds.csv", rounds_csv(rounds))
    write_text(folder / "README.md", page(options, rounds))
    save_config(options, folder / "config.json")
