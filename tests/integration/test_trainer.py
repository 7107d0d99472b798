"""The training loop on tabular agents, where everything can be compared exactly."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from envs.bandit import BanditWorld, bandit_world
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import CheckpointError, NonFiniteError
from hacrl_lab.methods import METHODS
from hacrl_lab.metrics import METRICS, Metrics, read_metrics
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream, Seeds
from hacrl_lab.trainer import Trainer, fit

CONTEXTS, ACTIONS, LENGTH = 6, 3, 2
CONFIG = TrainingConfig(
    method="hacpo",
    prompts_per_step=6,
    group_size=4,
    minibatches=2,
    epsilon_low=0.2,
    epsilon_high=0.3,
    alpha=1.0,
    delta=0.6,
    delta_step=0.05,
    capability_window=3,
)


def make_trainer(seeds: Seeds, config: TrainingConfig = CONFIG, agents: int = 2, learning_rate: float = 1.0) -> Trainer:
    world = bandit_world(seeds, CONTEXTS, ACTIONS, LENGTH, right_share=0.3)
    shape = (CONTEXTS, world.space.prefixes, ACTIONS)
    optimizer = partial(torch.optim.Adam, lr=0.1 * learning_rate)
    policies = [
        TabularAgent(f"agent{k}", 2 * RandomStream(seeds, 1000 + k).uniform(*shape), world.space, optimizer)
        for k in range(agents)
    ]
    return Trainer(policies, world, config, seeds)


def tables(trainer: Trainer) -> list[Tensor]:
    return [agent.logits.detach().clone() for agent in trainer.agents if isinstance(agent, TabularAgent)]


def run(trainer: Trainer, steps: int) -> Metrics:
    for _ in range(steps - 1):
        trainer.step()
    return trainer.step()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_the_bandit(method: str) -> None:
    trainer = make_trainer(range(20), replace(CONFIG, method=method))
    first = trainer.step()
    last = run(trainer, 30)
    for agent in trainer.names:
        gain = last[f"accuracy/{agent}"] - first[f"accuracy/{agent}"]
        assert float(gain.mean()) > 0.25


def test_hacpo_with_one_agent_is_gspo_to_the_last_bit() -> None:
    hacpo, gspo = (make_trainer(range(5), replace(CONFIG, method=method), agents=1) for method in ("hacpo", "gspo"))
    for _ in range(8):
        ours, theirs = hacpo.step(), gspo.step()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert torch.equal(tables(hacpo)[0], tables(gspo)[0])


def test_seeds_that_advance_together_give_the_same_tables_as_each_alone() -> None:
    together = make_trainer([3, 7, 11])
    run(together, 6)
    for row, seed in enumerate((3, 7, 11)):
        alone = make_trainer(seed)
        run(alone, 6)
        for ours, theirs in zip(tables(together), tables(alone), strict=True):
            torch.testing.assert_close(ours[row], theirs, rtol=0, atol=1e-12)


def test_microbatches_give_the_same_update_as_whole_minibatches() -> None:
    whole, parts = make_trainer(0), make_trainer(0, replace(CONFIG, microbatch_prompts=2))
    for _ in range(4):
        a, b = whole.step(), parts.step()
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=0, atol=1e-12)
    for ours, theirs in zip(tables(whole), tables(parts), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_gspo_x2_doubles_rollouts_and_updates() -> None:
    once, twice = (make_trainer(0, replace(CONFIG, method=method)) for method in ("gspo", "gspo_x2"))
    a, b = once.step(), twice.step()
    assert float(a["rollouts/agent0"]) == 6 * 4
    assert float(b["rollouts/agent0"]) == 6 * 8
    assert (once.minibatches, twice.minibatches) == (2, 4)


def test_more_minibatches_than_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="got 8 > 6 in a step of GSPO×2"):
        make_trainer(0, replace(CONFIG, method="gspo_x2", minibatches=4))


def test_sharing_methods_generate_no_more_rollouts_than_gspo() -> None:
    for method in ("gspo", "naive", "hacpo"):
        metrics = run(make_trainer(0, replace(CONFIG, method=method)), 3)
        assert float(metrics["rollouts/agent0"]) == 3 * 6 * 4


def test_first_minibatch_has_self_ratio_one_and_later_ones_move() -> None:
    one = make_trainer(0, replace(CONFIG, minibatches=1)).step()
    two = make_trainer(0, replace(CONFIG, minibatches=2), learning_rate=10).step()
    assert float(one["importance_ratio/agent0/agent0"]) == 1.0
    assert float(two["importance_ratio/agent0/agent0"]) != 1.0
    assert float(one["importance_ratio/agent0/agent1"]) != 1.0


def test_every_metric_is_documented() -> None:
    assert {key.split("/")[0] for key in make_trainer(0).step()} <= set(METRICS)


def test_a_run_is_the_same_every_time_and_differs_between_seeds() -> None:
    first, again, other = (make_trainer(seed) for seed in (0, 0, 1))
    for trainer in (first, again, other):
        run(trainer, 3)
    assert torch.equal(tables(first)[0], tables(again)[0])
    assert not torch.equal(tables(first)[0], tables(other)[0])


def test_a_resumed_run_continues_to_the_same_numbers(tmp_path: Path) -> None:
    fit(make_trainer(0), 7, tmp_path / "whole", checkpoint_every=2)
    fit(make_trainer(0), 3, tmp_path / "parts", checkpoint_every=2)
    resumed = make_trainer(0)
    fit(resumed, 7, tmp_path / "parts", checkpoint_every=2)
    assert resumed.steps_done == 7
    assert read_metrics(tmp_path / "parts") == read_metrics(tmp_path / "whole")


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    fit(make_trainer(0), 1, tmp_path)
    with pytest.raises(CheckpointError, match="seeds 0, this run has 1"):
        fit(make_trainer(1), 2, tmp_path)
    with pytest.raises(CheckpointError, match="config"):
        fit(make_trainer(0, replace(CONFIG, delta=0.5)), 2, tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    fit(make_trainer(0), 1, tmp_path)
    latest = tmp_path / "checkpoints" / "step-000001.pt"
    state = torch.load(latest, weights_only=True)
    state["agents"][1]["parameters"]["logits"][:] = torch.nan
    torch.save(state, latest)
    with pytest.raises(NonFiniteError, match="'agent0' became nan in step 2, mini-batch 0"):
        fit(make_trainer(0), 2, tmp_path)
    assert list(latest.parent.iterdir()) == [latest]
    assert read_metrics(tmp_path)["step"] == [1]


class NanWorld(BanditWorld):
    """A verifier gone wrong."""

    def verify(self, prompts: Tensor, rollouts: RolloutBatch) -> Tensor:
        return super().verify(prompts, rollouts) / 0.0


def test_rewards_that_are_not_finite_are_refused() -> None:
    trainer = make_trainer(0)
    assert isinstance(trainer.world, BanditWorld)
    trainer.world = NanWorld(trainer.world.answers, trainer.world.space)
    before = tables(trainer)
    with pytest.raises(ValueError, match="finite"):
        trainer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, tables(trainer), strict=True))


def test_agents_need_unique_names() -> None:
    trainer = make_trainer(0)
    with pytest.raises(ValueError, match="unique names"):
        Trainer([trainer.agents[0], trainer.agents[0]], trainer.world, CONFIG, 0)
