"""The algorithm on one page is the library's, to the last digits, where its guards and clips really act."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from hacrl_envs.bandit import BanditWorld, bandit_world
from hacrl_lab.advantages import capability_aware_mean
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.metrics import Metrics
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.trainer import Trainer
from hacrl_studies import hacpo_in_one_page as page

STEPS = 12
NAMES = "abc"


class RecordingWorld(BanditWorld):
    """A bandit that keeps what it said of every sampler's answers, in order."""

    def __init__(self, world: BanditWorld) -> None:
        super().__init__(world.answers, world.space)
        self.rewards: list[Tensor] = []

    def verify(self, prompts, rollouts) -> Tensor:
        self.rewards.append(super().verify(prompts, rollouts))
        return self.rewards[-1]


@dataclass
class Seen:
    """How often the special cases occurred while the library trained."""

    above_every_reward: int = 0
    """Decision 4: prompts of a learner whose baseline would have been above 1."""
    equal_rewards: int = 0
    """Decision 5: prompts of a learner whose equal rewards would have had advantages other than 0."""
    clipped: dict[str, float] = field(default_factory=dict)
    """Largest clip fraction of a step on own and on cross rollouts."""

    def look(self, metrics: Metrics, rewards: Tensor) -> None:
        """Count what one step had; rewards (n, P, G)."""
        names = NAMES[: len(rewards)]
        omega = torch.tensor([[float(metrics[f"capability_ratio/{k}/{j}"]) for j in names] for k in names]).double()
        equal = rewards.amax((0, 2)) == rewards.amin((0, 2))
        for k in range(len(rewards)):
            mean = capability_aware_mean(rewards, omega, k)[0, :, 0]
            self.above_every_reward += int(((mean > 1) & ~equal).sum())
            self.equal_rewards += int((equal & ((mean - rewards[0, :, 0]).abs() > 1e-3)).sum())
        for kind, same in (("own", True), ("cross", False)):
            shares = [float(metrics[f"clip_fraction/{k}/{j}"]) for k in names for j in names if (k == j) == same]
            self.clipped[kind] = max(self.clipped.get(kind, 0.0), *shares)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """An able and an unable agent and large steps, so that ratios and capabilities lie far apart."""
    team = {"KNOWLEDGE": (4.0, 1.0, 2.0), "LEARNING_RATE": 4.0, "GROUP": 3, "PROMPTS": 9, "WINDOW": 3}
    clip = {"EPSILON_LOW": 0.1, "EPSILON_HIGH": 0.15, "DELTA": 0.4, "DELTA_STEP": 0.1, "ALPHA": 2.0}
    for name, value in (team | clip).items():
        monkeypatch.setattr(page, name, value)


def library(start: list[Tensor], world: BanditWorld, seed: int) -> tuple[list[Tensor], Seen]:
    """The policies that the library trains from the page's start, and the special cases during training."""
    recording, seen = RecordingWorld(world), Seen()
    ascent = lambda parameters: torch.optim.SGD(parameters, lr=page.LEARNING_RATE)  # noqa: E731
    agents = [TabularAgent(NAMES[k], logits, world.space, ascent) for k, logits in enumerate(start)]
    objective = ObjectiveSettings(page.EPSILON_LOW, page.EPSILON_HIGH, page.ALPHA, page.DELTA, page.DELTA_STEP)
    config = TrainingConfig(page.PROMPTS, page.GROUP, page.MINIBATCHES, page.WINDOW, objective=objective)
    trainer = Trainer(agents, recording, "hacpo", config, seed)
    for _ in range(STEPS):
        metrics = trainer.step()
        seen.look(metrics, torch.stack(recording.rewards[-len(agents) :]))
    return [agent.logits.detach() for agent in agents], seen


@pytest.mark.parametrize("agents", [2, 3])
def test_the_page_trains_the_policies_that_the_library_trains(agents: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "AGENTS", agents)
    seen: list[Seen] = []
    for seed in range(6):
        world = bandit_world(seed, page.CONTEXTS, page.ACTIONS, page.LENGTH, right_share=0.1)
        before, after = page.train(world, seed, STEPS)
        trained, one = library(before, world, seed)
        seen.append(one)
        for start, mine, theirs in zip(before, after, trained, strict=True):
            torch.testing.assert_close(mine.detach(), theirs, rtol=0, atol=1e-12)
            assert (mine - start).abs().max() > 0.5  # something was learned
    assert all(one.clipped["cross"] > 0 for one in seen)
    assert all(one.clipped["own"] > 0 for one in seen)
    assert sum(one.above_every_reward for one in seen) > 0
    assert sum(one.equal_rewards for one in seen) > 0


@pytest.mark.parametrize("changed", [{"DELTA_STEP": 0.0}, {"ALPHA": 0.0}, {"EPSILON_LOW": 1.0}, {"EPSILON_HIGH": 9.0}])
def test_every_bound_and_the_exponential_weight_act_in_these_settings(
    changed: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = bandit_world(0, page.CONTEXTS, page.ACTIONS, page.LENGTH, right_share=0.1)
    _, after = page.train(world, 0, STEPS)
    for name, value in changed.items():
        monkeypatch.setattr(page, name, value)
    _, other = page.train(world, 0, STEPS)
    assert (after[0] - other[0]).abs().max() > 1e-3
    assert (after[1] - other[1]).abs().max() > 1e-3


def test_agents_without_any_success_stay_as_they_are() -> None:
    """Decision 6: the ratio of two capabilities of 0 is 1."""
    bandit = bandit_world(0, page.CONTEXTS, page.ACTIONS, page.LENGTH)
    before, after = page.train(BanditWorld(torch.zeros_like(bandit.answers), bandit.space), 0, 2)
    assert all(torch.equal(start, end) for start, end in zip(before, after, strict=True))
