"""How many of the other agent's right and wrong answers lie outside HACPO's clip bounds while the tiny pair trains.

    python tools/cross_bounds.py                    20 steps with seed 0, two minutes on one core
    python tools/cross_bounds.py --answers long --prompts-per-step 16 --steps 16

A right answer is one whose advantage is above 0; groups in which all answers are alike have none. The paper's clip
gives no gradient below 1 − δ + m·δ_step or above 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch

from hacrl_lab.config import TrainingConfig
from hacrl_lab.importance import stepwise_lower_bound
from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.trainer import Trainer
from tiny_pair import tiny_pair_trainer


def main() -> None:
    """Train and print one line for right and one for wrong answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--prompts-per-step", type=int, default=32)
    parser.add_argument("--answers", choices=("short", "long"), default="short")
    options = parser.parse_args()
    training = TrainingConfig(prompts_per_step=options.prompts_per_step)
    with tiny_pair_trainer("hacpo", training, answers=options.answers) as trainer:
        ratios, lows, advantages = outside(trainer, options.steps)
    for name, kind in (("right", advantages > 0), ("wrong", advantages < 0)):
        share = [float(values[kind].double().mean()) for values in (ratios < lows, ratios > 1)]
        mass = advantages[kind].abs()
        lost = float(mass[(ratios < lows)[kind] | (ratios > 1)[kind]].sum() / mass.sum())
        print(
            f"{name}: {share[0]:.3f} below the bound, {share[1]:.3f} above 1; {lost:.3f} of the advantage mass outside"
        )


def outside(trainer: Trainer, steps: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ratios, lower bounds and advantages of all cross rollouts of all updates, as three flat arrays."""
    seen: list[tuple[LearnerBatch, UpdateResult]] = []
    for agent in trainer.agents:
        agent.update = _recorded(agent.update, seen)  # type: ignore[method-assign]
    for _ in range(steps):
        trainer.step()
    of_updates = []
    for batch, result in seen:
        others = [j for j in range(len(batch.pool)) if j != batch.learner]
        for m, (planned, update) in enumerate(zip(batch.plan, result.updates, strict=True)):
            ratio = update.sequence_ratios[others]
            low = stepwise_lower_bound(batch.settings.delta, batch.settings.delta_step, m)
            of_updates.append((ratio, torch.full_like(ratio, low), batch.advantages[others][:, planned.prompts]))
    ratios, lows, advantages = (
        torch.cat([values.flatten() for values in column]) for column in zip(*of_updates, strict=True)
    )
    return ratios, lows, advantages


def _recorded(
    update: Callable[[LearnerBatch], UpdateResult], seen: list[tuple[LearnerBatch, UpdateResult]]
) -> Callable[[LearnerBatch], UpdateResult]:
    def update_and_record(batch: LearnerBatch) -> UpdateResult:
        result = update(batch)
        seen.append((batch, result))
        return result

    return update_and_record


if __name__ == "__main__":
    main()
