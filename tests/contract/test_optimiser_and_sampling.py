"""What a user of other trainers expects of a language model: decay, adapters by name, schedules, sampling settings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from contract_trainer import one_step
from kinds import LANGUAGE, SETTINGS, ChanceWorld, G, Kind, P
from test_language_models import model_agent
from torch import Tensor

from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import SettingError
from hacrl_lab.evaluation import evaluate
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.learning_rates import LearningRateSchedule
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.sampling import Sampling
from hacrl_lab.seeding import RandomStream
from hacrl_lab.trainer import Trainer
from hacrl_lab.worlds import TextPrompts

every_family = pytest.mark.parametrize("kind", LANGUAGE, indirect=True)
one_family = pytest.mark.parametrize("kind", ["qwen3"], indirect=True)


def weights(agent: CausalLMAgent) -> list[Tensor]:
    return [weight.detach().clone() for weight in agent.trained().values()]


def trained(kind: Kind, **changes: Any) -> tuple[list[Tensor], CausalLMAgent]:
    """The weights before a step of two optimiser steps, whatever their gradients, and the agent after it."""
    agent = model_agent(kind, **changes)
    before = weights(agent)
    config = TrainingConfig(P, G, minibatches=2, empty_updates="step")
    Trainer([agent], ChanceWorld(kind), "gspo", config, 0).step()
    return before, agent


@one_family
def test_a_constant_rate_changes_nothing(kind: Kind) -> None:
    _, plain = trained(kind)
    _, constant = trained(kind, learning_rate_schedule=LearningRateSchedule("constant", 0, 7))
    assert plain.optimizer.param_groups[0]["lr"] == SETTINGS.learning_rate
    assert all(torch.equal(a, b) for a, b in zip(weights(plain), weights(constant), strict=True))


@one_family
def test_the_rate_is_that_of_the_training_step_however_many_updates_it_has(kind: Kind) -> None:
    """Step 1 of a warm-up over 3 steps has a quarter of the rate in all its updates: as with a quarter of the rate."""
    _, warming = trained(kind, learning_rate_schedule=LearningRateSchedule(warmup_steps=3))
    _, quarter = trained(kind, learning_rate=SETTINGS.learning_rate / 4)
    assert warming.optimizer.param_groups[0]["lr"] == SETTINGS.learning_rate / 4
    assert all(torch.equal(a, b) for a, b in zip(weights(warming), weights(quarter), strict=True))


@one_family
def test_the_rate_is_stateless(kind: Kind, tmp_path: Path) -> None:
    """A fresh agent that loads a checkpoint has the rate of its next step, whatever the optimiser had before."""
    _, agent = trained(kind, learning_rate_schedule=LearningRateSchedule("linear", 0, 4))
    agent.save(tmp_path)
    resumed = model_agent(kind, learning_rate_schedule=LearningRateSchedule("linear", 0, 4))
    resumed.load(tmp_path)
    one_step(resumed, kind, "gspo")
    one_step(agent, kind, "gspo")
    assert all(torch.equal(a, b) for a, b in zip(weights(agent), weights(resumed), strict=True))


@one_family
def test_decay_takes_its_share_of_the_rate_off_every_weight(kind: Kind) -> None:
    """AdamW: w ← (1 − lr·λ)·w − lr·(...), where (...) depends on gradients only; two updates in a step."""
    rate, decay = 1e-3, 0.5
    before, plain = trained(kind, learning_rate=rate)
    _, decayed = trained(kind, learning_rate=rate, weight_decay=decay)
    # the second update's gradients are at other weights, but differ little; what is decayed is 2·lr·λ = 1e-3 of w
    largest = max(range(len(before)), key=lambda k: float(before[k].norm()))
    shrunk = weights(plain)[largest] - weights(decayed)[largest]
    share = float((shrunk * before[largest]).sum() / before[largest].square().sum())
    assert share == pytest.approx(2 * rate * decay, rel=0.05)


@one_family
@pytest.mark.parametrize("lora_rank", [0, 2])
def test_without_a_gradient_nothing_decays_and_the_sampler_is_not_told(kind: Kind, lora_rank: int) -> None:
    if lora_rank:
        pytest.importorskip("peft")
    _, agent = trained(kind, weight_decay=0.5, lora_rank=lora_rank)
    told, before = [], weights(agent)
    agent._sampler.weights_changed = lambda: told.append("changed")
    assert float(agent.apply_gradients()) == 0
    assert all(torch.equal(a, b) for a, b in zip(weights(agent), before, strict=True))
    assert not told
    assert float(agent.apply_gradients("step")) == 0
    assert not all(torch.equal(a, b) for a, b in zip(weights(agent), before, strict=True))
    assert told


@one_family
def test_adapters_are_put_where_they_are_asked_for(kind: Kind) -> None:
    pytest.importorskip("peft")
    everywhere = model_agent(kind, lora_rank=2)
    some = model_agent(kind, lora_rank=2, lora_alpha=5, lora_targets=("q_proj", "v_proj"))
    places = {name.split(".lora_")[0].rpartition(".")[-1] for name in some.trained()}
    assert places == {"q_proj", "v_proj"}
    assert len(some.trained()) < len(everywhere.trained())
    scale = [agent.model.peft_config["default"].lora_alpha for agent in (everywhere, some)]
    assert scale == [4, 5]


@one_family
def test_a_layer_that_the_model_does_not_have_is_named_beside_those_it_has(kind: Kind) -> None:
    pytest.importorskip("peft")
    names = "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"
    with pytest.raises(SettingError, match=f"^lora_targets must be among {names}, got 'query'$"):
        model_agent(kind, lora_rank=2, lora_targets=("q_proj", "query"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_decay": -0.1}, r"weight_decay must be a number ≥ 0, got -0\.1"),
        ({"lora_rank": 2, "lora_alpha": 0}, "lora_alpha must be ≥ 1, got 0"),
        ({"lora_targets": ("q_proj",)}, "lora_alpha and lora_targets need lora_rank > 0, got 0"),
    ],
)
@one_family
def test_impossible_settings_are_refused(kind: Kind, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        model_agent(kind, **changes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, r"temperature must be a number > 0, got 0\.0; top_k = 1 is greedy"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0\.0"),
        ({"top_p": 1.5}, r"top_p must be in \(0, 1\], got 1\.5"),
        ({"top_k": -1}, "top_k must be ≥ 0, got -1"),
    ],
)
def test_impossible_sampling_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Sampling(**settings)


@every_family
def test_the_likeliest_token_alone_is_greedy(kind: Kind) -> None:
    agent, prompts = model_agent(kind), kind.prompts()
    greedy = agent.generate_greedily(prompts)
    likeliest = agent.generate(prompts, 2, kind.stream(), Sampling(top_k=1))
    assert likeliest.responses == [[text, text] for (text,) in greedy.responses]


@one_family
def test_default_settings_sample_as_training_does(kind: Kind) -> None:
    agent, prompts = model_agent(kind), kind.prompts()
    assert torch.equal(
        agent.generate(prompts, 3, kind.stream()).own_tokens[0],
        agent.generate(prompts, 3, kind.stream(), Sampling()).own_tokens[0],
    )


DRAWS = 4000
RATE = 1e-6
"""Chance that a test of frequencies fails although the sampler is right; the seeds are fixed."""


def first_tokens(kind: Kind, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """A model's distribution of the first token of an answer, and how often each was drawn: (V,) each.

    Its output layer is made smaller, so that many tokens have a chance.
    """
    agent = model_agent(kind, max_new_tokens=1)
    with torch.no_grad():
        agent.model.get_output_embeddings().weight.mul_(0.2)
    prompt = TextPrompts([kind.prompts().questions[0]], [()])
    ids = torch.tensor([agent.tokenizer(agent.codec.prompt(prompt.questions[0]))["input_ids"]])
    chances = agent.model(input_ids=ids).logits[0, -1].detach().double().softmax(-1)
    tokens = agent.generate(prompt, DRAWS, RandomStream(0, 5), sampling).own_tokens[0].flatten()
    return chances, torch.bincount(tokens, minlength=len(chances)).double() / DRAWS


def nucleus(chances: Tensor, top_p: float) -> Tensor:
    """The fewest likeliest tokens whose chances add up to at least top_p, renormalised."""
    order = chances.argsort(descending=True)
    before = chances[order].cumsum(-1) - chances[order]
    kept = torch.zeros_like(chances)
    kept[order[before < top_p]] = 1
    return chances * kept / (chances * kept).sum()


@one_family
@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), lambda chances: chances),
        (Sampling(top_p=0.5), lambda chances: nucleus(chances, 0.5)),
        (Sampling(temperature=0.5), lambda chances: chances**2 / (chances**2).sum()),
        (Sampling(temperature=2.0), lambda chances: chances**0.5 / (chances**0.5).sum()),
        (Sampling(temperature=0.5, top_p=0.5), lambda chances: nucleus(chances**2 / (chances**2).sum(), 0.5)),
        (Sampling(top_k=3), lambda chances: chances * (chances >= chances.topk(3).values[-1])),
    ],
    ids=["as-in-training", "top-p", "cold", "hot", "cold-top-p", "top-k"],
)
def test_tokens_come_from_the_distribution_that_is_asked_for(kind: Kind, sampling: Sampling, expected: Any) -> None:
    """By Hoeffding, |frequency − chance| > sqrt(ln(2V/RATE)/(2N)) for any of V tokens has a chance of at most RATE.

    So has that of the likeliest half of the tokens, as a whole.
    """
    chances, frequencies = first_tokens(kind, sampling)
    assert chances.max() < 0.5
    target = expected(chances) / expected(chances).sum()
    bound = math.sqrt(math.log(2 * len(chances) / RATE) / (2 * DRAWS))
    assert float((frequencies - target).abs().max()) < bound
    assert not frequencies[target == 0].any()
    half = nucleus(chances, 0.5) > 0
    assert abs(float((frequencies - target)[half].sum())) < bound
    if sampling.temperature < 1:
        assert (frequencies**2).sum() > (chances**2).sum()


class LengthWorld:
    """Rewards the length of a text."""

    def sample_prompts(self, count: int, stream: RandomStream) -> TextPrompts:
        raise NotImplementedError

    def verify(self, prompts: TextPrompts, rollouts: RolloutBatch) -> Tensor:
        return torch.tensor([[float(len(text)) for text in group] for group in rollouts.responses])


@one_family
def test_an_evaluation_samples_as_it_is_told(kind: Kind) -> None:
    agent, prompts, world = model_agent(kind), kind.prompts(), LengthWorld()
    greedy = world.verify(prompts, agent.generate_greedily(prompts))
    told = evaluate([agent], world, prompts, 3, 0, Sampling(top_k=1))["a"]
    assert told.tolist() == greedy.mean(-1).tolist()
