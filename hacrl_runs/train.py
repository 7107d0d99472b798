"""The main job: load the models, train them with each method, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import indent

import torch
from tqdm.auto import tqdm

from hacrl_lab.agent import Agent
from hacrl_lab.capability import capability_ratio_matrix
from hacrl_lab.errors import DivergedError, NonFiniteError
from hacrl_lab.evaluation import evaluate
from hacrl_lab.fit import fit
from hacrl_lab.interrupt import Interrupted
from hacrl_lab.language_models.loading import load_codec
from hacrl_lab.methods import get_method
from hacrl_lab.observers import Observer
from hacrl_lab.seeding import RandomStream, StepStream
from hacrl_lab.trainer import Trainer
from hacrl_runs.agents import sources_of
from hacrl_runs.cards import check_hub, push, write_card
from hacrl_runs.figures import INITIAL
from hacrl_runs.folder import (
    Evaluation,
    begin,
    check_length,
    is_begun,
    is_evaluated,
    run_folder,
    write_evaluation,
)
from hacrl_runs.inputs import agree, inputs_of, versions
from hacrl_runs.observers import OwnObserver, check_logger, observing
from hacrl_runs.report import SUMMARY, divergences, write_report
from hacrl_runs.resolve import Job, prepared, resolved
from hacrl_runs.settings import TrainSettings, changed
from hacrl_runs.shell import resume_command
from hacrl_runs.worlds import EVALUATION_SEED, files_of, read_data, times_asked


def train(settings: TrainSettings, accept_changes: bool = False) -> None:
    """Everything from the first model to the summary; continues where an earlier run in the same folder stopped.

    Args:
        settings: of the run.
        accept_changes: continue also where models, problems, rewards or versions have changed since the run began.

    Raises:
        LabError: settings, models or problems that cannot be used, a run from which nothing can be learned, or inputs
            of the run that have changed.
        DivergedError: an agent has diverged; all methods have been trained and evaluated, and the summary written.
        Interrupted: Ctrl-C was pressed; everything up to the last full step is kept.
    """
    filled_in = resolved(settings)
    settings = changed(settings, {"device": filled_in.devices.device})  # the run must not move to another unnoticed
    files = files_of(settings.problems)
    data = read_data(settings.problems, settings.evaluation)  # before any model is built or loaded
    if settings.run.push_to_hub is not None:
        check_hub()
    check_logger(settings.run.logger)
    device = settings.devices.device

    def check_inputs() -> None:
        sources = sources_of(settings.models, device.split(",")[0])
        is_same = files_of(settings.problems) == files
        now = data if is_same else read_data(settings.problems, settings.evaluation)
        agree(folder, inputs_of(sources, now, settings.problems, settings.scaling, device), accept_changes)

    with run_folder(settings) as folder:
        try:
            if is_begun(folder):
                check_inputs()  # before anything fails because of what has changed
            else:
                begin(folder, settings, versions())
            with prepared(filled_in, data) as job:
                check_length(folder, job.run.methods, job.run.steps)
                check_inputs()
                begin(folder, settings, versions())  # only now, since a refusal leaves the folder as it is
                _run(job, folder, check_inputs)
        except (Interrupted, KeyboardInterrupt):
            print(f"Continue with: {resume_command(folder)}")
            raise


def _run(job: Job, folder: Path, check_inputs: Callable[[], None]) -> None:
    """Train, evaluate and report in the run's folder.

    Before every method the inputs are checked: all methods have the same start.
    """
    for note in job.worlds.notes:
        print(note)
    if job.worlds.problems is not None:
        print(times_asked(job.worlds.problems, job.run.steps * job.training.prompts_per_step))
    for name, source in job.sources.items():
        print(first_prompt(job, name, source))
    own = [OwnObserver(path) for path in job.run.observers]  # before anything is computed
    run_arm(folder / INITIAL, job, 0, INITIAL)
    left = [method for method in job.run.methods if not is_evaluated(folder / method, job.run.steps)]
    with observing(job, own, folder.name, left) as observers:
        for method in job.run.methods:
            check_inputs()
            run_arm(folder / method, job, job.run.steps, method, observers)
    print(write_report(folder, job))
    for method in job.run.methods:
        for name in job.sources:
            write_card(folder, job, method, name)
    if diverged := divergences(folder, job.run.methods):
        reasons = "; ".join(f"with {label} {reason}" for label, reason in diverged.items())
        raise DivergedError(f"training diverged, see {str(folder / SUMMARY)!r}: {reasons}")
    if job.run.push_to_hub is not None:
        push(folder, job.run.push_to_hub, job.run.methods, list(job.sources))


def first_prompt(job: Job, name: str, source: str) -> str:
    """What an agent reads before its first answer in an evaluation, special tokens included.

    Args:
        job: the run.
        name: of the agent.
        source: its folder or hub id.
    """
    codec = load_codec(source, name, job.agent_settings[name])
    end = codec.tokenizer.decode([codec.end_token])
    prompt = codec.prompt(job.eval_prompts.questions[0])
    return f"{name} reads, for instance, what follows, and ends its answer with {end!r}:\n{indent(prompt, '    ')}"


def run_arm(folder: Path, job: Job, steps: int, method: str, observers: Sequence[Observer] = ()) -> None:
    """Train fresh agents with one method and evaluate them; what an earlier part of the same run did is kept.

    Where an agent diverges, training ends for all: the others have lost what they shared with. All agents are saved and
    evaluated as they are then.

    Args:
        folder: of this method; the metrics, checkpoints and agents are left there, and the evaluation.
        job: the run.
        steps: of training; 0 to evaluate the agents as they are.
        method: name of :mod:`hacrl_lab.methods`; not read if there are no steps.
        observers: of the training.
    """
    if is_evaluated(folder, steps):
        return
    folder.mkdir(exist_ok=True)  # in the run's folder, which is not made anew if somebody has moved it
    with job.running_agents() as (agents, engine):
        done, diverged = 0, ""
        if steps == 0 and job.worlds.own_rewards:
            refuse_negative_rewards(job, agents)
        if steps > 0:
            trainer = Trainer(agents, job.worlds.training, method, job.training, job.run.seed, engine)
            try:
                fit(trainer, steps, folder, job.run.checkpoint_every, observers, job.run.keep_checkpoints)
            except DivergedError as error:
                diverged = str(error)
                tqdm.write(f"{trainer.method.label} training ended after step {trainer.steps_done}: {diverged}.")
            done = trainer.steps_done
            (folder / "agents").mkdir(exist_ok=True)
            for agent in agents:
                agent.save_pretrained(folder / "agents" / agent.name)
        accuracy = _evaluated_after_divergence(job, agents) if diverged else evaluated(job, agents)
    stopped_early = done < steps and not diverged
    write_evaluation(folder, Evaluation(done, job.eval_prompts.topics, accuracy, stopped_early, diverged))


def refuse_negative_rewards(job: Job, agents: Sequence[Agent]) -> None:
    """Notice before the evaluation that a method which compares agents by their mean rewards cannot begin.

    The agents answer what the first training step of the method asks, and as that step does.

    Args:
        job: the run.
        agents: before training.

    Raises:
        SettingError: the mean reward of an agent is negative.
    """
    for row in (get_method(name) for name in job.run.methods):
        if row.reads_capability:
            count, group_size = job.training.prompts_per_step, job.training.group_size * row.rollout_factor
            prompts = job.worlds.training.sample_prompts(count, RandomStream(job.run.seed, 0, StepStream.PROMPTS))
            streams = [RandomStream(job.run.seed, 0, StepStream.GENERATION, k) for k in range(len(agents))]
            batches = [
                agent.generate(prompts, group_size, stream) for agent, stream in zip(agents, streams, strict=True)
            ]
            rewards = [job.worlds.training.verify(prompts, batch).mean() for batch in batches]
            capability_ratio_matrix(torch.stack(rewards))
            return


def evaluated(job: Job, agents: Sequence[Agent]) -> dict[str, list[float]]:
    """Each agent's accuracy on every evaluation prompt."""
    prompts, samples = job.eval_prompts, job.evaluation.eval_samples
    accuracy = evaluate(agents, job.worlds.test, prompts, samples, EVALUATION_SEED + 1, job.sampling)
    return {name: list(values) for name, values in accuracy.items()}


def _evaluated_after_divergence(job: Job, agents: Sequence[Agent]) -> dict[str, list[float]]:
    """As :func:`evaluated`; an agent whose logits are inf or nan cannot answer, and has accuracy 0."""
    accuracy: dict[str, list[float]] = {}
    for agent in agents:
        try:
            accuracy |= evaluated(job, [agent])
        except NonFiniteError:
            accuracy[agent.name] = [0.0] * len(job.eval_prompts.questions)
    return accuracy
