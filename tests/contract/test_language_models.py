"""What the contract means for language models: texts, stop tokens, left-padded prompts, plain forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from kinds import LANGUAGE, SETTINGS, G, Kind, P
from pools import pool_log_probs
from torch import Tensor

from hacrl_lab.errors import LabError
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.language_models.loading import load_agent
from hacrl_lab.language_models.prompting import Prompting
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.worlds import TextPrompts

every_family = pytest.mark.parametrize("kind", LANGUAGE, indirect=True)


def model_agent(kind: Kind, name: str = "a", **changes: object) -> CausalLMAgent:
    """A fresh agent, some of its settings changed."""
    folder = kind.folders[LANGUAGE.index(kind.name)]
    return load_agent(folder, name, replace(SETTINGS, **changes))  # type: ignore[arg-type]


WAYS = pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "checkpointed"])
"""Activations in the backward pass."""


def texts(responses: Sequence[Sequence[str]], finished: object, sampler: str = "b") -> RolloutBatch:
    return RolloutBatch(sampler, responses, torch.tensor(finished))


def plain_log_probs(agent: CausalLMAgent, question: str, response: list[int]) -> Tensor:
    """One forward pass over prompt and response, nothing padded and nothing cached."""
    prompt = agent.tokenizer(agent.codec.prompt(question))["input_ids"]
    logits = agent.model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1)[torch.arange(len(response)), response]


def assert_scored_plainly(agent: CausalLMAgent, prompts: TextPrompts, pool: EncodedRollouts, rows: Tensor) -> None:
    """The scores of some rows, scored together, are those of plain forward passes."""
    _, count, group = pool.pool_shape
    for row, score in zip(rows.tolist(), agent.token_log_probs(pool, rows), strict=True):
        mask, tokens = (values.flatten(0, 2)[row] for values in (pool.mask, pool.tokens))
        expected = plain_log_probs(agent, str(prompts.questions[row // group % count]), tokens[mask].tolist())
        torch.testing.assert_close(score[mask], expected, rtol=0, atol=1e-4)


@every_family
def test_prompts_fit_that_leave_room_for_a_response(kind: Kind) -> None:
    codec = model_agent(kind).codec
    assert codec.room == 48 - 12
    questions = ["8" * digits for digits in range(1, 120)]
    lengths = dict(zip(questions, codec.prompt_lengths(questions), strict=True))
    longest, shortest = (next(one for one in questions if lengths[one] == length) for length in (36, 37))
    assert codec.fits([longest, shortest]) == [True, False]
    assert codec.prompts([longest, "8"])[1].sum(-1).tolist() == [36, lengths["8"]]
    with pytest.raises(LabError, match="leaves room for 36"):
        codec.prompts([shortest])


@every_family
def test_a_greedy_response_is_the_likeliest_token_at_every_place_up_to_the_stop_token(kind: Kind) -> None:
    agent, prompts = model_agent(kind), kind.prompts()
    batch = agent.generate_greedily(prompts)
    tokens, mask = batch.own_tokens
    assert tokens.shape[:2] == (P, 1)
    for question, row, keep, finished in zip(prompts.questions, tokens, mask, batch.finished, strict=True):
        response = row[keep].tolist()
        prompt = agent.tokenizer(agent.codec.prompt(question))["input_ids"]
        logits = agent.model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
        assert response == logits.argmax(-1).tolist()
        assert (response[-1] == agent.codec.end_token) == bool(finished)
        assert agent.codec.end_token not in response[:-1]


@every_family
def test_a_finished_text_ends_with_the_learners_own_stop_token(kind: Kind) -> None:
    learner = model_agent(kind)
    encoded = learner.encode(kind.prompts(), [texts([["\\boxed{16}"] * G] * P, [[True, False, True]] * P)])
    finished = torch.tensor([[True, False, True]] * P)
    lengths = encoded.mask[0].sum(-1)
    assert torch.equal(lengths[:, 0] - lengths[:, 1], torch.ones(P, dtype=torch.int64))
    last = encoded.tokens[0].gather(-1, (lengths - 1).unsqueeze(-1)).squeeze(-1)
    for token, done in zip(last.flatten().tolist(), finished.flatten().tolist(), strict=True):
        assert (token == learner.tokenizer.eos_token_id) == done
    whole = learner.tokenizer.decode(encoded.tokens[0, 0, 1][encoded.mask[0, 0, 1]])
    assert whole == "\\boxed{16}"


@every_family
def test_others_texts_are_encoded_each_in_its_place(kind: Kind) -> None:
    learner, prompts = model_agent(kind), TextPrompts(["8+8", "10+12"], [()] * 2)
    words = [["8", "16+1", "\\boxed{9}"], ["10+12", "", "2"]]
    encoded = learner.encode(prompts, [texts(words, [[True] * 3] * 2)])
    end = learner.tokenizer.eos_token
    for p, group in enumerate(words):
        for i, text in enumerate(group):
            assert learner.tokenizer.decode(encoded.tokens[0, p, i][encoded.mask[0, p, i]]) == text + str(end)
    assert set(encoded.tokens[~encoded.mask].tolist()) == {cast(int, learner.tokenizer.pad_token_id)}


@every_family
def test_a_text_that_spells_the_stop_token_does_not_stop(kind: Kind) -> None:
    learner = model_agent(kind)
    spelled = f"16{learner.tokenizer.eos_token}8"
    encoded = learner.encode(TextPrompts(["8+8"], [()]), [texts([[spelled]], [[True]])])
    tokens = encoded.tokens[encoded.mask].tolist()
    assert tokens.index(learner.codec.end_token) == len(tokens) - 1
    assert learner.tokenizer.decode(tokens[:-1]) == spelled


@every_family
def test_own_rollouts_are_not_encoded_anew_from_their_texts(kind: Kind) -> None:
    """A model may say in two tokens what its tokenizer writes as one."""
    agent, prompts = model_agent(kind), TextPrompts(["8+8"], [()])
    apart = [token for letter in "\\boxed{16}" for token in agent.tokenizer(letter)["input_ids"]]
    assert len(apart) > len(agent.tokenizer("\\boxed{16}")["input_ids"])
    tokens = torch.tensor([[apart]])
    mask = torch.ones_like(tokens, dtype=torch.bool)
    own = RolloutBatch("a", [["\\boxed{16}"]], torch.tensor([[False]]), tokens, mask)
    encoded = agent.encode(prompts, [texts([["\\boxed{16}"]], [[False]]), own])
    assert encoded.mask.sum(-1).flatten().tolist() == [len(agent.tokenizer("\\boxed{16}")["input_ids"]), len(apart)]
    assert torch.equal(encoded.tokens[1], tokens)


@every_family
def test_what_was_said_is_shared_without_special_tokens_and_says_whether_it_ended(kind: Kind) -> None:
    agent, prompts = model_agent(kind, max_new_tokens=7), kind.prompts()
    with torch.no_grad():
        cast(Any, agent.model.get_output_embeddings()).weight.mul_(0.4)  # says more than it learnt
    batch = agent.generate(prompts, 20, kind.stream())
    tokens, mask = batch.own_tokens
    end = agent.tokenizer.eos_token_id
    stopped = (tokens == end) & mask
    assert torch.equal(batch.finished, stopped.any(-1))
    assert bool(batch.finished.any())
    assert not bool(batch.finished.all())
    assert torch.equal(stopped.sum(-1), batch.finished.long())  # the first one ends the response
    assert bool((batch.lengths[~batch.finished] == 7).all())
    for p in range(P):
        for i in range(20):
            said = tokens[p, i][mask[p, i] & ~stopped[p, i]]
            assert batch.responses[p][i] == agent.tokenizer.decode(said, skip_special_tokens=True)


@every_family
def test_every_stop_token_of_the_model_ends_a_response(kind: Kind) -> None:
    agent, prompts = model_agent(kind), kind.prompts()
    (brace,) = agent.tokenizer("}")["input_ids"]
    assert agent.model.generation_config is not None
    agent.model.generation_config.eos_token_id = [brace]
    batch = agent.generate(prompts, 10, kind.stream())
    tokens, mask = batch.own_tokens
    last = tokens.gather(-1, (batch.lengths - 1).unsqueeze(-1)).squeeze(-1)
    assert bool((last[batch.finished] == brace).any())
    assert not bool((tokens[..., :-1][mask[..., 1:]] == brace).any())  # nothing comes after it


@every_family
def test_the_engine_reports_the_probabilities_that_the_model_recomputes(kind: Kind) -> None:
    agent, prompts = model_agent(kind), kind.prompts()
    batch = agent.generate(prompts, G, kind.stream())
    recomputed = pool_log_probs(agent, agent.encode(prompts, [batch]))[0].detach()
    mask = batch.own_tokens[1]
    assert batch.engine_log_probs is not None
    torch.testing.assert_close(batch.engine_log_probs[mask], recomputed[..., : mask.shape[-1]][mask], rtol=0, atol=1e-4)


@WAYS
@every_family
def test_scores_equal_a_plain_forward_pass_over_prompt_and_response(kind: Kind, checkpointing: bool) -> None:
    agent, prompts = model_agent(kind, checkpointing=checkpointing), kind.prompts()
    foreign = texts([["\\boxed{16}", "8", "10+12 = 22"]] * P, [[True, False, True]] * P)
    pool = agent.encode(prompts, [agent.generate(prompts, G, kind.stream()), foreign])
    assert_scored_plainly(agent, prompts, pool, pool.rows())


@WAYS
@every_family
def test_rows_of_some_prompts_read_those_prompts_only(kind: Kind, checkpointing: bool) -> None:
    """The prompts of a pass are read once each, in another order than its rows."""
    agent, prompts = model_agent(kind, checkpointing=checkpointing), kind.prompts()
    pool = agent.encode(prompts, [texts([["16", "\\boxed{8}", "7"]] * P, [[True] * G] * P)])
    # rows of prompts 3, 1, 3, 1, 3; the shortest and the longest are not among them
    assert_scored_plainly(agent, prompts, pool, torch.tensor([10, 4, 11, 3, 9]))


@every_family
def test_prompts_of_one_token_are_scored_alone_and_beside_longer_ones(kind: Kind) -> None:
    agent, prompts = model_agent(kind, prompting=Prompting("{question}")), TextPrompts(["8", "10+12", "9"], [()] * 3)
    assert len(agent.tokenizer("8")["input_ids"]) == 1
    pool = agent.encode(prompts, [texts([["16", "\\boxed{8}"]] * 3, [[True, False]] * 3)])
    assert_scored_plainly(agent, prompts, pool, pool.rows())
    assert_scored_plainly(agent, prompts, pool, torch.tensor([4, 1, 0]))  # of the prompts "9", "8" and "8" only


@WAYS
@every_family
def test_a_pass_of_nothing_but_empty_texts_has_no_scores(kind: Kind, checkpointing: bool) -> None:
    """A response without a visible token that was cut off: it has no tokens in another vocabulary."""
    agent, prompts = model_agent(kind, checkpointing=checkpointing), TextPrompts(["8+8", "10+12"], [()] * 2)
    pool = agent.encode(prompts, [texts([["", ""], ["16", ""]], [[False, False], [True, False]])])
    assert pool.mask.sum(-1).tolist() == [[[0, 0], [len(agent.tokenizer("16")["input_ids"]) + 1, 0]]]
    for rows in ([0], [0, 1, 3], [2, 0]):
        scores = agent.token_log_probs(pool, torch.tensor(rows))
        assert scores.shape == (len(rows), pool.tokens.shape[-1])
        assert bool(torch.isfinite(scores).all())
        scores.sum().backward()


@WAYS
@every_family
def test_gradients_are_those_of_a_plain_forward_pass(kind: Kind, checkpointing: bool) -> None:
    agent, plain = model_agent(kind, checkpointing=checkpointing), model_agent(kind)
    prompts = kind.prompts()
    pool = agent.encode(prompts, [texts([["16", "\\boxed{8}", "7"]] * P, [[True] * G] * P)])
    torch.where(pool.mask, pool_log_probs(agent, pool), 0).sum().backward()
    for p, question in enumerate(prompts.questions):
        for i in range(G):
            plain_log_probs(plain, question, pool.tokens[0, p, i][pool.mask[0, p, i]].tolist()).sum().backward()
    for ours, theirs in zip(agent.model.parameters(), plain.model.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-3)


@every_family
def test_gradients_are_clipped_to_their_norm_and_the_norm_before_is_told(kind: Kind) -> None:
    norms = []
    for bound in (1e9, 0.5):
        agent, prompts = model_agent(kind, max_grad_norm=bound), kind.prompts()
        pool = agent.encode(prompts, [texts([["16"] * G] * P, [[True] * G] * P)])
        pool_log_probs(agent, pool).sum().backward()
        applied: list[float] = []
        step = agent.optimizer.step

        def record(agent: CausalLMAgent = agent, applied: list[float] = applied, step: object = step) -> None:
            squares = [float(value.grad.square().sum()) for value in agent.model.parameters() if value.grad is not None]
            applied.append(sum(squares) ** 0.5)

        agent.optimizer.step = record  # type: ignore[method-assign, assignment]
        norms.append((float(agent.apply_gradients()), applied[0]))
    (free, as_it_is), (before, clipped) = norms
    assert free == pytest.approx(as_it_is, rel=1e-4) == pytest.approx(before, rel=1e-4)
    assert free > 1
    assert clipped == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("kind", ["qwen3", "llama"], indirect=True)
def test_a_models_own_sampling_defaults_are_not_used(kind: Kind) -> None:
    plain, tempted = model_agent(kind), model_agent(kind)
    assert tempted.model.generation_config is not None
    tempted.model.generation_config.update(do_sample=True, temperature=0.1, top_k=1, repetition_penalty=5.0)
    (ours, _), (theirs, _) = (one.generate(kind.prompts(), G, kind.stream()).own_tokens for one in (plain, tempted))
    assert torch.equal(ours, theirs)
    assert tempted.model.generation_config.top_k == 1  # kept


@pytest.mark.parametrize("kind", ["llama"], indirect=True)
def test_a_tokenizer_without_pad_token_works(kind: Kind) -> None:
    agent, prompts = model_agent(kind), kind.prompts()
    agent.tokenizer.pad_token = None
    bare = CausalLMAgent("a", agent.model, agent.tokenizer, replace(SETTINGS, max_new_tokens=8))
    batch = bare.generate(prompts, G, kind.stream())
    mask = batch.own_tokens[1]
    recomputed = pool_log_probs(bare, bare.encode(prompts, [batch]))[0].detach()
    assert batch.engine_log_probs is not None
    torch.testing.assert_close(batch.engine_log_probs[mask], recomputed[..., : mask.shape[-1]][mask], rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["qwen3"], indirect=True)
def test_what_does_not_fit_into_the_context_is_refused(kind: Kind) -> None:
    agent = model_agent(kind, max_new_tokens=40)  # the context is 48
    fits, long = TextPrompts(["8+8"], [()]), TextPrompts(["8+8", "12345678+87654321"], [()] * 2)
    agent.codec.prompts(fits.questions)
    with pytest.raises(LabError, match=r"^prompt '12345678\+87654321' takes \d+ tokens of agent 'a', but its"):
        agent.codec.prompts(long.questions)
    with pytest.raises(LabError, match=r"^a prompt with a shared response takes \d+ tokens of agent 'a', whose"):
        agent.encode(fits, [texts([["1" * 60]], [[True]])])


@every_family
def test_gradients_are_the_same_in_every_run_however_many_threads_add_them_up(kind: Kind) -> None:
    agent = model_agent(kind)
    prompts = TextPrompts([f"{a}+{b}" for a in range(8, 16) for b in range(8, 13)], [()] * 40)
    answers = [f"\\boxed{{{number}}}" for number in range(8, 40)]
    pool = agent.encode(prompts, [texts([answers] * 40, [[True] * 32] * 40)])
    rows = pool.rows()[torch.randperm(1280, generator=torch.Generator().manual_seed(0))]  # a prompt's rows lie apart
    threads, found = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        for _ in range(4):
            agent.model.zero_grad()
            agent.token_log_probs(pool, rows).sum().backward()
            gradients = [cast(Tensor, one.grad).flatten() for one in agent.model.parameters()]
            found.append(torch.cat(gradients))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, found[0]) for one in found)
