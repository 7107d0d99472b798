"""The inner loop: passes of any size give one gradient, rows without one are not run backward, plans are data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hacrl_lab.advantages import group_advantages
from hacrl_lab.agents.actions import ActionAgent
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.capability import capability_ratio_matrix
from hacrl_lab.importance import mean_log_prob
from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.methods import METHODS, get_method
from hacrl_lab.objectives import ObjectiveInputs, ObjectiveSettings
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import EncodedRollouts, take_prompts
from hacrl_lab.schedules import EmptyUpdates, PlannedUpdate, cross_first, mixed
from hacrl_lab.seeding import RandomStream
from hacrl_lab.update import score, split_by_tokens, update

CONTEXTS, PROMPTS, GROUP = 5, 6, 4
SPACE = ResponseSpace(3, 4, stops=True)
SETTINGS = ObjectiveSettings(epsilon_low=0.05, epsilon_high=0.05, delta=0.4, delta_step=0.05)


def sgd(parameters: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.5)


def agents(seeds: int | Sequence[int] = 0, count: int = 2) -> list[TabularAgent]:
    """Agents that differ, so that cross ratios lie on both sides of the bounds, and that have left their references."""
    start = [RandomStream(seeds, 7, k).uniform(CONTEXTS, SPACE.prefixes, SPACE.actions) for k in range(count)]
    made = [TabularAgent(f"agent{k}", logits, SPACE, sgd) for k, logits in enumerate(start)]
    for agent in made:
        agent.set_reference()
        with torch.no_grad():
            agent.logits.mul_(2)
    return made


def learner_batch(
    policies: Sequence[TabularAgent], method: str, seeds: int | Sequence[int] = 0, updates: int = 2
) -> LearnerBatch:
    """What the first agent learns from, with rewards by chance and one prompt whose rewards are all equal."""
    chosen = get_method(method)
    pool = list(policies) if chosen.shares else [policies[0]]
    prompts = RandomStream(seeds, 8).integers(CONTEXTS, PROMPTS)
    order = RandomStream(seeds, 9).permutation(PROMPTS)
    plan = chosen.schedule(order, updates, len(pool), 0)
    batches = [agent.generate(prompts, GROUP, RandomStream(seeds, 10, k)) for k, agent in enumerate(pool)]
    rewards = (RandomStream(seeds, 11).uniform(len(pool), PROMPTS, GROUP) < 0.5).double()
    rewards[..., 0, :] = 1.0
    scores = [
        agent.score(prompts, batch, mixed(order, updates, 1, 0), 0) for agent, batch in zip(pool, batches, strict=True)
    ]
    ratios = capability_ratio_matrix(rewards.mean((-2, -1)))
    return LearnerBatch(
        prompts=prompts,
        pool=[batches[0], *(batch.shared() for batch in batches[1:])],
        learner=0,
        old_log_probs=scores[0],
        sampler_mean_log_probs=torch.stack(
            [mean_log_prob(one, batch.own_tokens[1]) for one, batch in zip(scores, batches, strict=True)], dim=-3
        ),
        advantages=group_advantages(rewards, chosen.baseline(rewards, ratios, 0)),
        capability_ratios=ratios,
        plan=plan,
        method=method,
        settings=chosen.settings(SETTINGS),
        step=1,
    )


def whole_batch_gradient(agent: TabularAgent, batch: LearnerBatch, planned: PlannedUpdate, m: int) -> Tensor:
    """The definition: one objective of the whole mini-batch, one backward pass through everything."""
    encoded = agent.encode(batch.prompts, batch.pool)
    log_probs = agent.token_log_probs(encoded, encoded.rows()).reshape(encoded.mask.shape)
    held = torch.tensor([j in planned.samplers for j in range(len(batch.pool))])
    inputs = ObjectiveInputs(
        log_probs=take_prompts(log_probs, planned.prompts, -3),
        mask=take_prompts(encoded.mask, planned.prompts, -3),
        old_log_probs=take_prompts(batch.old_log_probs, planned.prompts, -3),
        sampler_mean_log_probs=take_prompts(batch.sampler_mean_log_probs, planned.prompts, -2),
        advantages=take_prompts(batch.advantages, planned.prompts, -2) * held[:, None, None],
        capability_ratios=batch.capability_ratios,
        learner=batch.learner,
        minibatch_index=m,
    )
    value = get_method(batch.method).objective(inputs, batch.settings).value.sum()
    if batch.settings.kl_weight > 0 and batch.learner in planned.samplers:
        with agent.reference(), torch.no_grad():
            before = agent.token_log_probs(encoded, encoded.rows()).reshape(encoded.mask.shape)
        log_ratio = take_prompts(before - log_probs, planned.prompts, -3)[batch.learner]
        mask = take_prompts(encoded.mask, planned.prompts, -3)[batch.learner]
        k3 = torch.where(mask, log_ratio.exp() - 1 - log_ratio, 0).sum(-1) / mask.sum(-1)
        value = value - batch.settings.kl_weight * k3.mean()
    (gradient,) = torch.autograd.grad(value, agent.logits)
    return gradient


def test_the_rollouts_used_here_lie_inside_and_outside_every_bound() -> None:
    policies = agents()
    result = policies[0].update(learner_batch(policies, "hacpo"))
    cross = torch.cat([one.sequence_ratios[1].flatten() for one in result.updates])
    assert bool((cross < 0.6).any())
    assert bool((cross > 1).any())
    assert bool(((cross > 0.6) & (cross < 1)).any())


@pytest.mark.parametrize("method", [*METHODS, "hacpo_alpha2.5"])
@pytest.mark.parametrize("tokens_per_pass", [0, 1, 7, 40])
def test_passes_of_any_size_give_the_gradient_of_the_whole_batch(method: str, tokens_per_pass: int) -> None:
    policies = agents()
    batch = learner_batch(policies, method)
    learner, reference = policies[0], agents()[0]
    learner.tokens_per_pass = tokens_per_pass
    for m, planned in enumerate(batch.plan):
        expected = whole_batch_gradient(reference, batch, planned, m)
        with torch.no_grad():  # plain ascent with step 0.5, as the agent's optimiser
            reference.logits.add_(0.5 * expected)
        assert float(expected.abs().max()) > 1e-3 or batch.learner not in planned.samplers
    learner.update(batch)
    torch.testing.assert_close(learner.logits, reference.logits, rtol=0, atol=1e-12)


def test_updates_without_own_rollouts_have_no_kl_penalty() -> None:
    def values(kl_weight: float) -> list[float]:
        policies = agents()
        batch = learner_batch(policies, "hacpo", updates=1)
        plan = cross_first(torch.arange(PROMPTS), 1, 2, 0)
        result = policies[0].update(replace(batch, plan=plan, settings=replace(SETTINGS, kl_weight=kl_weight)))
        return [float(one.value.value) for one in result.updates]

    (cross, own), (penalised_cross, penalised_own) = values(0.0), values(1.0)
    assert cross == penalised_cross
    assert own > penalised_own + 0.01


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.sampled_from(sorted(METHODS)), st.integers(0, 60), st.integers(1, 3), st.integers(0, 10**6))
def test_the_size_of_passes_never_matters(method: str, tokens_per_pass: int, updates: int, seed: int) -> None:
    outcomes = []
    for budget in (0, tokens_per_pass):
        policies = agents(seed)
        policies[0].tokens_per_pass = budget
        result = policies[0].update(learner_batch(policies, method, seed, updates))
        outcomes.append((policies[0].logits.detach(), result))
    (ours, first), (theirs, second) = outcomes
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    for a, b in zip(first.updates, second.updates, strict=True):
        torch.testing.assert_close(a.value.value, b.value.value, rtol=0, atol=1e-12)
        torch.testing.assert_close(a.gradient_norm, b.gradient_norm, rtol=0, atol=1e-12)
        assert torch.equal(a.value.clip_fraction, b.value.clip_fraction)


def test_seeds_that_advance_together_learn_what_each_learns_alone() -> None:
    seeds = (3, 5, 8)
    together = agents(seeds)
    together[0].tokens_per_pass = 20
    together[0].update(learner_batch(together, "hacpo", seeds))
    for place, seed in enumerate(seeds):
        alone = agents(seed)
        alone[0].update(learner_batch(alone, "hacpo", seed))
        torch.testing.assert_close(together[0].logits[place], alone[0].logits, rtol=0, atol=1e-12)


class CountingAgent(TabularAgent):
    """Counts the rows that are run forward with and without a backward pass."""

    backward_rows = 0
    forward_rows = 0

    def token_log_probs(self, encoded: EncodedRollouts, rows: Tensor) -> Tensor:
        log_probs = super().token_log_probs(encoded, rows)
        self.forward_rows += rows.shape[-1]
        if log_probs.requires_grad:
            log_probs.register_hook(lambda gradient: self._count(gradient))
        return log_probs

    def _count(self, gradient: Tensor) -> None:
        self.backward_rows += gradient.shape[-2]


def counted(method: str, delta: float = 0.4, zero_prompts: int = 0) -> tuple[CountingAgent, UpdateResult]:
    policies = agents()
    batch = learner_batch(policies, method, updates=1)
    batch = replace(batch, settings=replace(batch.settings, delta=delta))
    batch.advantages[..., :zero_prompts, :] = 0.0
    learner = CountingAgent("agent0", policies[0].logits, SPACE, sgd)
    learner.tokens_per_pass = 60
    return learner, learner.update(batch)


def test_rollouts_without_a_gradient_are_not_run_backward() -> None:
    everything = 2 * PROMPTS * GROUP
    all_backward, _ = counted("hacpo_no_clip")
    assert all_backward.backward_rows >= everything - 2 * GROUP  # but for the prompt whose rewards are all equal
    few, result = counted("hacpo", delta=0.02)  # nearly all cross rollouts lie outside [0.98, 1]
    outside = float(result.updates[0].value.clip_fraction[1]) * PROMPTS * GROUP
    assert outside > GROUP * PROMPTS / 2
    assert few.backward_rows <= everything - outside
    none, _ = counted("hacpo", zero_prompts=PROMPTS)
    assert none.backward_rows == 0
    assert none.forward_rows == everything


@pytest.mark.parametrize(("delta", "zero_prompts"), [(0.02, 0), (0.4, 4), (0.02, 5), (0.4, PROMPTS)])
def test_leaving_rows_out_of_the_backward_pass_keeps_the_gradient(delta: float, zero_prompts: int) -> None:
    learner, _ = counted("hacpo", delta, zero_prompts)
    policies = agents()
    batch = learner_batch(policies, "hacpo", updates=1)
    batch = replace(batch, settings=replace(batch.settings, delta=delta))
    batch.advantages[..., :zero_prompts, :] = 0.0
    gradient = whole_batch_gradient(policies[0], batch, batch.plan[0], 0)
    torch.testing.assert_close(learner.logits, policies[0].logits + 0.5 * gradient, rtol=0, atol=1e-12)


def test_few_rows_with_a_gradient_are_run_again_without_the_others() -> None:
    policies = agents()
    batch = learner_batch(policies, "hacpo", updates=1)
    batch.advantages.zero_()
    batch.advantages[0, 2, 1] = 1.0
    learner = CountingAgent("agent0", policies[0].logits, SPACE, sgd)
    learner.tokens_per_pass = 10_000  # a pass for own rollouts, another for the others'
    learner.update(batch)
    assert learner.backward_rows == 1
    assert learner.forward_rows == 2 * PROMPTS * GROUP + 1


def test_an_updates_objective_is_of_the_rollouts_that_it_holds() -> None:
    def value(advantages_of_others: float) -> float:
        policies = agents()
        batch = learner_batch(policies, "hacpo")
        batch.advantages[1] = advantages_of_others
        plan = [PlannedUpdate((0,), torch.arange(PROMPTS))]
        return float(policies[0].update(replace(batch, plan=plan)).updates[0].value.value)

    assert value(advantages_of_others=7.0) == value(advantages_of_others=0.0)


@pytest.mark.parametrize(
    ("kl_weight", "empty", "moves"), [(0.0, "skip", False), (0.0, "step", True), (0.1, "skip", True)]
)
def test_an_update_without_any_gradient_is_made_only_if_it_is_asked_for(
    kl_weight: float, empty: EmptyUpdates, moves: bool
) -> None:
    def adam(parameters: list[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=0.1)

    policies = agents()
    batch = learner_batch(policies, "hacpo", updates=1)
    learner = TabularAgent("agent0", policies[0].logits, SPACE, adam)
    learner.set_reference()
    learner.update(batch)
    before = learner.logits.detach().clone()
    nothing = replace(batch, advantages=torch.zeros_like(batch.advantages), empty_updates=empty)
    record = learner.update(replace(nothing, settings=replace(SETTINGS, kl_weight=kl_weight))).updates[0]
    assert torch.equal(learner.logits, before) != moves  # a KL penalty is a gradient; Adam's momentum is none
    assert (float(record.gradient_norm) > 0) == (kl_weight > 0)


def test_a_skipped_update_counts_for_the_stepwise_bound() -> None:
    policies, reference = agents(), agents()[0]
    batch = learner_batch(policies, "hacpo")
    batch.advantages[0] = 0
    plan = [PlannedUpdate((j,), torch.arange(PROMPTS)) for j in range(2)]
    uncounted, counted = (whole_batch_gradient(reference, batch, plan[1], m) for m in (0, 1))
    own, cross = policies[0].update(replace(batch, plan=plan)).updates
    assert (float(own.gradient_norm), float(cross.gradient_norm) > 0) == (0, True)
    torch.testing.assert_close(policies[0].logits, reference.logits + 0.5 * counted, rtol=0, atol=1e-12)
    assert not torch.allclose(uncounted, counted)


@pytest.mark.parametrize("tokens_per_pass", [0, 1, 9])
def test_the_own_ratio_before_the_first_update_is_exactly_one(tokens_per_pass: int) -> None:
    policies = agents()
    for agent in policies:
        agent.tokens_per_pass = tokens_per_pass
    result = policies[0].update(learner_batch(policies, "hacpo"))
    first, second = (one.sequence_ratios[0] for one in result.updates)
    assert bool((first == 1).all())
    assert not bool((second == 1).all())


def test_another_schedule_is_another_plan_and_no_new_loop() -> None:
    # own rollouts first, then the other's: the second update's gradient is that of the cross term alone, with m = 1
    policies, reference = agents(), agents()[0]
    batch = learner_batch(policies, "hacpo")
    order = torch.arange(PROMPTS)
    plan = [PlannedUpdate((0,), order), PlannedUpdate((1,), order)]
    for m, planned in enumerate(plan):
        only = batch.advantages * torch.tensor([j in planned.samplers for j in range(2)])[:, None, None]
        gradient = whole_batch_gradient(reference, replace(batch, advantages=only), planned, m)
        with torch.no_grad():
            reference.logits.add_(0.5 * gradient)
    result = policies[0].update(replace(batch, plan=plan))
    torch.testing.assert_close(policies[0].logits, reference.logits, rtol=0, atol=1e-12)
    assert [one.samplers for one in result.updates] == [(0,), (1,)]
    assert float(result.updates[1].gradient_norm) > 0


def test_the_learner_may_have_any_place_in_the_pool() -> None:
    policies, swapped = agents(), agents()
    batch = learner_batch(policies, "naive")
    policies[0].update(batch)
    flipped = replace(
        batch,
        pool=batch.pool[::-1],
        learner=1,
        sampler_mean_log_probs=batch.sampler_mean_log_probs.flip(-3),
        advantages=batch.advantages.flip(-3),
        capability_ratios=batch.capability_ratios.flip(-1).flip(-2),
    )
    swapped[0].update(flipped)
    torch.testing.assert_close(policies[0].logits, swapped[0].logits, rtol=0, atol=1e-12)


def test_scores_are_in_the_order_of_the_rollouts_whatever_the_plan() -> None:
    agent = agents()[0]
    prompts = torch.tensor([4, 0, 2, 2, 1, 3])
    batch = agent.generate(prompts, GROUP, RandomStream(0, 1))
    encoded = agent.encode(prompts, [batch])
    expected = agent.token_log_probs(encoded, encoded.rows()).reshape(encoded.mask.shape)[0]
    agent.tokens_per_pass = 11
    found, first = score(agent, prompts, batch, mixed(torch.tensor([3, 1, 5, 0, 2, 4]), 4, 1, 0), 0)
    assert first is None
    torch.testing.assert_close(found[batch.own_tokens[1]], expected[batch.own_tokens[1]].detach(), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "plan",
    [
        [PlannedUpdate((0,), torch.tensor([0, 1, 2]))],
        [PlannedUpdate((0,), torch.arange(6)), PlannedUpdate((0,), torch.tensor([0]))],
        [PlannedUpdate((1,), torch.arange(6))],
    ],
    ids=["a part only", "one twice", "none"],
)
def test_a_plan_that_does_not_hold_each_own_rollout_once_is_refused(plan: list[PlannedUpdate]) -> None:
    agent = agents()[0]
    prompts = torch.tensor([4, 0, 2, 2, 1, 3])
    batch = agent.generate(prompts, GROUP, RandomStream(0, 1))
    with pytest.raises(ValueError, match="exactly once"):
        score(agent, prompts, batch, plan, 0)


def test_an_objective_that_is_not_finite_is_refused_before_the_update() -> None:
    policies = agents()
    batch = learner_batch(policies, "hacpo")
    before = policies[0].logits.detach().clone()
    sick = replace(batch, advantages=batch.advantages / 0.0)
    result = policies[0].update(sick)
    assert result.diverged == (
        "the objective of agent 'agent0' became nan in step 1, mini-batch 0; the update was not applied"
    )
    assert [float(record.gradient_norm) for record in result.updates] == [0, 0]
    assert torch.equal(policies[0].logits, before)


def test_after_a_refused_update_none_is_made() -> None:
    policies = agents()
    batch = learner_batch(policies, "hacpo")
    second = batch.plan[1].prompts
    policies[0].update(replace(batch, plan=[batch.plan[0]]))
    after_the_first = policies[0].logits.detach().clone()
    again = agents()[0]
    batch.advantages[..., second, :] = torch.nan
    result = again.update(replace(batch, plan=[*batch.plan, batch.plan[0]]))
    assert "mini-batch 1" in result.diverged
    assert torch.equal(again.logits, after_the_first)
    assert len(result.updates) == 3


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 120))
def test_passes_hold_every_row_once_and_keep_to_the_budget(lengths: list[int], budget: int) -> None:
    parts = split_by_tokens(torch.tensor(lengths), budget)
    assert sorted(torch.cat(parts).tolist()) == list(range(len(lengths)))
    for part in parts:
        widest = max(lengths[place] for place in part.tolist())
        assert len(part) * widest <= budget or len(part) == 1
    sorted_lengths = [lengths[place] for place in torch.cat(parts).tolist()]
    assert sorted_lengths == sorted(lengths, reverse=True)  # little padding


def test_a_larger_budget_gives_no_more_passes() -> None:
    lengths = torch.randint(1, 30, (50,), generator=torch.Generator().manual_seed(0))
    counts = [len(split_by_tokens(lengths, budget)) for budget in (1, 50, 100, 400, 10**6)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 50
    assert counts[-1] == 1
    with pytest.raises(ValueError, match="≥ 1"):
        split_by_tokens(lengths, 0)


def test_an_update_needs_no_more_of_an_agent_than_the_policy_interface() -> None:
    # a policy that is nothing else: what a remote or sharded agent must offer
    inner = agents()[0]

    class Bare:
        name, largest_drift = "agent0", inner.largest_drift
        encode, token_log_probs = inner.encode, inner.token_log_probs
        passes, apply_gradients = inner.passes, inner.apply_gradients

    assert not isinstance(Bare(), ActionAgent)
    result = update(Bare(), learner_batch(agents(), "hacpo"))  # type: ignore[arg-type]
    assert len(result.updates) == 2
