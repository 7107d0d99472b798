import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hacrl_lab.responses import ResponseSpace

spaces = st.builds(ResponseSpace, st.integers(1, 4), st.integers(1, 4), st.booleans())


def test_responses_of_a_fixed_length_are_all_strings_of_that_length() -> None:
    space = ResponseSpace(symbols=3, length=2)
    assert space.tokens.tolist() == [list(string) for string in itertools.product(range(3), repeat=2)]
    assert space.mask.all()
    assert (space.actions, space.prefixes, space.size) == (3, 4, 9)


def test_responses_that_stop_are_all_strings_up_to_the_length() -> None:
    space = ResponseSpace(symbols=2, length=2, stops=True)
    said = [tokens[mask].tolist() for tokens, mask in zip(space.tokens, space.mask, strict=True)]
    assert said == [[2], [0, 2], [1, 2], [0, 0], [0, 1], [1, 0], [1, 1]]  # the last four are cut off: no stop
    assert space.lengths.tolist() == [1, 2, 2, 2, 2, 2, 2]
    assert (space.actions, space.prefixes, space.size) == (3, 3, 7)


def test_four_symbols_up_to_length_six_are_all_strings_of_zero_to_six_letters() -> None:
    assert ResponseSpace(4, 6, stops=True).size == sum(4**t for t in range(7)) == 5461


def test_prefixes_are_numbered_by_length_then_letters() -> None:
    # nothing: 0; one letter a: 1 + a; two letters a, b: 1 + 3 + 3a + b
    space = ResponseSpace(symbols=3, length=3)
    assert space.prefix_index(torch.tensor([[2, 1, 0], [0, 0, 2]])).tolist() == [[0, 3, 11], [0, 1, 4]]


def test_what_follows_a_stop_does_not_count() -> None:
    space = ResponseSpace(symbols=2, length=3, stops=True)
    assert space.mask_of(torch.tensor([[0, 2, 1], [2, 2, 2], [1, 0, 1]])).tolist() == [
        [True, True, False],
        [True, False, False],
        [True, True, True],
    ]
    assert space.number(torch.tensor([[0, 2, 1], [0, 2, 0]])).tolist() == [1, 1]


@settings(derandomize=True, deadline=None)
@given(spaces)
def test_responses_are_listed_in_the_order_of_their_numbers(space: ResponseSpace) -> None:
    assert torch.equal(space.number(space.tokens), torch.arange(space.size))
    assert space.tokens.shape == space.mask.shape == (space.size, space.length)


@settings(derandomize=True, deadline=None)
@given(spaces)
def test_every_prefix_has_one_number(space: ResponseSpace) -> None:
    index = space.prefix_index(space.tokens)
    numbers = {
        (int(n), tuple(y[:t].tolist()))
        for y, row, mask in zip(space.tokens, index, space.mask, strict=True)
        for t, n in enumerate(row)
        if mask[t]
    }
    assert sorted(number for number, _ in numbers) == list(range(space.prefixes))


@settings(derandomize=True, deadline=None)
@given(spaces)
def test_the_tree_of_responses_is_complete(space: ResponseSpace) -> None:
    # with equal chances for every action the probabilities of all responses add up to 1
    assert (float(space.actions) ** -space.lengths.double()).sum().item() == pytest.approx(1, rel=1e-12)


def test_a_table_is_looked_up_by_prompt_and_response() -> None:
    space = ResponseSpace(symbols=2, length=1)
    table = torch.tensor([[[10, 11], [20, 21]], [[30, 31], [40, 41]]])  # two seeds, two contexts, two responses
    prompts = torch.tensor([[1, 1, 0], [0, 1, 0]])
    tokens = torch.tensor([[[[0], [1]], [[1], [1]], [[0], [0]]]] * 2)
    expected = [[[20, 21], [21, 21], [10, 10]], [[30, 31], [41, 41], [30, 30]]]
    assert space.look_up(table, prompts, tokens).tolist() == expected


@pytest.mark.parametrize("sizes", [(0, 2), (2, 0)])
def test_impossible_sizes_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"symbols and length must be ≥ 1, got {sizes[0]} and {sizes[1]}"):
        ResponseSpace(*sizes)
