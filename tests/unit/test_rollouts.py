import torch

from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch, pad_stack, take_prompts


def test_length_is_the_number_of_tokens_in_the_mask() -> None:
    mask = torch.tensor([[[True, True, False], [True, True, True]]])
    batch = RolloutBatch([["ab", "abc"]], torch.tensor([[True, False]]), torch.zeros(1, 2, 3, dtype=torch.int64), mask)
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


def test_selection_takes_the_same_prompts_of_every_array() -> None:
    # entry = 100·sampler + 10·prompt + group member, for two samplers, three prompts, two members, one token
    sampler, prompt, member = (torch.arange(size) for size in (2, 3, 2))
    tokens = (100 * sampler[:, None, None] + 10 * prompt[:, None] + member).unsqueeze(-1)
    contexts = 10 * prompt.unsqueeze(-1)
    encoded = EncodedRollouts(contexts, contexts > 0, tokens, tokens > 100)
    part = encoded.select(torch.tensor([2, 1]))
    assert part.contexts.tolist() == [[20], [10]]
    assert part.tokens.squeeze(-1).tolist() == [[[20, 21], [10, 11]], [[120, 121], [110, 111]]]
    assert torch.equal(part.context_mask, part.contexts > 0)
    assert torch.equal(part.mask, part.tokens > 100)


def test_selection_of_every_seed_is_its_own() -> None:
    tokens = torch.arange(12).reshape(2, 1, 3, 2, 1)  # (seeds, n, P, G, T)
    contexts = torch.arange(6).reshape(2, 3, 1)
    encoded = EncodedRollouts(contexts, contexts >= 0, tokens, tokens >= 0)
    part = encoded.select(torch.tensor([[0], [2]]))
    assert part.contexts.flatten().tolist() == [0, 5]
    assert part.tokens.squeeze(-1).tolist() == [[[[0, 1]]], [[[10, 11]]]]


def test_shorter_responses_are_filled_up_at_their_end() -> None:
    # two seeds, P = G = 1, two tokens and one: the samplers' axis comes third from the prompts' end
    stacked = pad_stack([torch.tensor([[[[1, 2]]], [[[3, 4]]]]), torch.tensor([[[[5]]], [[[6]]]])], -1)
    assert stacked.shape == (2, 2, 1, 1, 2)
    assert stacked[:, :, 0, 0].tolist() == [[[1, 2], [5, -1]], [[3, 4], [6, -1]]]


def test_masks_stay_masks_when_filled_up() -> None:
    stacked = pad_stack([torch.ones(1, 1, 2, dtype=torch.bool), torch.ones(1, 1, 1, dtype=torch.bool)], False)
    assert stacked.dtype == torch.bool
    assert stacked[:, 0, 0].tolist() == [[True, True], [True, False]]
