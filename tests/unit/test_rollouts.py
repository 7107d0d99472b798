import math

import pytest
import torch

from hacrl_lab.rollouts import (
    EncodedRollouts,
    RolloutBatch,
    engine_mismatch,
    pad_stack,
    put_rows,
    take_prompts,
    take_rows,
)


def test_length_is_the_number_of_tokens_in_the_mask() -> None:
    mask = torch.tensor([[[True, True, False], [True, True, True]]])
    batch = RolloutBatch(
        "a", [["ab", "abc"]], torch.tensor([[True, False]]), torch.zeros(1, 2, 3, dtype=torch.int64), mask
    )
    assert batch.lengths.tolist() == [[2, 3]]


def test_prompts_are_taken_in_the_order_asked_for() -> None:
    values = torch.tensor([[10, 11], [20, 21], [30, 31]])
    assert take_prompts(values, torch.tensor([2, 0]), -2).tolist() == [[30, 31], [10, 11]]


def test_each_leading_index_takes_its_own_prompts() -> None:
    values = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert take_prompts(values, torch.tensor([[2, 1], [0, 0]]), -1).tolist() == [[3, 2], [4, 4]]


def test_axes_between_the_leading_ones_and_the_prompts_are_kept() -> None:
    # (seeds 2, samplers 2, prompts 3, group 1); both samplers give the same prompts, each seed its own
    values = torch.arange(12).reshape(2, 2, 3, 1)
    taken = take_prompts(values, torch.tensor([[1], [2]]), -2)
    assert taken.tolist() == [[[[1]], [[4]]], [[[8]], [[11]]]]


def numbered(leading: tuple[int, ...] = (), observed: bool = False) -> EncodedRollouts:
    """Two samplers, three prompts, two members: token = 100·sampler + 10·prompt + member (+ 1000·seed), lengths 1 to 3.

    Member 1 of sampler 1 has one token more than the others, and prompt p has p + 1 tokens.
    """
    sampler, prompt, member = (torch.arange(size) for size in (2, 3, 2))
    first = 100 * sampler[:, None, None] + 10 * prompt[:, None] + member  # (n, P, G)
    seeds = 1000 * torch.arange(leading[0] if leading else 1).reshape(*leading, *[1] * 3)
    tokens = torch.stack([first + seeds, -first - seeds, -first - seeds], dim=-1)
    lengths = 2 + sampler[:, None, None] * member.expand(1, 3, 2)
    mask = (torch.arange(3) < lengths.unsqueeze(-1)).expand(tokens.shape)
    contexts = (prompt[:, None] * torch.ones(3, dtype=torch.int64) + seeds[..., 0]).expand(*leading, 3, 3)
    context_mask = (torch.arange(3) >= 2 - prompt[:, None]).expand(*leading, 3, 3)
    observations = tokens.unsqueeze(-1) * torch.tensor([1, 2]) if observed else None
    return EncodedRollouts(contexts, context_mask, tokens, mask, observations)


def test_rows_run_through_samplers_then_prompts_then_members() -> None:
    encoded = numbered()
    assert encoded.pool_shape == (2, 3, 2)
    assert encoded.rows().tolist() == list(range(12))
    assert encoded.rows([1]).tolist() == [6, 7, 8, 9, 10, 11]
    assert encoded.rows([1, 0], torch.tensor([2, 0])).tolist() == [10, 11, 6, 7, 4, 5, 0, 1]
    assert encoded.rows([], torch.tensor([2, 0])).tolist() == []


def test_rows_are_taken_with_their_own_prompts() -> None:
    taken = numbered(observed=True).take(torch.tensor([10, 3]))
    assert taken.prompts.tolist() == [2, 1]
    assert taken.contexts.tolist() == [[2, 2, 2], [1, 1, 1]]
    assert taken.context_mask.tolist() == [[True, True, True], [False, True, True]]
    assert taken.tokens.tolist() == [[120, -120, -120], [11, -11, -11]]
    assert taken.mask.tolist() == [[True, True, False], [True, True, False]]
    assert taken.observations is not None
    assert taken.observations.tolist() == [[[120, 240]] + [[-120, -240]] * 2, [[11, 22]] + [[-11, -22]] * 2]
    assert numbered().take(torch.tensor([7])).observations is None


def test_lengths_are_of_prompt_and_response() -> None:
    assert numbered().row_lengths(torch.tensor([0, 1, 4, 6, 7, 11])).tolist() == [3, 3, 5, 3, 4, 6]


def test_each_seed_takes_its_own_rows() -> None:
    encoded = numbered((2,), observed=True)
    assert encoded.rows([0], torch.tensor([[1], [2]])).tolist() == [[2, 3], [4, 5]]
    assert encoded.rows().shape == (2, 12)
    taken = encoded.take(torch.tensor([[2, 11], [4, 0]]))
    assert taken.prompts.tolist() == [[1, 2], [2, 0]]
    assert taken.tokens[..., 0].tolist() == [[10, 121], [1020, 1000]]
    assert taken.contexts[..., 0].tolist() == [[1, 2], [1002, 1000]]
    assert taken.observations is not None
    assert taken.observations[..., 0, 1].tolist() == [[20, 242], [2040, 2000]]
    assert encoded.row_lengths(torch.tensor([[2, 11], [4, 0]])).tolist() == [[4, 6], [5, 3]]


def test_values_of_rows_are_taken_and_put_back() -> None:
    values = torch.arange(24.0).reshape(2, 1, 2, 3, 2)  # (seeds, n, P, G, T)
    rows = torch.tensor([[5, 0], [3, 1]])
    taken = take_rows(values, rows, rest=1)
    assert taken.tolist() == [[[10, 11], [0, 1]], [[18, 19], [14, 15]]]
    assert take_rows(values[..., 1], rows).tolist() == [[11, 1], [19, 15]]
    changed = put_rows(values, rows, -taken)
    assert take_rows(changed, rows, rest=1).tolist() == (-taken).tolist()
    others = torch.tensor([[1, 2, 3, 4], [0, 2, 4, 5]])
    assert torch.equal(take_rows(changed, others, rest=1), take_rows(values, others, rest=1))
    assert float(values.min()) == 0  # a copy


def test_what_is_put_into_rows_gets_their_gradient() -> None:
    values = torch.zeros(1, 1, 3, 2, requires_grad=True)
    new = torch.ones(1, 2, requires_grad=True)
    weights = torch.arange(6.0).reshape(1, 1, 3, 2)
    (put_rows(values, torch.tensor([1]), new) * weights).sum().backward()
    assert new.grad is not None
    assert values.grad is not None
    assert new.grad.tolist() == [[2, 3]]
    assert values.grad.tolist() == [[[[0, 1], [0, 0], [4, 5]]]]


def test_what_others_see_has_no_tokens() -> None:
    ones = torch.ones(1, 2, 3)
    batch = RolloutBatch("a", [["x", "yz"]], torch.tensor([[True, False]]), ones.long(), ones.bool(), -ones)
    seen = batch.shared()
    assert (seen.sampler, seen.responses, seen.finished.tolist()) == ("a", [["x", "yz"]], [[True, False]])
    assert seen.tokens is seen.mask is seen.engine_log_probs is None
    assert batch.tokens is not None
    with pytest.raises(ValueError, match="the rollouts of 'a' were shared without their tokens"):
        _ = seen.own_tokens
    with pytest.raises(ValueError, match="the rollouts of 'a' were shared without their tokens"):
        _ = seen.lengths


def test_shorter_responses_are_filled_up_at_their_end() -> None:
    # two seeds, P = G = 1, two tokens and one: the samplers' axis comes third from the prompts' end
    stacked = pad_stack([torch.tensor([[[[1, 2]]], [[[3, 4]]]]), torch.tensor([[[[5]]], [[[6]]]])], -1)
    assert stacked.shape == (2, 2, 1, 1, 2)
    assert stacked[:, :, 0, 0].tolist() == [[[1, 2], [5, -1]], [[3, 4], [6, -1]]]


def test_masks_stay_masks_when_filled_up() -> None:
    stacked = pad_stack([torch.ones(1, 1, 2, dtype=torch.bool), torch.ones(1, 1, 1, dtype=torch.bool)], False)
    assert stacked.dtype == torch.bool
    assert stacked[:, 0, 0].tolist() == [[True, True], [True, False]]


def test_the_mismatch_of_an_engine_is_of_sampled_tokens_only() -> None:
    # one prompt, two rollouts of one and two tokens: d is 0.5 in the one, 0 and −1 in the other
    engine = torch.tensor([[[-1.0, 9.0], [-2.0, -3.0]]])
    recomputed = torch.tensor([[[-1.5, -9.0], [-2.0, -2.0]]])
    found = engine_mismatch(engine, recomputed, torch.tensor([[[True, False], [True, True]]]))
    assert float(found.mean) == pytest.approx((0.5 + 0.5) / 2)
    assert float(found.largest) == 1
    k3 = (math.exp(-0.5) - 0.5, math.exp(1) - 2)  # exp(−d) − 1 + d at d = 0.5 and at d = −1
    assert float(found.kl) == pytest.approx((k3[0] + k3[1] / 2) / 2)
