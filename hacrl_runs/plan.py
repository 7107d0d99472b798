"""The memory, time and disk that a run needs, before its weights are loaded, and how often it asks each problem."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hacrl_lab.language_models.costs import AgentMemory, AgentSeconds, Work, agent_memory, agent_seconds
from hacrl_lab.language_models.loading import load_codec
from hacrl_lab.language_models.prompting import TextCodec
from hacrl_lab.language_models.shared_base import base_holders
from hacrl_lab.language_models.vllm_sampler import EngineSettings
from hacrl_lab.methods import get_method
from hacrl_lab.seeding import RandomStream, StepStream
from hacrl_lab.worlds import TextPrompts
from hacrl_runs.devices import GIB, agent_parts, devices_of, memory_table, refuse_what_does_not_fit, without_base
from hacrl_runs.resolve import Job, prepared
from hacrl_runs.settings import TrainSettings, changed
from hacrl_runs.tables import markdown_table
from hacrl_runs.worlds import EVALUATION_SEED, times_asked

WORK = ["agent", "part of the run", "rollouts", "tokens at most"]


def plan(settings: TrainSettings, gpu_gib: float = 0.0) -> None:
    """Print memory, then rollouts, tokens, hours and disk. Responses are taken to be as long as they may be.

    Args:
        settings: as for a run. The lab's own pair is built if it is not there yet, as a run would.
        gpu_gib: for GPUs of so many GiB, which this machine need not have, and without hours; 0: for this machine.

    Raises:
        LabError: what a run would raise before training, or the run cannot fit into a device's memory.
    """
    if gpu_gib == 0:
        with prepared(settings) as job:
            _print_plan(job, gpu_gib)
        return
    with prepared(changed(settings, {"device": "cpu"})) as job:  # whose GPUs need not be here
        elsewhere = {name: replace(its, device="cuda") for name, its in job.agent_settings.items()}
        _print_plan(replace(job, agent_settings=elsewhere), gpu_gib)


def _print_plan(job: Job, gpu_gib: float) -> None:
    work = _work(job)
    memory = {name: agent_memory(job.sources[name], job.agent_settings[name], its) for name, its in work.items()}
    penalised = any(_penalised(job, method) for method in job.run.methods)
    parts = {name: agent_parts(job.agent_settings[name], its, penalised) for name, its in memory.items()}
    holders = base_holders(job.sources, job.agent_settings) if job.engine == "local" else {}
    shared = {name: holder for name, holder in holders.items() if holder != name}
    parts |= {name: without_base(parts[name], memory[name]) for name in shared}
    devices = devices_of(parts, job.agent_settings, job.engine, gpu_gib)
    print("\n\n".join(memory_table(device, memory) for device in devices), end="\n\n", flush=True)
    for name, holder in shared.items():
        print(f"{name} computes with the base of {holder}, which is counted there.\n")
    for device in devices:
        refuse_what_does_not_fit(device)
    if job.worlds.problems is not None:
        print(times_asked(job.worlds.problems, job.run.steps * job.training.prompts_per_step))
    print(f"{_disk(job, memory)}\n")
    if gpu_gib > 0:
        print(_untimed_table(job, list(work)))
        return
    seconds = {name: agent_seconds(job.sources[name], job.agent_settings[name], its) for name, its in work.items()}
    print(_work_table(job, seconds))


def _work(job: Job) -> dict[str, Work]:
    """By agent, its largest pieces of work: the longest prompts of the first step, in the largest update."""
    training = job.training
    asked = job.worlds.training.sample_prompts(
        training.prompts_per_step, RandomStream(job.run.seed, 0, StepStream.PROMPTS)
    )
    methods = [get_method(method) for method in job.run.methods]
    updates = [update for method in methods for update in training.plan(method, len(job.sources))]
    prompts = max(len(update.prompts) for update in updates)
    group_size = training.group_size * max(method.rollout_factor for method in methods)
    side_by_side = tuple(sorted({min(answers, _rows(job)) for answers in _answers(job).values()}))
    work = {}
    for name, settings in job.agent_settings.items():
        codec = load_codec(job.sources[name], name, settings)
        longest = _longest_first(codec, asked.questions)[:prompts]
        [first, *_] = _longest_first(codec, [longest[0], *job.eval_prompts.questions])
        work[name] = Work(TextPrompts(longest, [()] * prompts), group_size, first, side_by_side)
    return work


def _longest_first(codec: TextCodec, questions: Sequence[str]) -> list[str]:
    lengths = codec.prompts(questions)[1].sum(-1)
    return [questions[int(index)] for index in lengths.argsort(descending=True, stable=True)]


def _answers(job: Job) -> dict[str, int]:
    """How many answers an agent gives in a step of each method, in an evaluation and, if any, in a validation."""
    asked = job.training.prompts_per_step * job.training.group_size
    steps = {method: asked * get_method(method).rollout_factor for method in job.run.methods}
    asked_in = {"evaluation": job.eval_prompts}
    if job.worlds.validation is not None:
        asked_in["validation"] = job.worlds.validation.sample_prompts(
            job.evaluation.eval_prompts, RandomStream(EVALUATION_SEED)
        )
    samples = job.evaluation.eval_samples
    return {**steps, **{arm: len(prompts.questions) * samples for arm, prompts in asked_in.items()}}


def _rows(job: Job) -> int:
    """Answers that are sampled side by side at most."""
    unbounded = EngineSettings.rows if job.shared.generation == "vllm" else max(_answers(job).values())
    return job.shared.rows_at_once or unbounded


def _penalised(job: Job, method: str) -> bool:
    return get_method(method).settings(job.training.objective).kl_weight > 0


def _work_table(job: Job, seconds: Mapping[str, AgentSeconds]) -> str:
    arms = list(_answers(job))
    spent = {(name, arm): _seconds(job, arm, one, len(seconds)) for name, one in seconds.items() for arm in arms}
    rows = [
        [name, arm, *(f"{count:,}" for count in _amounts(job, arm)), _duration(its)]
        for (name, arm), its in spent.items()
    ]
    alone = [sum(spent[name, arm] for arm in arms) for name in seconds]
    total = max(alone) if job.engine == "ray" else sum(alone)
    notes = [f"{_duration(total)} at most, without verification, checkpoints and loading."]
    if job.shared.generation == "vllm":
        notes.append("Sampling is counted at the speed of transformers; vLLM was not timed and is faster.")
    return f"{markdown_table([*WORK, 'time at most'], rows)}\n\n{' '.join(notes)}"


def _untimed_table(job: Job, agents: Sequence[str]) -> str:
    arms = list(_answers(job))
    rows = [[name, arm, *(f"{count:,}" for count in _amounts(job, arm))] for name in agents for arm in arms]
    return markdown_table(WORK, rows)


def _amounts(job: Job, arm: str) -> tuple[int, int]:
    """Rollouts of one agent and their tokens at most, for one method, or for all evaluations or validations."""
    rollouts = _times(job, arm) * _answers(job)[arm]
    return rollouts, rollouts * job.shared.max_new_tokens


def _times(job: Job, arm: str) -> int:
    """How many steps, evaluations (before training and after each method) or validations there are."""
    methods = len(job.run.methods)
    if arm == "evaluation":
        return 1 + methods
    return methods * (job.run.steps // job.evaluation.validation_every) if arm == "validation" else job.run.steps


def _seconds(job: Job, arm: str, seconds: AgentSeconds, agents: int) -> float:
    """Of one agent, for what :func:`_amounts` counts."""
    answers = _answers(job)[arm]
    rows = min(answers, _rows(job))
    answering = seconds.answers[rows] * answers / rows
    if arm not in job.run.methods:
        return _times(job, arm) * answering
    return job.run.steps * (answering + _learning(job, arm, answers, seconds, agents))


def _learning(job: Job, method: str, answers: int, seconds: AgentSeconds, agents: int) -> float:
    """Seconds of scoring and of updates in a step in which every rollout has a gradient."""
    row = get_method(method)
    scored = answers * (2 if _penalised(job, method) else 1)
    learned = answers * len(row.pool(0, agents))
    updates = len(job.training.plan(row, agents))
    return scored * seconds.scored_row + learned * seconds.learned_row + updates * seconds.optimizer_step


def _disk(job: Job, memory: Mapping[str, AgentMemory]) -> str:
    """What checkpoints (what is trained and AdamW's two moments, float32) and trained agents take, without logs."""
    checkpoint = sum(its.moments * 3 // 2 for its in memory.values())
    agents = sum(
        its.moments // 2 if job.agent_settings[name].lora_rank else its.weights for name, its in memory.items()
    )
    written = math.ceil(job.run.steps / job.run.checkpoint_every)
    kept = min(job.run.keep_checkpoints, written)
    while_writing = checkpoint if written > kept else 0  # the oldest one goes when the newest is complete
    total = len(job.run.methods) * (kept * checkpoint + agents) + while_writing
    return (
        f"Checkpoints and trained agents take {_size(total)} on disk at most: for each method {kept} checkpoints of "
        f"{_size(checkpoint)}, one more while it is written, and agents of {_size(agents)}."
    )


def _size(size: int) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB else f"{size / 2**20:.2f} MiB"


def _duration(seconds: float) -> str:
    """In the unit that reads best."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
