"""One suite over every kind of agent: scores and updates are of one arithmetic, however the passes are cut."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from kinds import KINDS, LANGUAGE, ChanceWorld, G, Kind, LocalAgent, P
from pools import pool_log_probs
from torch import Tensor

from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import DivergedError
from hacrl_lab.importance import mean_log_prob
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.learner import LearnerBatch
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.rollouts import RolloutBatch, take_rows
from hacrl_lab.schedules import PlannedUpdate, mixed
from hacrl_lab.trainer import Trainer

BUDGETS = (0, 40, 1)
CONFIG = TrainingConfig(P, G, minibatches=1, objective=ObjectiveSettings(delta=0.8))
every_kind = pytest.mark.parametrize("kind", KINDS, indirect=True)
every_budget = pytest.mark.parametrize("budget", BUDGETS)


def pair(kind: Kind, budget: int) -> tuple[LocalAgent, LocalAgent]:
    agents = kind.make("a"), kind.make("bb")
    for agent in agents:
        agent.tokens_per_pass = budget
    return agents


def plan_for(kind: Kind, learner: int) -> list[PlannedUpdate]:
    return mixed(kind.stream(5).permutation(P), 2, 2, learner)


@every_kind
@every_budget
@pytest.mark.parametrize("learner", [0, 1])
def test_scores_are_those_of_the_updates_passes_to_the_last_bit(kind: Kind, budget: int, learner: int) -> None:
    agent, other = pair(kind, budget)
    prompts, plan = kind.prompts(), plan_for(kind, learner)
    batch = agent.generate(prompts, G, kind.stream(1))
    scores = agent.score(prompts, batch, plan, learner)
    mask = batch.own_tokens[1]
    assert scores.shape == mask.shape
    assert not scores.requires_grad
    pool = [other.generate(prompts, G, kind.stream(2)).shared()]
    pool.insert(learner, batch)
    encoded, sizes = agent.encode(prompts, pool), []
    for planned in plan:
        by_sampler = [encoded.rows([j], planned.prompts) for j in planned.samplers]
        for positions in agent.passes(encoded, by_sampler):
            rows = torch.cat(by_sampler, -1).gather(-1, positions)
            sizes.append(rows.shape[-1])
            own = (rows // (P * G) == learner).reshape(-1, rows.shape[-1]).all(0)
            its_rows = rows[..., own] - learner * P * G
            now = agent.token_log_probs(encoded, rows)[..., own, : mask.shape[-1]]
            before, its_mask = (take_rows(values.unsqueeze(-4), its_rows, rest=1) for values in (scores, mask))
            together = budget == 0 and kind.name not in LANGUAGE  # with others' rows in one pass, in float64
            torch.testing.assert_close(now[its_mask], before[its_mask], rtol=0, atol=1e-14 if together else 0)
    assert sum(sizes) == 2 * P * G
    if budget == 1:
        assert sizes == [1] * (2 * P * G)
    if budget == 0:
        assert sizes == ([P // 2 * G] * 4 if kind.name in LANGUAGE else [P * G] * 2)


@pytest.mark.parametrize("kind", LANGUAGE, indirect=True)
def test_own_ratios_are_exactly_one_beside_longer_answers(kind: Kind) -> None:
    """The last bit of a sum depends on how far its rows are filled up: some of many rows would show it."""
    agent, group = kind.make("a"), 16
    prompts, plan = kind.prompts(), mixed(torch.arange(P), 1, 2, 0)
    own = agent.generate(prompts, group, kind.stream(1))
    scores = agent.score(prompts, own, plan, 0)
    longer = RolloutBatch("b", [["8+8+10+12+9+11+12+12" * (1 + i % 2) for i in range(group)]] * P, own.finished)
    means = mean_log_prob(scores, own.own_tokens[1])
    batch = LearnerBatch(
        prompts=prompts,
        pool=[own, longer],
        learner=0,
        old_log_probs=scores,
        sampler_mean_log_probs=torch.stack([means, means]),
        advantages=torch.ones(2, P, group),
        capability_ratios=torch.ones(2, 2),
        plan=plan,
        method="hacpo",
        settings=ObjectiveSettings(),
        step=1,
    )
    ratios = agent.update(batch).updates[0].sequence_ratios[0]
    assert torch.equal(ratios, torch.ones_like(ratios))


@every_kind
@every_budget
@pytest.mark.parametrize("method", ["grpo", "hacpo"])
def test_own_ratios_are_exactly_one_before_the_first_update(kind: Kind, budget: int, method: str) -> None:
    loop = Trainer(pair(kind, budget), ChanceWorld(kind), method, CONFIG, kind.seeds)
    metrics = loop.step()
    for k, (name, result) in enumerate(zip(loop.names, loop.last_updates, strict=True)):
        own = k if method == "hacpo" else 0
        ratios = result.updates[0].sequence_ratios[..., own, :, :]
        assert torch.equal(ratios, torch.ones_like(ratios))
        assert bool((metrics[f"initial_self_ratio_error/{name}"] == 0).all())
        if method == "hacpo":
            assert not torch.equal(result.updates[0].sequence_ratios[..., 1 - own, :, :], ratios)


@every_kind
def test_passes_of_any_size_learn_the_same(kind: Kind) -> None:
    prompts = kind.prompts()
    probe = kind.make("ccc").generate(prompts, G, kind.stream(3)).shared()
    rounding = 1e-5 if kind.name in LANGUAGE else 1e-12
    outcomes: list[list[Tensor]] = []
    for budget in BUDGETS:
        agents = pair(kind, budget)
        loop = Trainer(agents, ChanceWorld(kind), "hacpo", CONFIG, kind.seeds)
        metrics = loop.step()  # how far the engine is off is nothing but rounding
        values = [value.double() for key, value in metrics.items() if not key.startswith("engine_")]
        if kind.name not in LANGUAGE:  # AdamW's first step is the gradient's sign, and that of 0 ± rounding is chance
            pools = [(agent, agent.encode(prompts, [probe])) for agent in agents]
            values += [mean_log_prob(pool_log_probs(agent, pool), pool.mask) for agent, pool in pools]
        outcomes.append(values)
    for values in outcomes[1:]:
        for ours, theirs in zip(values, outcomes[0], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("kind", LANGUAGE, indirect=True)
@every_budget
def test_own_ratios_are_exactly_one_beside_much_longer_rollouts_of_others(kind: Kind, budget: int) -> None:
    agent, _ = pair(kind, budget)
    prompts = kind.prompts()
    batch = agent.generate(prompts, G, kind.stream(1))
    foreign = RolloutBatch("bb", [["0123456789" * 3] * G] * P, torch.ones(P, G, dtype=torch.bool))
    plan = mixed(torch.arange(P), 1, 2, 0)
    old = agent.score(prompts, batch, plan, 0)
    means = mean_log_prob(old, batch.own_tokens[1])
    learner_batch = LearnerBatch(
        prompts=prompts,
        pool=[batch, foreign],
        learner=0,
        old_log_probs=old,
        sampler_mean_log_probs=torch.stack([means, -torch.ones(P, G)]),
        advantages=torch.ones(2, P, G),
        capability_ratios=torch.ones(2, 2),
        plan=plan,
        method="hacpo",
        settings=ObjectiveSettings(),
        step=1,
    )
    assert agent.encode(prompts, [foreign]).tokens.shape[-1] > 2 * old.shape[-1]
    ratios = agent.update(learner_batch).updates[0].sequence_ratios[0]
    assert torch.equal(ratios, torch.ones_like(ratios))


@every_kind
@pytest.mark.parametrize("rate", [1e4, 1e30])
def test_an_agent_that_diverges_is_named_whatever_it_is(kind: Kind, rate: float) -> None:
    agent = kind.make("a", partial(torch.optim.Adam, lr=rate))
    if isinstance(agent, CausalLMAgent):
        agent.settings = replace(agent.settings, learning_rate=rate)
    loop = Trainer([agent], ChanceWorld(kind), "gspo", TrainingConfig(P, G, minibatches=2), kind.seeds)
    with pytest.raises(DivergedError, match=r"agent 'a.* in step 1"):
        loop.step()


@pytest.mark.parametrize("kind", LANGUAGE, indirect=True)
def test_the_last_update_of_a_language_model_is_looked_at(kind: Kind) -> None:
    agent = kind.make("a")
    assert isinstance(agent, CausalLMAgent)
    agent.settings = replace(agent.settings, learning_rate=0.5)
    loop = Trainer([agent], ChanceWorld(kind), "gspo", CONFIG, 0)  # one update a step
    with pytest.raises(DivergedError, match=r"agent 'a' diverged in step 1: .* nats per token less likely"):
        loop.step()
