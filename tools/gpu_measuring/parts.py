"""The parts of the check; each prints its rows as it measures them."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch
from torch.utils.benchmark import Timer

from gpu_measuring.options import Options
from gpu_measuring.pretraining import build_in_time
from gpu_measuring.record import Record
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.seeding import RandomStream
from hacrl_lab.trainer import Trainer
from hacrl_lab.worlds import TextPrompts
from hacrl_runs.agents import OWN_TEMPLATE
from hacrl_runs.own_pair.recipes import Answers
from hacrl_runs.resolve import LONG_LEARNING_RATE, MAX_NEW_TOKENS, prepared_run
from language_benchmark.clock import timed

SAMPLERS = ("grouped", "transformers")
SAMPLED = 3
"""How often each samples, after once that does not count."""
TERA, GIB = 1e12, 2**30
PRETRAINING = ("model", "million weights", "updates", "of", "seconds", "seconds of an update")
LATE = "The time was over: what is missing here was not measured."


def machine(options: Options, record: Record) -> float:
    """What it is, and the operations a second that a share of is said later on."""
    record.section("The machine", ["", ""])
    on_gpu = options.device.startswith("cuda")
    record.row("device", torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine())
    if on_gpu:
        record.row("memory, GiB", torch.cuda.get_device_properties(0).total_memory / GIB)
    record.row("Python", platform.python_version())
    for package in ("torch", "transformers", "trl", "accelerate"):
        record.row(package, version(package) if importlib.util.find_spec(package) else "not installed")
    measured = _product_rate(options)
    record.row(f"product of {options.product}² numbers in {options.dtype}, TFLOP/s", measured / TERA)
    peak = measured if options.peak_tflops is None else options.peak_tflops * TERA
    record.row("peak that shares refer to, TFLOP/s", peak / TERA)
    return peak


def pair(options: Options, answers: Answers, folder: Path, record: Record) -> list[str]:
    """Pre-train one of the two pairs; returns the folders of its models."""
    size, seconds = (options.size, options.pretrain_seconds) if answers == "short" else ("tiny", options.long_seconds)
    record.section(f"Pre-training: {answers} answers, size {size}", PRETRAINING)
    made = build_in_time(size, answers, seconds, options.device, folder / answers, record)
    note_memory(options, record)
    return made


def sampling(options: Options, agents: Sequence[str], record: Record) -> None:
    """Tokens a second of the samplers, in turn, with the same questions."""
    record.section(
        f"Sampling: {options.prompts} prompts × {options.group_size} answers, at most {options.max_new_tokens} tokens",
        ["model", "sampler", "tokens", "seconds", "tokens a second"],
    )
    with ExitStack() as stack:
        jobs = {
            sampler: stack.enter_context(
                prepared_run(
                    agents=tuple(agents),
                    prompt_template=(OWN_TEMPLATE,),
                    max_new_tokens=options.max_new_tokens,
                    generation=sampler,
                    device=options.device,
                    dtype=options.dtype,
                )
            )
            for sampler in SAMPLERS
        }
        prompts = next(iter(jobs.values())).worlds.training.sample_prompts(options.prompts, RandomStream(0))
        loaded = [job.load_agents() for job in jobs.values()]
        for both in zip(*loaded, strict=True):
            rates: dict[str, list[float]] = {sampler: [] for sampler in SAMPLERS}
            for number in range(SAMPLED + 1):
                for sampler, agent in zip(SAMPLERS, both, strict=True):
                    tokens, seconds = _answers(agent, prompts, options.group_size, number)
                    rates[sampler].append(tokens / seconds)
                    if number > 0:
                        record.row(agent.name, sampler, tokens, seconds, tokens / seconds)
                if record.is_late:
                    record.note(LATE)
                    return
            ours, its = (median(rates[sampler][1:]) for sampler in SAMPLERS)
            record.note(f"{both[0].name}: {ours:,.0f} tokens a second, {ours / its:.1f} times those of `generate`.")
    note_memory(options, record)


def long_answers(options: Options, agents: Sequence[str], record: Record) -> None:
    """Training with long answers, by HACPO and then, from the same start, by GSPO."""
    header = ["method", "step", "seconds", "accuracy", "tokens", "ratio of others' answers", "largest self-ratio error"]
    record.section("Training with long answers", header)
    for method in ("hacpo", "gspo"):
        with prepared_run(
            agents=tuple(agents),
            prompt_template=(OWN_TEMPLATE,),
            prompts_per_step=options.long_prompts,
            max_new_tokens=MAX_NEW_TOKENS["long"],
            learning_rate=LONG_LEARNING_RATE,
            tokens_per_pass=options.tokens_per_pass,
            generation="grouped",
            device=options.device,
            dtype=options.dtype,
        ) as job:
            trainer = Trainer(job.load_agents(), job.worlds.training, method, job.training, job.run.seed)
            for number in range(1, options.long_steps + 1):
                if record.is_late:
                    record.note(LATE)
                    return
                record.row(method, number, *_step_with_metrics(trainer, options.device))
    note_memory(options, record)


def _step_with_metrics(trainer: Trainer, device: str) -> list[float | None]:
    """Seconds and metrics of a step, as means over the agents."""
    metrics, seconds = timed(trainer.step, device)

    def mean(*names: str) -> float:
        values = [float(metrics[name]) for name in names]
        return sum(values) / len(values)

    names = trainer.names
    pairs = [f"{k}/{j}" for k in names for j in names if k != j]
    return [
        seconds,
        mean(*(f"accuracy/{name}" for name in names)),
        mean(*(f"response_length/{name}" for name in names)),
        mean(*(f"importance_ratio/{one}" for one in pairs)) if trainer.method.shares else None,
        max(float(metrics[f"initial_self_ratio_error/{name}"]) for name in names),
    ]


def _answers(agent: CausalLMAgent, prompts: TextPrompts, group_size: int, number: int) -> tuple[int, float]:
    """How many tokens an agent's answers have, and their seconds."""
    batch, seconds = timed(lambda: agent.generate(prompts, group_size, RandomStream(number)), agent.settings.device)
    return int(batch.lengths.sum()), seconds


def _product_rate(options: Options) -> float:
    """Operations a second of one large product."""
    size = options.product
    factors = torch.rand(2, size, size, device=options.device).to(getattr(torch, options.dtype))
    timer = Timer("a @ b", globals=dict(zip("ab", factors, strict=True)), num_threads=torch.get_num_threads())
    return 2.0 * size**3 / timer.blocked_autorange(min_run_time=0.5).median


def note_memory(options: Options, record: Record) -> None:
    """The largest memory of the GPU so far, as a sentence."""
    if options.device.startswith("cuda"):
        record.note(f"Largest memory so far: {torch.cuda.max_memory_allocated() / GIB:.1f} GiB.")
