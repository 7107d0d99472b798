"""The rounds of the benchmark: in each, every side makes a step, and another side is first."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import transformers
from tqdm.auto import trange

from hacrl_lab.config import TrainingConfig, save_config
from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_lab.worlds import World
from hacrl_runs.models import sources_of
from hacrl_runs.settings import Options as PairOptions
from hacrl_runs.tables import write_csv
from hacrl_runs.train import resolve
from hacrl_runs.worlds import make_worlds, read_data
from language_benchmark.lab import LabSide
from language_benchmark.options import TRL, Options
from language_benchmark.report import Rounds, page, rounds_csv, table
from language_benchmark.trl_side import TRLSide

Side = LabSide | TRLSide


def run(options: Options) -> str:
    """Measure, write the page and the CSV file; returns the first table.

    Raises:
        LabError: TRL is not installed, or models that cannot be loaded or asked.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    options.folder.mkdir(parents=True, exist_ok=True)  # before anything is measured, so that a wrong path costs nothing
    pair = pair_options(options)
    for method in options.methods:
        pair.training.check(method)
    with ExitStack() as stack:
        rounds = measure(_sides(options, pair, stack), options.rounds)
    _write(options.folder, options, rounds)
    return f"{table(rounds)}\n\nWritten to {options.folder}."


def pair_options(options: Options) -> PairOptions:
    """The same as options of a run of the language pair, resolved."""
    return resolve(
        PairOptions(
            agents=options.agents,
            size=options.size,
            problems=options.problems,
            prompt_template=options.prompt_template,
            training=TrainingConfig(
                prompts_per_step=options.prompts, group_size=options.group_size, minibatches=options.minibatches
            ),
            learning_rate=options.learning_rate,
            max_new_tokens=options.max_new_tokens,
            tokens_per_pass=options.tokens_per_pass,
            seed=options.seed,
            device=options.device,
            dtype=options.dtype,
        )
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


def _sides(options: Options, pair: PairOptions, stack: ExitStack) -> dict[str, Side]:
    """Every side with models, world and verifier of its own."""
    sources = sources_of(pair)

    def world() -> World:
        verifier = stack.enter_context(MathVerifier(answer_rule=ANSWER_RULES[pair.answer_rule]))
        return make_worlds(pair, sources, verifier, read_data(pair)).training

    lab = {method: LabSide(method, pair, sources, world()) for method in options.methods}
    return {**lab, TRL: stack.enter_context(TRLSide(options, pair, sources, world()))}


def _write(folder: Path, options: Options, rounds: Rounds) -> None:
    write_csv(folder / "rounds.csv", rounds_csv(rounds))
    (folder / "README.md").write_text(page(options, rounds), encoding="utf-8")
    save_config(options, folder / "config.json")
