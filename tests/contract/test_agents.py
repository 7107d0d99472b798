"""One suite over every kind of agent: what the training loop relies on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from kinds import KINDS, PLAIN_ASCENT, G, Kind, LocalAgent, P
from pools import pool_log_probs
from torch import Tensor

from hacrl_lab.errors import NonFiniteError
from hacrl_lab.importance import mean_log_prob
from hacrl_lab.rollouts import EncodedRollouts
from hacrl_lab.schedules import EmptyUpdates

every_kind = pytest.mark.parametrize("kind", KINDS, indirect=True)


def own_pool(kind: Kind) -> tuple[LocalAgent, EncodedRollouts]:
    """An agent and a pool of its own rollouts."""
    agent, prompts = kind.make("a"), kind.prompts()
    return agent, agent.encode(prompts, [agent.generate(prompts, G, kind.stream())])


def scores_of(agent: LocalAgent, encoded: EncodedRollouts) -> Tensor:
    """Mean log-probability of every rollout."""
    return mean_log_prob(pool_log_probs(agent, encoded), encoded.mask)


@every_kind
def test_rollouts_have_the_promised_shapes_and_the_samplers_name(kind: Kind) -> None:
    batch = kind.make("a").generate(kind.prompts(), G, kind.stream())
    tokens, mask = batch.own_tokens
    leading = () if isinstance(kind.seeds, int) else (2,)
    assert batch.sampler == "a"
    assert batch.finished.shape == (*leading, P, G)
    assert tokens.shape == mask.shape
    assert tokens.shape[:-1] == batch.finished.shape
    assert bool((batch.lengths >= 1).all())
    assert torch.equal(mask, torch.arange(mask.shape[-1]) < batch.lengths.unsqueeze(-1))


@every_kind
def test_the_same_stream_gives_the_same_rollouts_and_another_gives_others(kind: Kind) -> None:
    agent, prompts = kind.make("a"), kind.prompts()
    global_state = torch.random.get_rng_state()
    (first, _), (again, _), (other, _) = (agent.generate(prompts, G, kind.stream(key)).own_tokens for key in (0, 0, 1))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)
    assert torch.equal(global_state, torch.random.get_rng_state())  # the library never touches the global stream


@every_kind
def test_own_rollouts_keep_their_sampled_tokens(kind: Kind) -> None:
    agent, prompts = kind.make("a"), kind.prompts()
    batch = agent.generate(prompts, G, kind.stream())
    encoded = agent.encode(prompts, [batch])
    tokens, mask = batch.own_tokens
    assert torch.equal(encoded.mask[..., 0, :, :, :], mask)
    assert torch.equal(encoded.tokens[..., 0, :, :, :][mask], tokens[mask])
    with_them = agent.encode(prompts, [kind.make("bb").generate(prompts, G, kind.stream(1)).shared(), batch])
    width = mask.shape[-1]
    assert torch.equal(with_them.mask[..., 1, :, :, :width], mask)
    assert torch.equal(with_them.tokens[..., 1, :, :, :width][mask], tokens[mask])
    assert not with_them.mask[..., 1, :, :, width:].any()


@every_kind
def test_what_others_share_is_enough_to_encode_it(kind: Kind) -> None:
    agent, prompts = kind.make("a"), kind.prompts()
    batch = kind.make("bb").generate(prompts, G, kind.stream())
    whole, shared = (agent.encode(prompts, [one]) for one in (batch, batch.shared()))
    for one, other in zip(arrays(whole), arrays(shared), strict=True):
        assert torch.equal(one, other)
    assert bool((shared.mask.sum(-1) >= 1).all())
    assert bool(torch.isfinite(scores_of(agent, shared)).all())


@every_kind
def test_scores_do_not_depend_on_which_rows_are_scored_together(kind: Kind) -> None:
    agent, encoded = own_pool(kind)
    leading = encoded.tokens.shape[:-4]
    whole, rows = agent.token_log_probs(encoded, encoded.rows()), encoded.rows()
    mask = encoded.mask.flatten(-4, -2)
    parts = [torch.tensor([index]) for index in range(P * G)] + [torch.arange(P * G).flip(-1), torch.tensor([7, 2, 7])]
    for part in parts:
        positions = part.expand(*leading, -1)
        some = agent.token_log_probs(encoded, rows.gather(-1, positions))
        assert some.shape == (*leading, len(part), encoded.tokens.shape[-1])
        expected, its_mask = whole[..., part, :], mask[..., part, :]
        torch.testing.assert_close(some[its_mask], expected[its_mask], rtol=0, atol=1e-5)


@every_kind
def test_scores_are_log_probabilities_with_gradients(kind: Kind) -> None:
    agent, encoded = own_pool(kind)
    scores = pool_log_probs(agent, encoded)
    assert bool((scores[encoded.mask] <= 0).all())
    assert bool(torch.isfinite(scores).all())
    assert scores.requires_grad


@every_kind
def test_a_score_does_not_depend_on_what_comes_after(kind: Kind) -> None:
    agent, encoded = own_pool(kind)
    scores = pool_log_probs(agent, encoded)
    for t in (1, 2):
        changed = encoded.tokens.clone()
        changed[..., t:] = changed[..., t:].roll(1, -3)  # other prompts' later tokens
        later = EncodedRollouts(encoded.contexts, encoded.context_mask, changed, encoded.mask, encoded.observations)
        before = encoded.mask & (torch.arange(encoded.mask.shape[-1]) < t)
        torch.testing.assert_close(pool_log_probs(agent, later)[before], scores[before], rtol=0, atol=1e-5)


@every_kind
def test_raising_the_score_of_a_rollout_raises_its_probability(kind: Kind) -> None:
    agent, encoded = own_pool(kind)
    before = scores_of(agent, encoded)
    (-before.sum()).backward()
    norm = agent.apply_gradients()
    assert norm.shape == encoded.tokens.shape[:-4]
    assert bool((norm > 0).all())
    assert float(scores_of(agent, encoded).detach().mean()) > float(before.detach().mean())


@every_kind
def test_gradients_are_used_up_by_a_step(kind: Kind) -> None:
    agent, encoded = own_pool(kind)
    scores_of(agent, encoded).sum().backward()
    assert bool((agent.apply_gradients() > 0).all())
    (0 * scores_of(agent, encoded).sum()).backward()
    assert bool((agent.apply_gradients() == 0).all())


def saved(agent: LocalAgent, folder: Path) -> dict[Path, bytes]:
    """What an agent writes: parameters, moments, counts of steps."""
    folder.mkdir()
    agent.save(folder)
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@every_kind
@pytest.mark.parametrize("idle", [True, False], ids=["no backward pass", "gradient 0"])
def test_without_a_gradient_nothing_changes_unless_a_step_is_asked_for(kind: Kind, idle: bool, tmp_path: Path) -> None:
    def without_gradient(empty: EmptyUpdates) -> None:
        if not idle:
            (0 * scores_of(agent, encoded).sum()).backward()
        assert bool((agent.apply_gradients(empty) == 0).all())

    agent, encoded = own_pool(kind)
    (-scores_of(agent, encoded).sum()).backward()
    agent.apply_gradients()
    before, scores = saved(agent, tmp_path / "before"), scores_of(agent, encoded)
    without_gradient("skip")
    unchanged = saved(agent, tmp_path / "after") == before  # which pytest need not explain byte by byte
    assert unchanged
    without_gradient("step")
    moves = not torch.equal(scores_of(agent, encoded), scores)
    assert moves == (kind.name not in PLAIN_ASCENT)  # Adam's momentum goes on, plain ascent rests


@every_kind
def test_a_gradient_that_is_not_finite_is_refused_and_changes_nothing(kind: Kind) -> None:
    agent, encoded = own_pool(kind)
    before = scores_of(agent, encoded)
    (before.sum() * torch.nan).backward()
    with pytest.raises(NonFiniteError, match=r"the gradient of agent 'a.*' is not finite; the update was not applied"):
        agent.apply_gradients()
    assert torch.equal(scores_of(agent, encoded), before)


def arrays(encoded: EncodedRollouts) -> list[Tensor]:
    seen = [] if encoded.observations is None else [encoded.observations]
    return [encoded.contexts, encoded.context_mask, encoded.tokens, encoded.mask, *seen]


@every_kind
def test_a_reference_is_the_policy_as_it_was_and_only_within_its_context(kind: Kind) -> None:
    agent, encoded = own_pool(kind)
    before = scores_of(agent, encoded)
    with pytest.raises(ValueError, match=r"set_reference\(\) must come before training"), agent.reference():
        pass
    agent.set_reference()
    (-scores_of(agent, encoded).sum()).backward()
    agent.apply_gradients()
    after = scores_of(agent, encoded)
    assert not torch.equal(before, after)
    with agent.reference(), torch.no_grad():
        torch.testing.assert_close(scores_of(agent, encoded), before, rtol=0, atol=0)
    assert torch.equal(scores_of(agent, encoded), after)
