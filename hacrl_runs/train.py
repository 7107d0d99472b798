"""The main job: load the models, train them with each method, evaluate, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import transformers

from hacrl_envs.data import Data
from hacrl_lab.agent import Agent
from hacrl_lab.errors import LabError
from hacrl_lab.evaluation import evaluate
from hacrl_lab.fit import fit
from hacrl_lab.interrupt import Interrupted
from hacrl_lab.observers import Observer
from hacrl_lab.seeding import RandomStream
from hacrl_lab.trainer import Trainer
from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_lab.worlds import TextPrompts, World
from hacrl_runs.cards import check_hub, push, write_card
from hacrl_runs.figures import INITIAL
from hacrl_runs.folder import check_data, evaluated_steps, run_folder, write_evaluation
from hacrl_runs.models import running_agents, sources_of
from hacrl_runs.observers import showing
from hacrl_runs.report import write_report
from hacrl_runs.settings import (
    LEARNING_RATES,
    LONG_LEARNING_RATE,
    MAX_NEW_TOKENS,
    OWN_MODELS_LEARNING_RATE,
    OWN_TEMPLATE,
    Options,
)
from hacrl_runs.worlds import fingerprint_of, make_worlds, read_data

EVALUATION_SEED = 987_654_321  # of the problems and samples of every evaluation, apart from all training seeds


def run(options: Options) -> None:
    """Everything from the first model to the summary; goes on where an earlier run in the same folder stopped."""
    options = prepare(options)
    data = read_data(options)  # before any model is built or loaded
    if options.push_to_hub is not None:
        check_hub()
    with run_folder(options) as folder:
        check_data(folder, fingerprint_of(options, data))
        try:
            print(_run(options, folder, data))
        except (Interrupted, KeyboardInterrupt):
            print(f"Go on with: python experiments/llm_pair.py --resume {folder}")
            raise


def _run(options: Options, folder: Path, data: Data | None) -> str:
    """Train, evaluate and report in the run's folder; returns the summary."""
    sources = sources_of(options)
    with MathVerifier(answer_rule=ANSWER_RULES[options.answer_rule]) as verifier:
        worlds = make_worlds(options, sources, verifier, data)
        for note in worlds.notes:
            print(note)
        prompts = worlds.test.sample_prompts(options.eval_prompts, RandomStream(EVALUATION_SEED))
        run_arm(folder / INITIAL, options, 0, INITIAL, sources, worlds.training, worlds.test, prompts)
        with showing(options, folder) as observers:
            for method in options.methods:
                arm = folder / method
                run_arm(arm, options, options.steps, method, sources, worlds.training, worlds.test, prompts, observers)
    summary = write_report(folder, options, list(sources))
    for method in options.methods:
        for name, source in sources.items():
            write_card(folder, options, method, name, source)
    if options.push_to_hub is not None:
        push(folder, options, list(sources))
    return summary


def prepare(options: Options) -> Options:
    """Check the methods, quieten transformers and fill in what is left out."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for method in options.methods:
        options.training.check(method, agents=len(options.agents) or 2)
    return resolve(options)


def run_arm(
    folder: Path,
    options: Options,
    steps: int,
    method: str,
    sources: Mapping[str, str],
    training: World,
    test: World,
    prompts: TextPrompts,
    observers: Sequence[Observer] = (),
) -> None:
    """Train fresh agents with one method and evaluate them; what an earlier part of the same run did is kept.

    Args:
        folder: of this method; the metrics, checkpoints and agents are left there, and the evaluation.
        options: resolved, see :func:`resolve`.
        steps: of training; 0 to evaluate the agents as they are.
        method: name of :mod:`hacrl_lab.methods`; not read if there are no steps.
        sources: of the agents, see :func:`hacrl_runs.models.sources_of`.
        training, test: the problems of training and of the evaluation, which may be the same world.
        prompts: those of the evaluation.
        observers: of the training.
    """
    if evaluated_steps(folder) == steps:
        return
    with running_agents(options, sources) as (agents, engine):
        if steps > 0:
            trainer = Trainer(agents, training, method, options.training, options.seed, engine)
            fit(trainer, steps, folder, options.checkpoint_every, observers)
            for agent in agents:
                agent.save_pretrained(folder / "agents" / agent.name)
        _evaluate(folder, options, steps, agents, test, prompts)


def resolve(options: Options) -> Options:
    """Fill in what depends on other settings or on the machine."""
    own_rate = LONG_LEARNING_RATE if options.answers == "long" else LEARNING_RATES[options.size]
    rate = OWN_MODELS_LEARNING_RATE if options.agents else own_rate
    asked = OWN_TEMPLATE if not options.agents else f"{{question}}\n{ANSWER_RULES[options.answer_rule].instruction}"
    return replace(
        options,
        learning_rate=rate if options.learning_rate is None else options.learning_rate,
        max_new_tokens=MAX_NEW_TOKENS[options.answers] if options.max_new_tokens is None else options.max_new_tokens,
        prompt_template=asked if options.prompt_template is None else options.prompt_template,
        device="cuda" if options.plan_gpu_gib > 0 else usable_devices(options.device, len(options.agents) or 2),
        resume=None,
    )


def usable_devices(device: str, agents: int) -> str:
    """The devices, by name, after a look at whether they are there."""
    gpu = "cuda" if torch.cuda.is_available() else "cpu"
    names = (gpu if device == "auto" else device).split(",")
    if len(names) not in (1, agents):
        raise LabError(f"--device takes one device, or one for each of the {agents} agents, got {device!r}")
    for name in names:
        try:
            torch.ones(1, device=name).item()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise LabError(f"--device {name!r} is not usable here: {str(error).splitlines()[0]}") from error
    return ",".join(names)


def _evaluate(
    folder: Path,
    options: Options,
    steps: int,
    agents: Sequence[Agent],
    world: World,
    prompts: TextPrompts,
) -> None:
    """Write the agents' accuracy on every evaluation prompt to ``evaluation.json``."""
    accuracy = evaluate(agents, world, prompts, options.eval_samples, EVALUATION_SEED + 1)
    record = {
        "steps": steps,
        "topics": prompts.topics,
        "accuracy": {name: list(values) for name, values in accuracy.items()},
    }
    write_evaluation(folder, record)
