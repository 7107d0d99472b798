"""The rounds of the benchmark: in each, every side makes a step, and another side is first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

import torch
import transformers
from tqdm.auto import tqdm

from hacrl_lab.config import save_config
from hacrl_lab.files import write_text
from hacrl_runs.own_folder import own_folder
from hacrl_runs.resolve import Job, prepared
from hacrl_runs.settings import TrainSettings, train_settings
from hacrl_runs.tables import write_csv
from language_benchmark.lab import LabSide
from language_benchmark.options import TRL, Options, trl_settings
from language_benchmark.overview import write_overview
from language_benchmark.rates import ROWS, Rates, rates_of
from language_benchmark.report import Measured, Rounds, page, ratios_csv, rounds_csv, table
from language_benchmark.trl_side import TRLSide

Side = LabSide | TRLSide
MAKER = "tools/benchmark_llm.py"
RATED = 3
"""Rates are measured after every so many rounds, from the first on."""


def run(options: Options) -> str:
    """Measure, write the page and the CSV files; returns the first table.

    Raises:
        LabError: TRL is not installed, models that cannot be loaded or asked, or a folder with files of others.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with own_folder(options.folder, MAKER):  # before anything is measured, so that a wrong path costs nothing
        for method in options.methods:
            settings_of(options).training.check(method)
        with ExitStack() as stack:
            sides = {**lab_sides(options, stack), **trl_sides(options, stack)}
            measured = _measured(options, sides)
            [side, *_] = sides.values()
            _write(options, measured, [agent.name for agent in side.agents])
    return f"{table(measured)}\n\nWritten to {options.folder}."


def settings_of(options: Options) -> TrainSettings:
    """The same as settings of a run of language models."""
    workload, sizes = options.its_workload, options.sizes
    agents = options.agents or workload.agents()
    if options.problems is None:
        asked = {"tasks": workload.tasks, "answer_rule": workload.answer_rule}
        template = workload.prompt_template
    else:
        asked = {"problems": (options.problems,)}
        template = ()
    if options.prompt_template is not None:
        template = (options.prompt_template,)
    sampler = {} if options.generation is None else {"generation": options.generation}
    return train_settings(
        agents=agents,
        size=options.size,
        answers="short" if agents else workload.answers,
        prompts_per_step=sizes.prompts,
        group_size=sizes.group_size,
        minibatches=options.minibatches,
        learning_rate=options.learning_rate,
        max_new_tokens=sizes.max_new_tokens,
        tokens_per_pass=sizes.tokens_per_pass,
        seed=options.seed,
        device=options.device,
        dtype=options.dtype,
        prompt_template=template,
        **asked,
        **sampler,
    )


def rounds_of(sides: Mapping[str, Side], count: int) -> Iterator[Rounds]:
    """Steps of all sides in turn: all rounds so far after every one, of which the first does not count.

    Args:
        sides: by name.
        count: of rounds.
    """
    names = list(sides)
    rounds: Rounds = {name: [] for name in names}
    for number in range(count + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            rounds[name].append(sides[name].step())
        yield {name: steps[1:] for name, steps in rounds.items()}


def lab_sides(options: Options, stack: ExitStack) -> dict[str, Side]:
    """The lab's, each with models, world and verifier of its own."""
    return {method: LabSide(method, _job(options, stack)) for method in options.methods}


def trl_sides(options: Options, stack: ExitStack) -> dict[str, Side]:
    """TRL's, in the same way; a variant of TRL is a side of its own."""
    variants = {TRL: {}, **{f"{TRL} {variant}": trl_settings(variant) for variant in options.trl_variants}}
    return {
        name: stack.enter_context(TRLSide(options, _job(options, stack), further)) for name, further in variants.items()
    }


def _job(options: Options, stack: ExitStack) -> Job:
    return stack.enter_context(prepared(settings_of(options)))


def _measured(options: Options, sides: Mapping[str, Side]) -> Measured:
    """The rounds, and after some of them the rates of every agent's matrix products."""
    [side, *_] = sides.values()
    answers = options.sizes.prompts * options.sizes.group_size
    rates: list[Sequence[Rates]] = []
    so_far: list[Rounds] = []
    for rounds in tqdm(rounds_of(sides, options.rounds), "Benchmark", options.rounds + 1, unit="round"):
        so_far.append(rounds)
        if len(so_far) % RATED == 1:
            rates.append([rates_of(agent.model, answers, ROWS, getattr(torch, options.dtype)) for agent in side.agents])
    return Measured(so_far[-1], rates)


def _write(options: Options, measured: Measured, names: Sequence[str]) -> None:
    folder = options.folder
    write_csv(folder / "rounds.csv", rounds_csv(measured.rounds))
    write_csv(folder / "ratios.csv", ratios_csv(measured))
    write_text(folder / "README.md", page(options, measured, names))
    save_config(options, folder / "config.json")
    if options.output_dir is None:
        write_overview(folder.parent)
