import itertools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import pool_log_probs
from scipy import stats
from torch import Tensor

from hacrl_lab.agents.tabular import TabularAgent, table_rows
from hacrl_lab.errors import CheckpointError, NonFiniteError
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.seeding import RandomStream


def random_agent(
    contexts: int, actions: int, length: int, seed: int = 0, leading: tuple[int, ...] = ()
) -> TabularAgent:
    generator = torch.Generator().manual_seed(seed)
    space = ResponseSpace(actions, length)
    shape = *leading, contexts, space.prefixes, actions
    return TabularAgent("table", torch.randn(shape, generator=generator, dtype=torch.float64), space)


def all_sequences(actions: int, length: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(actions), repeat=length)))


def encoded(contexts: Tensor, tokens: Tensor) -> EncodedRollouts:
    """Contexts (..., P) and tokens (..., n, P, G, T), all of them part of the responses."""
    contexts = contexts.unsqueeze(-1)
    return EncodedRollouts(contexts, torch.ones_like(contexts).bool(), tokens, torch.ones_like(tokens).bool())


def batch_of(actions: Tensor) -> RolloutBatch:
    return RolloutBatch("somebody", actions, torch.ones_like(actions[..., 0], dtype=torch.bool))


def test_log_prob_is_read_from_the_row_of_context_and_prefix() -> None:
    # two contexts, length 2, two actions: rows for no prefix, prefix 0, prefix 1; softmax of ln w is w over its sum
    weights = torch.tensor([[[1, 3], [1, 1], [2, 3]], [[1, 7], [9, 1], [1, 4]]], dtype=torch.float64)
    agent = TabularAgent("table", weights.log(), ResponseSpace(2, 2))
    tokens = torch.tensor([[[[1, 0]], [[0, 1]]]])  # context 0 answers 1, 0 and context 1 answers 0, 1
    probabilities = pool_log_probs(agent, encoded(torch.tensor([0, 1]), tokens)).exp()
    expected = torch.tensor([[[[3 / 4, 2 / 5]], [[1 / 8, 1 / 10]]]], dtype=torch.float64)
    torch.testing.assert_close(probabilities, expected, rtol=1e-15, atol=0)


def test_rollouts_of_several_samplers_are_scored_alike() -> None:
    agent, contexts = random_agent(3, 2, 2), torch.tensor([2, 0])
    tokens = torch.tensor([[[[0, 1]], [[1, 1]]], [[[1, 0]], [[0, 0]]]])  # n = 2, P = 2, G = 1
    together = pool_log_probs(agent, encoded(contexts, tokens))
    for sampler in range(2):
        alone = pool_log_probs(agent, encoded(contexts, tokens[[sampler]]))
        assert torch.equal(together[sampler : sampler + 1], alone)


def test_rows_are_scored_in_the_order_asked_for() -> None:
    # row 1 is the second prompt's only response by sampler 0, row 2 the first prompt's by sampler 1
    space = ResponseSpace(2, 3, stops=True)
    generator = torch.Generator().manual_seed(0)
    agent = TabularAgent("t", torch.randn(2, space.prefixes, 3, generator=generator, dtype=torch.float64), space)
    responses = [torch.tensor([[[0, 1, 0]], [[2, 0, 0]]]), torch.tensor([[[1, 2, 0]], [[1, 1, 1]]])]
    pool = agent.encode(torch.tensor([1, 0]), [batch_of(actions) for actions in responses])
    everything = pool_log_probs(agent, pool).flatten(0, 2)
    some = agent.token_log_probs(pool, torch.tensor([2, 1]))
    assert torch.equal(some, everything[[2, 1]])


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.integers(0, 2), st.integers(0, 1000))
def test_listed_probabilities_are_the_scores_of_the_listed_responses(
    symbols: int, length: int, stops: bool, memory: int, seed: int
) -> None:
    space = ResponseSpace(symbols, length, stops)
    rows = (space.prefixes, space.length, 1)[memory]
    generator = torch.Generator().manual_seed(seed)
    agent = TabularAgent("t", torch.randn(2, rows, space.actions, generator=generator, dtype=torch.float64), space)
    pool = agent.encode(torch.tensor([0, 1]), [batch_of(space.tokens.expand(2, -1, -1))])
    assert torch.equal(pool.mask[0], space.mask.expand(2, -1, -1))
    scores = torch.where(pool.mask, pool_log_probs(agent, pool), 0).sum(-1)
    listed = agent.response_log_probs()
    torch.testing.assert_close(listed, scores[0].detach(), rtol=0, atol=1e-13)
    assert ((listed.exp().sum(-1) - 1).abs() <= 1e-12).all()


def test_each_kind_of_table_remembers_what_it_says() -> None:
    # letters 0 and 1, stop 2, at most three actions: after "0", after "1" and at the second position
    space = ResponseSpace(2, 3, stops=True)
    tokens = torch.tensor([[0, 1, 2], [1, 1, 2]])
    assert table_rows(space, 7, tokens).tolist() == [[0, 1, 4], [0, 2, 6]]
    assert table_rows(space, 3, tokens).tolist() == [[0, 1, 2]] * 2
    assert table_rows(space, 1, tokens).tolist() == [[0, 0, 0]] * 2


def test_an_agent_stops_where_it_says_so() -> None:
    # stops with certainty after a 1 and never after a 0: "1 stop", "0 1 stop", "0 0 0" and "0 0 1" cut off
    row = torch.log(torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]] + [[0.5, 0.5, 0]] + [[0, 0, 1.0]] * 3))
    space = ResponseSpace(2, 3, stops=True)
    batch = TabularAgent("t", row.unsqueeze(0), space).generate(torch.tensor([0]), 400, RandomStream(0))
    own_tokens, masks = batch.own_tokens
    seen = {
        (tuple(tokens[mask].tolist()), bool(done))
        for tokens, mask, done in zip(own_tokens[0], masks[0], batch.finished[0], strict=True)
    }
    assert seen == {((1, 2), True), ((0, 1, 2), True), ((0, 0, 0), False), ((0, 0, 1), False)}
    assert (own_tokens[~masks] == 0).all()
    assert torch.equal(batch.responses, own_tokens)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 1000))
def test_probabilities_of_all_sequences_sum_to_one(actions: int, length: int, seed: int) -> None:
    agent = random_agent(2, actions, length, seed)
    tokens = all_sequences(actions, length).expand(1, 2, -1, -1)  # every sequence, as the group of both contexts
    sequence_probabilities = pool_log_probs(agent, encoded(torch.tensor([0, 1]), tokens)).sum(-1).exp()
    assert ((sequence_probabilities.sum(-1) - 1).abs() <= 1e-12).all()


def test_samples_follow_the_softmax() -> None:
    # chi-square over the nine sequences of each of two contexts; a right sampler fails one of them with 1e-6 at most
    agent, draws = random_agent(2, 3, 2, seed=1), 20_000
    rollouts = agent.generate(torch.tensor([1, 0]), draws, RandomStream(0))
    sequences = all_sequences(3, 2)
    counts = (rollouts.responses.unsqueeze(-2) == sequences).all(-1).sum(-2)
    probabilities = pool_log_probs(agent, encoded(torch.tensor([1, 0]), sequences.expand(1, 2, -1, -1))).sum(-1).exp()
    expected = draws * probabilities[0].detach()
    chi_square = ((counts - expected) ** 2 / expected).sum(-1)
    assert counts.sum() == 2 * draws
    assert (chi_square < stats.chi2.isf(0.5e-6, df=8)).all()


def test_impossible_actions_are_never_sampled() -> None:
    logits = torch.tensor([-torch.inf, 0, -torch.inf, 0, -torch.inf], dtype=torch.float64).reshape(1, 1, 5)
    rollouts = TabularAgent("table", logits, ResponseSpace(5, 1)).generate(torch.tensor([0]), 2000, RandomStream(0))
    assert rollouts.responses.unique().tolist() == [1, 3]


def test_smallest_uniform_number_skips_impossible_actions() -> None:
    class Zeros(RandomStream):
        def uniform(self, *shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64)

    logits = torch.tensor([-torch.inf, 0, 0]).reshape(1, 1, 3)
    rollouts = TabularAgent("table", logits, ResponseSpace(3, 1)).generate(torch.tensor([0]), 1, Zeros(0))
    assert rollouts.responses.item() == 1


def test_rollouts_are_whole_and_finished() -> None:
    rollouts = random_agent(2, 3, 4).generate(torch.tensor([0, 1, 1]), 5, RandomStream(0))
    tokens, mask = rollouts.own_tokens
    assert tokens.shape == mask.shape == (3, 5, 4)
    assert mask.all()
    assert rollouts.finished.shape == (3, 5)
    assert rollouts.finished.all()
    assert torch.equal(rollouts.responses, tokens)
    assert rollouts.sampler == "table"


def test_same_stream_gives_the_same_rollouts() -> None:
    agent, prompts = random_agent(2, 3, 4), torch.tensor([0, 1])
    first, second, other = (agent.generate(prompts, 8, RandomStream(0, key)).responses for key in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_seeds_that_advance_together_do_what_each_does_alone() -> None:
    agent, prompts = random_agent(2, 3, 2, leading=(4,)), torch.tensor([[0, 1], [1, 0], [0, 0], [1, 1]])
    rollouts = agent.generate(prompts, 6, RandomStream(range(4), 9))
    log_probs = pool_log_probs(agent, agent.encode(prompts, [rollouts]))
    for seed in range(4):
        alone = TabularAgent("table", agent.logits[seed].detach(), ResponseSpace(3, 2))
        alone_rollouts = alone.generate(prompts[seed], 6, RandomStream(seed, 9))
        assert torch.equal(rollouts.responses[seed], alone_rollouts.responses)
        alone_log_probs = pool_log_probs(alone, alone.encode(prompts[seed], [alone_rollouts]))
        assert torch.equal(log_probs[seed], alone_log_probs)


def test_encoding_stacks_samplers_and_fills_up_shorter_responses() -> None:
    pool = [batch_of(torch.tensor([[[1, 1]], [[0, 1]]])), batch_of(torch.tensor([[[1]], [[1]]]))]
    rollouts = random_agent(3, 2, 2).encode(torch.tensor([2, 0]), pool)
    assert rollouts.contexts.tolist() == [[2], [0]]
    assert rollouts.context_mask.all()
    assert rollouts.tokens[:, :, 0].tolist() == [[[1, 1], [0, 1]], [[1, 0], [1, 0]]]
    assert rollouts.mask[:, :, 0].tolist() == [[[True, True], [True, True]], [[True, False], [True, False]]]


def test_gradient_of_a_log_prob_is_one_hot_minus_probabilities() -> None:
    # d log softmax(x)[a]/dx = 1[a] − p with p = 1/4, 3/4; only the row that was read has one
    agent = TabularAgent(
        "table", torch.tensor([[[0, math.log(3)]], [[0, 0]]], dtype=torch.float64), ResponseSpace(2, 1)
    )
    pool_log_probs(agent, encoded(torch.tensor([0]), torch.tensor([[[[1]]]]))).sum().backward()
    assert agent.logits.grad is not None
    torch.testing.assert_close(agent.logits.grad.tolist(), [[[-0.25, 0.25]], [[0.0, 0.0]]], rtol=1e-15, atol=1e-16)


def sgd_agent(seeds: int) -> TabularAgent:
    logits = torch.zeros(seeds, 1, 1, 2, dtype=torch.float64)
    return TabularAgent(
        "table", logits, ResponseSpace(2, 1), optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.5)
    )


def test_step_descends_the_loss_and_returns_each_seeds_norm() -> None:
    agent = sgd_agent(seeds=2)
    (agent.logits * torch.tensor([[[[3, 4]]], [[[0, -2]]]])).sum().backward()
    assert agent.apply_gradients().tolist() == [5, 2]
    assert agent.logits.tolist() == [[[[-1.5, -2]]], [[[0, 1]]]]  # 0 − 0.5·gradient


def test_gradients_are_gathered_until_the_step_and_then_gone() -> None:
    agent = sgd_agent(seeds=1)
    for _ in range(2):
        agent.logits.sum().backward()
    agent.apply_gradients()
    agent.logits.sum().backward()
    agent.apply_gradients()
    assert agent.logits.flatten().tolist() == [-1.5, -1.5]  # −0.5·2, then −0.5·1


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_gradient_that_is_not_finite_changes_nothing(wrong: float) -> None:
    agent = sgd_agent(seeds=2)
    (agent.logits * torch.tensor([[[[1, 1]]], [[[wrong, 1]]]])).sum().backward()
    with pytest.raises(NonFiniteError, match="the gradient of agent 'table' is not finite; the update was not applied"):
        agent.apply_gradients()
    assert (agent.logits == 0).all()


def test_agent_continues_from_its_folder(tmp_path: Path) -> None:
    def adam_agent() -> TabularAgent:
        logits = torch.zeros(1, 1, 3, dtype=torch.float64)
        return TabularAgent(
            "table", logits, ResponseSpace(3, 1), optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.1)
        )

    def step(agent: TabularAgent, weights: list[float]) -> None:
        (agent.logits * torch.tensor(weights)).sum().backward()
        agent.apply_gradients()

    first, second = adam_agent(), adam_agent()
    step(first, [1, 2, 3])
    first.save(tmp_path)
    second.load(tmp_path)
    for agent in (first, second):  # Adam's second step depends on its first
        step(agent, [-1, 5, 0.5])
    assert torch.equal(first.logits, second.logits)
    assert second.logits.requires_grad


def test_initial_logits_are_copied() -> None:
    logits = torch.zeros(1, 1, 2)
    agent = TabularAgent("table", logits, ResponseSpace(2, 1))
    logits += 1
    assert (agent.logits == 0).all()


@pytest.mark.parametrize("shape", [(1, 3, 3), (1, 5, 3), (1, 4, 2)])
def test_table_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    message = r"logits must have shape \(\.\.\., rows, 3\) with 4 rows \(one per prefix\), 2 .* got"
    with pytest.raises(ValueError, match=message):
        TabularAgent("table", torch.zeros(shape), ResponseSpace(3, 2))


def test_a_folder_of_a_table_of_another_shape_is_refused(tmp_path: Path) -> None:
    random_agent(2, 3, 1).save(tmp_path)
    with pytest.raises(CheckpointError, match="holds another agent"):
        random_agent(3, 3, 1).load(tmp_path)
