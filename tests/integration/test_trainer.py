"""The training loop on tabular agents, where everything can be compared exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hacrl_envs.bandit import BanditWorld, bandit_world
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.checkpoint import agent_folder
from hacrl_lab.config import TrainingConfig
from hacrl_lab.engine import InProcess
from hacrl_lab.errors import CheckpointError, DivergedError
from hacrl_lab.fit import fit
from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.methods import METHODS
from hacrl_lab.metrics import METRICS, Metrics, read_metrics
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream, Seeds
from hacrl_lab.trainer import Trainer

CONTEXTS, ACTIONS, LENGTH = 6, 3, 2
CONFIG = TrainingConfig(
    prompts_per_step=6,
    group_size=4,
    minibatches=2,
    capability_window=3,
    objective=ObjectiveSettings(epsilon_high=0.3, delta=0.6, delta_step=0.05),
)


def make_trainer(
    seeds: Seeds, method: str = "hacpo", config: TrainingConfig = CONFIG, agents: int = 2, learning_rate: float = 1.0
) -> Trainer:
    world = bandit_world(seeds, CONTEXTS, ACTIONS, LENGTH, right_share=0.3)
    shape = (CONTEXTS, world.space.prefixes, ACTIONS)
    optimizer = partial(torch.optim.Adam, lr=0.1 * learning_rate)
    policies = [
        TabularAgent(f"agent{k}", 2 * RandomStream(seeds, 1000 + k).uniform(*shape), world.space, optimizer)
        for k in range(agents)
    ]
    return Trainer(policies, world, method, config, seeds)


def tables(trainer: Trainer) -> list[Tensor]:
    return [agent.logits.detach().clone() for agent in trainer.agents if isinstance(agent, TabularAgent)]


def run(trainer: Trainer, steps: int) -> Metrics:
    for _ in range(steps - 1):
        trainer.step()
    return trainer.step()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_the_bandit(method: str) -> None:
    trainer = make_trainer(range(20), method)
    first = trainer.step()
    last = run(trainer, 30)
    for agent in trainer.names:
        gain = last[f"accuracy/{agent}"] - first[f"accuracy/{agent}"]
        assert float(gain.mean()) > 0.25


def test_hacpo_with_one_agent_is_gspo_to_the_last_bit() -> None:
    hacpo, gspo = (make_trainer(range(5), method, agents=1) for method in ("hacpo", "gspo"))
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


@pytest.mark.parametrize("budget", [12, 1])
def test_passes_of_few_tokens_train_the_same_as_whole_minibatches(budget: int) -> None:
    whole, parts = make_trainer(0), make_trainer(0)
    for agent in parts.agents:
        assert isinstance(agent, TabularAgent)
        agent.tokens_per_pass = budget
    for _ in range(4):
        a, b = whole.step(), parts.step()
        assert a.keys() == b.keys()
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=0, atol=1e-12)
    for ours, theirs in zip(tables(whole), tables(parts), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_agents_run_by_another_engine_learn_the_same() -> None:
    """An engine may begin with any agent, since calls of one round do not depend on each other."""

    class Backwards(InProcess):
        rounds = 0

        def together(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
            self.rounds += 1
            return [call() for call in reversed(calls)][::-1]

    usual, other = make_trainer(0), make_trainer(0)
    other.engine = engine = Backwards()
    run(usual, 3)
    run(other, 3)
    assert engine.rounds == 9  # generation, scores and updates of three steps
    assert all(torch.equal(a, b) for a, b in zip(tables(usual), tables(other), strict=True))


def test_an_agent_sees_of_the_others_what_they_share_and_no_more() -> None:
    trainer = make_trainer(0)
    seen: list[LearnerBatch] = []
    for agent in trainer.agents:

        def record(batch: LearnerBatch, update: Callable[[LearnerBatch], UpdateResult] = agent.update) -> UpdateResult:
            seen.append(batch)
            return update(batch)

        agent.update = record  # type: ignore[method-assign]
    trainer.step()
    assert [batch.learner for batch in seen] == [0, 1]
    for batch in seen:
        assert [rollouts.sampler for rollouts in batch.pool] == trainer.names
        assert [rollouts.tokens is None for rollouts in batch.pool] == [k != batch.learner for k in range(2)]
        assert not batch.old_log_probs.requires_grad
        assert not batch.sampler_mean_log_probs.requires_grad


def test_gspo_x2_doubles_rollouts_and_updates() -> None:
    once, twice = (make_trainer(0, method) for method in ("gspo", "gspo_x2"))
    a, b = once.step(), twice.step()
    assert float(a["rollouts/agent0"]) == 6 * 4
    assert float(b["rollouts/agent0"]) == 6 * 8
    assert (float(a["updates/agent0"]), float(b["updates/agent0"])) == (2, 4)


def test_a_methods_own_settings_take_the_place_of_the_runs() -> None:
    ours = make_trainer(0, "hacpo_alpha2")
    theirs = make_trainer(0, config=replace(CONFIG, objective=replace(CONFIG.objective, alpha=2.0)))
    usual = make_trainer(0)
    for trainer in (ours, theirs, usual):
        run(trainer, 3)
    assert all(torch.equal(a, b) for a, b in zip(tables(ours), tables(theirs), strict=True))
    assert not torch.equal(tables(ours)[0], tables(usual)[0])


def test_more_minibatches_than_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="each of the 8 updates in a step of GSPO×2, got prompts_per_step = 6"):
        make_trainer(0, "gspo_x2", replace(CONFIG, minibatches=4))


@pytest.mark.parametrize("method", METHODS)
def test_no_method_but_gspo_x2_generates_more_rollouts_than_gspo(method: str) -> None:
    metrics = run(make_trainer(0, method), 3)
    assert float(metrics["rollouts/agent0"]) == 3 * 6 * (8 if method == "gspo_x2" else 4)


def test_first_minibatch_has_self_ratio_one_and_later_ones_move() -> None:
    one = make_trainer(0, config=replace(CONFIG, minibatches=1)).step()
    two = make_trainer(0, learning_rate=10).step()
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
    with pytest.raises(CheckpointError, match="method hacpo, this run has naive"):
        fit(make_trainer(0, "naive"), 2, tmp_path)
    with pytest.raises(CheckpointError, match=r"names \['agent0', 'agent1'\], this run has \['agent0'\]"):
        fit(make_trainer(0, agents=1), 2, tmp_path)
    with pytest.raises(CheckpointError, match="config"):
        fit(make_trainer(0, config=replace(CONFIG, objective=ObjectiveSettings(delta=0.5))), 2, tmp_path)


def test_a_checkpoint_is_safetensors_and_json_in_a_folder_for_each_agent(tmp_path: Path) -> None:
    fit(make_trainer(0), 1, tmp_path)
    folder = tmp_path / "checkpoints" / "step-000001"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    agents = {f"agents/agent{k}/policy.{kind}" for k in range(2) for kind in ("json", "safetensors")}
    assert files == {*agents, "trainer.json", "trainer.safetensors", "complete.json"}


def test_a_loss_that_is_not_finite_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    fit(make_trainer(0), 1, tmp_path)
    latest = tmp_path / "checkpoints" / "step-000001"
    policy = agent_folder(latest, "agent1") / "policy.safetensors"
    state = load_file(policy)
    state["parameter/logits"][:] = torch.nan
    save_file(state, policy)
    with pytest.raises(DivergedError, match="'agent0' became nan in step 2, mini-batch 0"):
        fit(make_trainer(0), 2, tmp_path)
    assert list(latest.parent.iterdir()) == [latest]
    assert read_metrics(tmp_path)["step"] == [1, 2]


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


class PromptWorld(BanditWorld):
    """A verifier that says one thing of all answers to a prompt."""

    def verify(self, prompts: Tensor, rollouts: RolloutBatch) -> Tensor:
        return super().verify(prompts, rollouts).mean(-1)


def test_rewards_of_another_shape_are_refused() -> None:
    trainer = make_trainer(0)
    assert isinstance(trainer.world, BanditWorld)
    trainer.world = PromptWorld(trainer.world.answers, trainer.world.space)
    message = r"the world's rewards must have shape \(6, 4\), one for each rollout of 'agent0', got \(6,\)"
    with pytest.raises(ValueError, match=message):
        trainer.step()


def test_agents_need_unique_names() -> None:
    trainer = make_trainer(0)
    with pytest.raises(ValueError, match="unique names"):
        Trainer([trainer.agents[0], trainer.agents[0]], trainer.world, "hacpo", CONFIG, 0)
