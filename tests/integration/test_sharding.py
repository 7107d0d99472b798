"""An agent whose model is divided among two processes by FSDP2: it learns as one process does.

Needs the extra ``ray``; skipped where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from contract.kinds import SETTINGS
from torch import Tensor
from transformers import AutoModelForCausalLM

from hacrl_lab.agents.state import STEM
from hacrl_lab.checkpoint import load_part
from hacrl_lab.importance import mean_log_prob
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.language_models.loading import load_agent
from hacrl_lab.language_models.sharding import Ranks
from hacrl_lab.learner import LearnerBatch
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.schedules import mixed
from hacrl_lab.seeding import RandomStream
from hacrl_lab.worlds import TextPrompts

pytest.importorskip("ray")
from hacrl_lab.engines.ray import RayEngine, RemoteAgent

pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("one_thread_everywhere")]

PROMPTS = TextPrompts(["8+8", "10+12", "9+11", "12+12", "8+12"], [()] * 5)
G = 3
RANKS = 2
ONE = replace(SETTINGS, checkpointing=True, tokens_per_pass=40)
TWO = replace(ONE, ranks=RANKS)


VARIANTS = {"all weights": {}, "adapter": {"lora_rank": 4}, "offload": {"offload": True}}


@pytest.fixture(scope="module", params=VARIANTS)
def both(request: pytest.FixtureRequest, adders: list[str]) -> Iterator[tuple[CausalLMAgent, RemoteAgent]]:
    """The same agent in this process and on two ranks."""
    if request.param == "adapter":
        pytest.importorskip("peft")
    one, two = (replace(settings, **VARIANTS[request.param]) for settings in (ONE, TWO))
    with RayEngine({"a": partial(load_agent, adders[0], "a", two)}, ranks=RANKS) as engine:
        agents = load_agent(adders[0], "a", one), engine.agents[0]
        for agent in agents:
            agent.set_reference()
        yield agents


def fixed_batch(agent: CausalLMAgent | RemoteAgent, rollouts: RolloutBatch, method: str) -> LearnerBatch:
    """Own rollouts and another agent's, of which two prompts' contribute nothing, in one update."""
    count = len(PROMPTS.questions)
    plan = mixed(torch.arange(count), 1, 2, 0)
    old = agent.score(PROMPTS, rollouts, plan, 0)
    means = mean_log_prob(old, rollouts.own_tokens[1])
    others = [[f"\\boxed{{{10 + i + j}}}" for j in range(G)] for i in range(count)]
    signs = torch.tensor([1.0, -1.0, 0.5])
    advantages = signs.expand(2, count, G) * torch.tensor([1.0, 0, 1, 0, 1])[:, None]
    return LearnerBatch(
        prompts=PROMPTS,
        pool=[rollouts, RolloutBatch("bb", others, torch.ones(count, G, dtype=torch.bool))],
        learner=0,
        old_log_probs=old,
        sampler_mean_log_probs=torch.stack([means, means - 0.1]),
        advantages=advantages,
        capability_ratios=torch.ones(2, 2),
        plan=plan,
        method=method,
        settings=ObjectiveSettings(kl_weight=0.1),
        step=1,
    )


def saved(agent: CausalLMAgent | RemoteAgent, folder: Path) -> dict[str, Tensor]:
    """Parameters and moments by name."""
    folder.mkdir()
    agent.save(folder)
    return load_part(folder / STEM)[0]


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Within 1e-6; weights where the gradient is not 0 but for rounding, of which AdamW would take the sign."""
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        certain = ours[f"exp_avg/{name.split('/', 1)[1]}"].abs() > 1e-6
        a, b = (one[certain] if name.startswith("parameter/") else one for one in (value, theirs[name]))
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_two_ranks_learn_from_a_fixed_pool_as_one_and_read_each_others_checkpoints(
    both: tuple[CausalLMAgent, RemoteAgent], tmp_path: Path
) -> None:
    local, remote = both
    rollouts = local.generate(PROMPTS, G, RandomStream(0))
    saved(local, tmp_path / "start")
    local.update(fixed_batch(local, rollouts, "hacpo"))
    moved = saved(local, tmp_path / "moved")  # away from the reference
    remote.load(tmp_path / "moved")
    batch = fixed_batch(local, rollouts, "hacpo")
    ours, theirs = (agent.update(batch).updates[0] for agent in both)
    assert float(ours.gradient_norm) > 1e-3
    for name in ("gradient_norm", "sequence_ratios"):
        torch.testing.assert_close(getattr(theirs, name), getattr(ours, name), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(theirs.value.value, ours.value.value, rtol=0, atol=1e-6)
    mine, divided = saved(local, tmp_path / "one"), saved(remote, tmp_path / "two")
    assert_close(mine, divided)
    assert any(not torch.equal(mine[name], value) for name, value in moved.items())
    local.load(tmp_path / "two")
    remote.load(tmp_path / "one")
    for agent, expected, folder in ((local, divided, "a"), (remote, mine, "b")):
        again = saved(agent, tmp_path / folder)
        assert all(torch.equal(again[name], value) for name, value in expected.items())
    for agent in both:
        agent.load(tmp_path / "start")


def test_two_ranks_skip_an_update_without_a_gradient_together(
    both: tuple[CausalLMAgent, RemoteAgent], tmp_path: Path
) -> None:
    local, remote = both
    batch = fixed_batch(local, local.generate(PROMPTS, G, RandomStream(0)), "hacpo")
    nothing = replace(batch, advantages=torch.zeros_like(batch.advantages), settings=ObjectiveSettings())
    saved(remote, tmp_path / "start")
    remote.update(batch)  # AdamW has moments
    before = saved(remote, tmp_path / "before")
    assert float(remote.update(nothing).updates[0].gradient_norm) == 0
    after = saved(remote, tmp_path / "after")
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert float(remote.update(batch).updates[0].gradient_norm) > 0  # the ranks are still in step
    remote.load(tmp_path / "start")


def test_two_ranks_answer_all_prompts_and_score_what_they_sampled(both: tuple[CausalLMAgent, RemoteAgent]) -> None:
    local, remote = both
    batch = remote.generate(PROMPTS, G, RandomStream(1))
    mask = batch.own_tokens[1]
    assert [len(group) for group in batch.responses] == [G] * len(PROMPTS.questions)
    plan = mixed(torch.arange(len(PROMPTS.questions)), 1, 1, 0)
    theirs, mine = (agent.score(PROMPTS, batch, plan, 0)[mask] for agent in (remote, local))
    assert batch.engine_log_probs is not None
    torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-5)
    torch.testing.assert_close(batch.engine_log_probs[mask], mine, rtol=0, atol=1e-4)
    ratios = remote.update(fixed_batch(remote, batch, "gspo")).updates[0].sequence_ratios[0]
    assert torch.equal(ratios, torch.ones_like(ratios))


def test_two_ranks_read_a_prompt_once_and_score_what_they_sampled(adders: list[str]) -> None:
    agent = partial(load_agent, adders[0], "a", replace(TWO, generation="grouped"))
    unusual = TextPrompts(["8", "+", "10+12", "9+", "88"], [()] * 5)
    with RayEngine({"a": agent}, ranks=RANKS) as engine:
        batch = engine.agents[0].generate(unusual, G, RandomStream(1))
    mask = batch.own_tokens[1]
    assert len(set(mask.sum(-1).flatten().tolist())) > 1  # ranks wait for each other
    scores = load_agent(adders[0], "a", ONE).score(unusual, batch, mixed(torch.arange(5), 1, 1, 0), 0)
    assert batch.engine_log_probs is not None
    torch.testing.assert_close(batch.engine_log_probs[mask], scores[mask], rtol=0, atol=2e-5)


def test_two_ranks_leave_an_ordinary_checkpoint(
    both: tuple[CausalLMAgent, RemoteAgent], adders: list[str], tmp_path: Path
) -> None:
    local, remote = both
    saved_by_both = []
    local.load(_checkpoint(remote, tmp_path / "state"))
    for name, agent in (("one", local), ("two", remote)):
        agent.save_pretrained(tmp_path / name)
        model = AutoModelForCausalLM.from_pretrained(tmp_path / name, dtype=torch.float32)
        saved_by_both.append(model.state_dict())
    assert all(torch.equal(value, saved_by_both[1][name]) for name, value in saved_by_both[0].items())


def _checkpoint(agent: RemoteAgent, folder: Path) -> Path:
    saved(agent, folder)
    return folder


@pytest.mark.parametrize("size", [1, 2, 5, 6])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_shares_are_equally_long_and_cover_everything(size: int, count: int) -> None:
    shares = [Ranks(rank, count).share(size) for rank in range(count)]
    assert len({len(share) for share in shares}) == 1
    assert torch.stack(shares, 1).flatten()[:size].tolist() == list(range(size))
