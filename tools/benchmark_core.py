"""What the algorithm itself costs, beside the models: advantages and objective against a whole training step.

    python tools/benchmark_core.py

Times HACPO's advantages and objective, forward and backward, given token log-probabilities, for every learner of a step
of 128 prompts × 8 rollouts × 2 agents × 256 tokens, and one training step of the tiny language-model pair at the main
job's settings, which is a far smaller step. Prints medians and their ratio.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from statistics import median

import torch
import tyro
from torch.utils.benchmark import Timer
from tqdm.auto import trange

from hacrl_lab.advantages import group_advantages
from hacrl_lab.capability import capability_ratio_matrix
from hacrl_lab.errors import SettingError
from hacrl_lab.importance import mean_log_prob
from hacrl_lab.methods import HACPO
from hacrl_lab.objectives import ObjectiveInputs, ObjectiveSettings
from tiny_pair import tiny_pair_trainer


@dataclass(frozen=True)
class Options:
    """Time the algorithm's core and a training step of the tiny pair."""

    prompts: int = 128
    """Prompts in the core's step."""
    group_size: int = 8
    """Rollouts of each agent for each prompt."""
    agents: int = 2
    """Agents that share."""
    tokens: int = 256
    """Tokens of every response."""
    steps: int = 5
    """Training steps of the tiny pair to time, after one that is not counted."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise SettingError(f"{field.name} must be ≥ 1, got {getattr(self, field.name)}")


def core_seconds(options: Options) -> float:
    """Median seconds for advantages and objective, forward and backward, of every learner."""
    generator = torch.Generator().manual_seed(0)
    n, shape = options.agents, (options.agents, options.prompts, options.group_size)
    log_probs = (-torch.rand(*shape, options.tokens, generator=generator)).requires_grad_()
    mask = torch.ones_like(log_probs, dtype=torch.bool)
    rewards = (torch.rand(shape, generator=generator) < 0.5).float()
    ratios = capability_ratio_matrix(torch.linspace(0.4, 0.6, n))
    sampler_means = mean_log_prob(log_probs.detach(), mask)
    settings = ObjectiveSettings()

    def every_learner() -> None:
        for k in range(n):
            advantages = group_advantages(rewards, HACPO.baseline(rewards, ratios, k))
            inputs = ObjectiveInputs(log_probs, mask, log_probs.detach()[k], sampler_means, advantages, ratios, k, 0)
            (-HACPO.objective(inputs, settings).value).backward()

    return (
        Timer("step()", globals={"step": every_learner}, num_threads=torch.get_num_threads())
        .blocked_autorange(min_run_time=2)
        .median
    )


def training_step_seconds(steps: int) -> float:
    """Median seconds of a HACPO step of the tiny pair at the main job's settings."""
    with tiny_pair_trainer() as trainer:
        trainer.step()
        seconds = []
        for _ in trange(steps, desc="Tiny pair", unit="step"):
            started = time.perf_counter()
            trainer.step()
            seconds.append(time.perf_counter() - started)
    return median(seconds)


def run(options: Options) -> str:
    """Time both; returns the medians and their ratio."""
    core = core_seconds(options)
    step = training_step_seconds(options.steps)
    size = f"{options.prompts} prompts × {options.group_size} × {options.agents} agents × {options.tokens} tokens"
    return (
        f"core, {size}: {core * 1e3:.2f} ms (median; {torch.get_num_threads()} threads)\n"
        f"training step of the tiny pair, HACPO: {step:.2f} s (median of {options.steps})\n"
        f"share: {core / step:.3%}"
    )


if __name__ == "__main__":
    print(run(tyro.cli(Options, description=__doc__)))
