import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hacrl_lab.seeding import RandomStream, StepStream, Stream

seeds = st.integers(0, 2**40)
keys = st.lists(st.integers(0, 2**20), max_size=4)


@settings(derandomize=True, deadline=None)
@given(st.lists(seeds, min_size=1, max_size=4), keys)
def test_row_of_a_batch_is_the_stream_of_its_seed_alone(batch: list[int], key: list[int]) -> None:
    together = RandomStream(batch, *key)
    draws = together.uniform(2, 3), together.integers(7, 4), together.permutation(5)
    for row, seed in enumerate(batch):
        alone = RandomStream(seed, *key)
        expected = alone.uniform(2, 3), alone.integers(7, 4), alone.permutation(5)
        assert all(torch.equal(draw[row], other) for draw, other in zip(draws, expected, strict=True))


@settings(derandomize=True, deadline=None)
@given(seeds, keys)
def test_streams_are_the_same_only_for_the_same_seed_and_key(seed: int, key: list[int]) -> None:
    def first_draws(seed: int, *key: int) -> list[float]:
        return RandomStream(seed, *key).uniform(4).tolist()

    assert first_draws(seed, *key) == first_draws(seed, *key)
    for other in ((seed + 1, *key), (seed, *key, 0), (seed, *key, 1), (seed, 0, *key, 2)):
        assert first_draws(seed, *key) != first_draws(*other)


def test_zeros_in_a_key_make_a_stream_of_its_own() -> None:
    # step 0's prompts, agent 0's rollouts in step 0, the table of answers ... all of the run with seed 3
    streams = [RandomStream(3, *key).uniform(4) for key in [(), (0,), (0, 0), (0, 0, 0), (1,), (1, 0), (0, 1)]]
    assert len({tuple(draw.tolist()) for draw in streams}) == 7


def test_every_purpose_has_a_key_of_its_own_that_no_step_has() -> None:
    # members with one value would be one member under two names
    assert len(Stream.__members__) == len(set(Stream)) > 1
    assert len(StepStream.__members__) == len(set(StepStream)) > 1
    assert min(Stream) >= 2**31


def test_a_key_of_the_registry_is_its_number() -> None:
    for key in (*Stream, *StepStream):
        assert torch.equal(RandomStream(3, key, 1).uniform(4), RandomStream(3, int(key), 1).uniform(4))


def test_stream_goes_on() -> None:
    stream = RandomStream(0)
    assert not torch.equal(stream.uniform(4), stream.uniform(4))


def test_one_seed_has_no_leading_axis_and_a_list_has() -> None:
    assert RandomStream(5).uniform(2, 3).shape == (2, 3)
    assert RandomStream([5]).uniform(2, 3).shape == (1, 2, 3)
    assert RandomStream([5, 6]).integers(4, 2).shape == (2, 2)
    assert RandomStream((5, 6)).permutation(4).shape == (2, 4)


def test_draws_have_the_range_and_type_that_they_promise() -> None:
    stream = RandomStream([0, 1])
    uniform, integers, permutation = stream.uniform(1000), stream.integers(3, 1000), stream.permutation(50)
    assert uniform.dtype == torch.float64
    assert 0 <= uniform.min() < 0.05
    assert 0.95 < uniform.max() < 1
    assert (integers.dtype, integers.unique().tolist()) == (torch.int64, [0, 1, 2])
    assert torch.equal(permutation.sort(-1).values, torch.arange(50).expand(2, 50))
    assert not torch.equal(permutation[0], torch.arange(50))


def test_numpy_generator_is_the_streams_own() -> None:
    numbers = RandomStream(4, 2).numpy.random(3)
    assert numbers.tolist() == RandomStream(4, 2).uniform(3).tolist()


def test_several_seeds_have_no_single_generator() -> None:
    with pytest.raises(ValueError, match="this stream draws for 2 seeds at once; it has no single generator"):
        _ = RandomStream([0, 1]).numpy


def test_global_generators_are_left_alone() -> None:
    torch_state, numpy_state = torch.get_rng_state(), pickle.dumps(np.random.get_state())  # noqa: NPY002 - the global one
    RandomStream([0, 1], 3).uniform(5)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert pickle.dumps(np.random.get_state()) == numpy_state  # noqa: NPY002
