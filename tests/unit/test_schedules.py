import pytest
import torch

from hacrl_lab.schedules import PlannedUpdate, mixed, own_prompts


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
