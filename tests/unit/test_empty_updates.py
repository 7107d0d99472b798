"""An update without a gradient is not made (decision 12), and sharing nothing is GSPO under every schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hacrl_envs.chain import ChainFeatures, ChainTask, chain_world
from hacrl_lab.agents.actions import ActionAgent, MakeOptimizer
from hacrl_lab.agents.networks import GRU, MLP
from hacrl_lab.agents.neural import NeuralAgent
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.metrics import Metrics
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.schedules import SCHEDULES, ScheduleName
from hacrl_lab.seeding import RandomStream, Seeds, Stream
from hacrl_lab.trainer import Trainer

TASK = ChainTask(skills=2, symbols=3, longest=2)
CONFIG = TrainingConfig(prompts_per_step=8, group_size=4, minibatches=2, objective=ObjectiveSettings(delta=0.5))
ADAM: MakeOptimizer = partial(torch.optim.Adam, lr=0.05)
OPTIMIZERS: dict[str, MakeOptimizer] = {
    "Adam": ADAM,
    "AdamW": partial(torch.optim.AdamW, lr=0.05, weight_decay=0.5),
    "RMSprop": partial(torch.optim.RMSprop, lr=0.05, momentum=0.5),
    "SGD": partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True),
}
SEEDS = (3, 8, 5, 1)


def table(leading: Sequence[int], optimizer: MakeOptimizer) -> TabularAgent:
    return TabularAgent("a", torch.ones(*leading, 2, 1, 3, dtype=torch.float64), ResponseSpace(3, 1), optimizer)


def learn(agent: TabularAgent, weights: Tensor, empty: str = "skip") -> Tensor:
    """One optimiser step along given gradients, (..., 1, 1, 3), the same for both contexts."""
    (agent.logits * weights).sum().backward()
    return agent.apply_gradients(empty)  # type: ignore[arg-type]


GRADIENTS = torch.tensor([[1.0, -2, 3], [0, 0, 0], [4, 5, -6]], dtype=torch.float64)
"""Of three updates; the second has none."""


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_training_is_as_if_there_had_been_no_empty_update(optimizer: MakeOptimizer) -> None:
    skipped, stepped, without = (table([], optimizer) for _ in range(3))
    for gradient in GRADIENTS:
        learn(skipped, gradient)
        learn(stepped, gradient, "step")
    for gradient in GRADIENTS[[0, 2]]:
        learn(without, gradient)
    assert torch.equal(skipped.logits, without.logits)
    assert not torch.equal(stepped.logits, without.logits)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_each_seed_has_the_updates_that_it_has_alone(optimizer: MakeOptimizer) -> None:
    # the seeds have their empty update first, second, last and never
    orders = [[1, 0, 2], [0, 1, 2], [0, 2, 1], [0, 2, 2]]
    together = table([2, 2], optimizer)
    for m in range(3):
        weights = GRADIENTS[[order[m] for order in orders]].reshape(2, 2, 1, 1, 3)
        norms = learn(together, weights)
        assert (norms > 0).flatten().tolist() == [order[m] != 1 for order in orders]
    for seed, order in enumerate(orders):
        alone = table([], optimizer)
        for m in order:
            learn(alone, GRADIENTS[m])
        assert torch.equal(together.logits.flatten(0, 1)[seed], alone.logits)


def test_seeds_with_different_numbers_of_updates_continue_from_a_checkpoint(tmp_path: Path) -> None:
    first, second = table([2], ADAM), table([2], ADAM)
    uneven = torch.stack([GRADIENTS[0], GRADIENTS[1]])[:, None, None]
    learn(first, uneven)
    first.save(tmp_path)
    second.load(tmp_path)
    for agent in (first, second):
        learn(agent, GRADIENTS[2])
    assert torch.equal(first.logits, second.logits)
    assert not torch.equal(first.logits[0], first.logits[1])


def networks(seeds: Seeds, count: int = 2) -> list[NeuralAgent]:
    features = ChainFeatures(TASK)
    shapes = MLP(features.size, TASK.space.actions), GRU(features.size, TASK.space.actions)
    streams = [RandomStream(seeds, Stream.EXAMPLES, k) for k in range(count)]
    return [NeuralAgent(f"{k}", shapes[k % 2], features, TASK.space, one, ADAM) for k, one in enumerate(streams)]


def tables(seeds: Seeds, count: int = 2) -> list[TabularAgent]:
    shape = TASK.questions, TASK.space.prefixes, TASK.space.actions
    starts = [RandomStream(seeds, Stream.EXAMPLES, k).uniform(*shape) for k in range(count)]
    return [TabularAgent(f"{k}", start, TASK.space, ADAM) for k, start in enumerate(starts)]


Make = Callable[[Seeds, int], Sequence[ActionAgent | NeuralAgent]]


def trained(
    make: Make, method: str, config: TrainingConfig, agents: int = 2, seeds: Seeds = SEEDS, steps: int = 4
) -> tuple[list[Tensor], list[Metrics]]:
    """Every parameter of every agent, and the metrics of all steps."""
    trainer = Trainer(make(seeds, agents), chain_world(seeds, TASK), method, config, seeds)
    metrics = [trainer.step() for _ in range(steps)]
    parameters = [value.detach() for agent in trainer.agents for value in agent.parameters.values()]  # type: ignore[attr-defined]
    return parameters, metrics


def equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("agents", [2, 3])
@pytest.mark.parametrize("make", [tables, networks])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_sharing_nothing_is_gspo_bit_for_bit_under_every_schedule(
    schedule: ScheduleName, make: Make, agents: int
) -> None:
    config = replace(CONFIG, schedule=schedule)
    control, metrics = trained(make, "shares_nothing", config, agents)
    # mixed_2u has the same mini-batches as n·U of an agent that trains alone; the others as U
    alone = replace(CONFIG, minibatches=CONFIG.minibatches * (agents if schedule == "mixed_2u" else 1))
    gspo, its_metrics = trained(make, "gspo", alone, agents)
    assert equal(control, gspo)
    made = [
        [step[f"updates_with_gradient/{k}"].tolist() for step in one] for one in (metrics, its_metrics) for k in "01"
    ]
    assert made[:2] == made[2:]
    planned = alone.minibatches if schedule in ("mixed", "mixed_2u") else agents * CONFIG.minibatches
    assert int(metrics[0]["updates/0"]) == planned


@pytest.mark.parametrize("schedule", ["self_first", "cross_first", "by_sampler"])
def test_with_empty_steps_sharing_nothing_is_not_gspo(schedule: ScheduleName) -> None:
    config = replace(CONFIG, schedule=schedule, empty_updates="step")
    control, metrics = trained(networks, "shares_nothing", config)
    gspo, its_metrics = trained(networks, "gspo", config)
    assert not equal(control, gspo)
    assert int(metrics[0]["updates/0"]) == 2 * int(its_metrics[0]["updates/0"])
    assert bool((metrics[-1]["updates_with_gradient/0"] <= CONFIG.minibatches).all())  # only those are counted


@pytest.mark.parametrize("method", ["gspo", "hacpo", "naive"])
def test_seeds_of_which_some_have_no_gradient_learn_what_each_learns_alone(method: str) -> None:
    config = replace(CONFIG, group_size=2, schedule="cross_first")
    together, metrics = trained(tables, method, config)
    counts = torch.stack([step["updates_with_gradient/0"] for step in metrics])
    assert len(counts.unique()) > 1  # some are skipped, others not
    for place, seed in enumerate(SEEDS):
        alone, its_metrics = trained(tables, method, config, seeds=seed)
        assert equal([value[place] for value in together], alone)
        assert counts[:, place].tolist() == [int(step["updates_with_gradient/0"]) for step in its_metrics]


def test_the_released_method_makes_empty_updates_unless_the_run_skips_them() -> None:
    results = {
        empty: trained(networks, "hacpo_released", replace(CONFIG, empty_updates=empty), steps=6)[0]
        for empty in (None, "step", "skip")
    }
    assert equal(results[None], results["step"])
    assert not equal(results[None], results["skip"])
    usual, skipped = (trained(networks, "gspo", replace(CONFIG, empty_updates=empty))[0] for empty in (None, "skip"))
    assert equal(usual, skipped)


def test_an_unknown_word_for_empty_updates_is_refused() -> None:
    with pytest.raises(ValueError, match="empty_updates must be 'skip' or 'step', got 'no'"):
        replace(CONFIG, empty_updates="no")
