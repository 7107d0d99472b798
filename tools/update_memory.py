"""Peak memory of one language model's update: does it grow with the token budget, or with prompts × group?

    python tools/update_memory.py

Every row is the first training step of the tiny pair, in which every rollout has a gradient. The peak is the largest
sum of bytes of all tensors that the update of the first agent makes and that are alive at the same time: activations,
gradients, the optimiser's moments and the encoded rollouts, but not the parameters. Prints a Markdown table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import tyro
from tqdm.auto import tqdm

from hacrl_lab.config import TrainingConfig
from hacrl_lab.language_models.live_bytes import LiveBytes
from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_runs.tables import markdown_table
from tiny_pair import tiny_pair_trainer

MIB = 2**20


@dataclass(frozen=True)
class Options:
    """Measure one update of the tiny pair at several sizes and token budgets."""

    group_size: int = 8
    """Rollouts of each agent for each prompt."""
    prompts: tuple[int, ...] = (16, 32, 64)
    """Prompts in a step, in ascending order; measured with the middle budget."""
    tokens_per_pass: tuple[int, ...] = (1024, 2048, 4096)
    """Token budgets, in ascending order; measured with the middle number of prompts."""


def measure(prompts: int, group_size: int, tokens_per_pass: int) -> int:
    """The peak of the first agent's update in a training step, in bytes."""
    training = TrainingConfig(prompts_per_step=prompts, group_size=group_size, minibatches=1)
    with tiny_pair_trainer("hacpo_no_clip", training, tokens_per_pass) as trainer:
        agent = trainer.agents[0]
        update, live = agent.update, LiveBytes()

        def measured(batch: LearnerBatch) -> UpdateResult:
            advantages = torch.ones_like(batch.advantages)  # so that every rollout has a gradient
            with live:
                return update(replace(batch, advantages=advantages))

        agent.update = measured  # type: ignore[method-assign]
        trainer.step()
    return live.peak


def run(options: Options) -> str:
    """Measure every row; returns the table."""
    prompts, budget = (sizes[len(sizes) // 2] for sizes in (options.prompts, options.tokens_per_pass))
    settings = [(count, budget) for count in options.prompts]
    settings += [(prompts, tokens) for tokens in options.tokens_per_pass if tokens != budget]
    rows = []
    for count, tokens in tqdm(settings, desc="Updates", unit="update"):
        peak = measure(count, options.group_size, tokens) / MIB
        rows.append([f"{count} × {options.group_size}", f"{tokens:,}", f"{peak:.1f}"])
    return markdown_table(["prompts × group", "token budget of a pass", "peak, MiB"], rows)


if __name__ == "__main__":
    print(run(tyro.cli(Options, description=__doc__)))
