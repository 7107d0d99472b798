import pytest
import torch

from hacrl_lab.schedules import (
    SCHEDULES,
    PlannedUpdate,
    Schedule,
    ScheduleName,
    by_sampler,
    cross_first,
    mixed,
    mixed_2u,
    own_part,
    own_prompts,
    self_first,
)


def test_mixed_updates_share_the_prompts_in_the_order_given_and_hold_everyone() -> None:
    plan = mixed(torch.tensor([3, 0, 4, 1, 2, 5]), minibatches=3, pool_size=2, learner=1)
    assert [planned.prompts.tolist() for planned in plan] == [[3, 0], [4, 1], [2, 5]]
    assert [planned.samplers for planned in plan] == [(0, 1)] * 3


def test_each_seed_takes_the_prompts_in_its_own_order() -> None:
    plan = mixed(torch.tensor([[2, 0, 1], [0, 1, 2]]), minibatches=2, pool_size=1, learner=0)
    assert [planned.prompts.tolist() for planned in plan] == [[[2, 0], [0, 1]], [[1], [2]]]


@pytest.mark.parametrize("minibatches", [1, 2, 3, 7])
def test_every_prompt_is_in_one_update(minibatches: int) -> None:
    order = torch.tensor([6, 2, 0, 5, 1, 3, 4])
    plan = mixed(order, minibatches, pool_size=3, learner=0)
    assert len(plan) == minibatches
    assert torch.cat([planned.prompts for planned in plan]).tolist() == order.tolist()
    assert max(len(one.prompts) for one in plan) - min(len(one.prompts) for one in plan) <= 1


def test_own_prompts_are_those_of_the_updates_that_hold_own_rollouts() -> None:
    plan = [
        PlannedUpdate((0,), torch.tensor([1, 0])),
        PlannedUpdate((1, 2), torch.tensor([0, 1])),
        PlannedUpdate((0, 2), torch.tensor([2])),
    ]
    assert [prompts.tolist() for prompts in own_prompts(plan, 0)] == [[1, 0], [2]]
    assert [prompts.tolist() for prompts in own_prompts(plan, 1)] == [[0, 1]]
    assert own_prompts(plan, 3) == []


def test_of_a_plan_a_learner_that_shares_nothing_keeps_its_own_part_and_empty_updates() -> None:
    plan = [PlannedUpdate(samplers, torch.tensor([m])) for m, samplers in enumerate([(0, 1), (0, 2), (2,), (1,)])]
    assert [(one.samplers, one.prompts.tolist()) for one in own_part(plan, 2)] == [
        ((), [0]),
        ((0,), [1]),
        ((0,), [2]),
        ((), [3]),
    ]


ORDER = torch.tensor([3, 0, 2, 1])


def parts(schedule: Schedule, pool_size: int, learner: int) -> list[tuple[tuple[int, ...], list[int]]]:
    return [(one.samplers, one.prompts.tolist()) for one in schedule(ORDER, 2, pool_size, learner)]


def test_mixed_2u_makes_as_many_updates_for_each_sampler_as_an_agent_makes_alone() -> None:
    assert parts(mixed_2u, 2, 0) == [((0, 1), [3]), ((0, 1), [0]), ((0, 1), [2]), ((0, 1), [1])]


def test_self_first_and_cross_first_hold_one_sampler_at_a_time() -> None:
    own, first, last = (
        [((1,), [3, 0]), ((1,), [2, 1])],
        [((0,), [3, 0]), ((0,), [2, 1])],
        [((2,), [3, 0]), ((2,), [2, 1])],
    )
    assert parts(self_first, 3, learner=1) == [*own, *first, *last]
    assert parts(cross_first, 3, learner=1) == [*first, *last, *own]


def test_by_sampler_is_own_first_for_the_first_agent_and_own_last_for_the_last() -> None:
    assert parts(by_sampler, 2, learner=0) == parts(self_first, 2, learner=0)
    assert parts(by_sampler, 2, learner=1) == parts(cross_first, 2, learner=1)


@pytest.mark.parametrize("name", SCHEDULES)
def test_alone_every_schedule_is_the_same_and_in_a_pool_each_rollout_is_in_one_update(name: ScheduleName) -> None:
    schedule = SCHEDULES[name]
    assert parts(schedule, 1, 0) == parts(mixed, 1, 0)
    held = [(j, prompt) for samplers, prompts in parts(schedule, 2, 1) for j in samplers for prompt in prompts]
    assert sorted(held) == [(j, prompt) for j in range(2) for prompt in range(4)]
    assert sorted(torch.cat(own_prompts(schedule(ORDER, 2, 2, 1), 1)).tolist()) == [0, 1, 2, 3]
