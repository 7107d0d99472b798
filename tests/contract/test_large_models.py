"""What large models need: low precision, adapters, chat templates, bounded generation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from contract_trainer import one_step
from kinds import LANGUAGE, SETTINGS, G, Kind
from pools import pool_log_probs
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from hacrl_lab.errors import ModelLoadError
from hacrl_lab.importance import mean_log_prob, sequence_importance_ratio
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.language_models.loading import load_agent, load_codec
from hacrl_lab.language_models.pretrained import read_tokenizer
from hacrl_lab.language_models.prompting import Prompting
from hacrl_lab.schedules import mixed
from hacrl_lab.seeding import RandomStream
from hacrl_lab.worlds import TextPrompts

every_family = pytest.mark.parametrize("kind", LANGUAGE, indirect=True)
ways = pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "checkpointed"])
qwen3 = pytest.mark.parametrize("kind", ["qwen3"], indirect=True)
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}<|assistant|>"
    "{% if not enable_thinking %}<think></think>{% endif %}"
)


def agent_of(kind: Kind, **changes: Any) -> CausalLMAgent:
    return load_agent(kind.folders[LANGUAGE.index(kind.name)], "a", replace(SETTINGS, **changes))


# bfloat16


@ways
@every_family
def test_in_low_precision_the_first_own_ratio_is_exactly_1_with_the_plan_of_the_update(
    kind: Kind, checkpointing: bool
) -> None:
    agent = agent_of(kind, compute_dtype="bfloat16", tokens_per_pass=64, checkpointing=checkpointing)
    metrics = one_step(agent, kind, "gspo")
    assert float(metrics["initial_self_ratio_error/a"]) == 0
    assert float(metrics["gradient_norm/a"]) > 0


@qwen3
def test_in_low_precision_another_plan_gives_another_ratio(kind: Kind) -> None:
    """Why the plan is shared: the same rollouts, scored in other passes, by a model wide enough for sums to be cut."""
    small = agent_of(kind)
    shape = {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2, "num_attention_heads": 8}
    settings = small.model.config.to_dict() | shape | {"head_dim": 64, "initializer_range": 0.04, "layer_types": None}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen3ForCausalLM(Qwen3Config(**settings))
    agent = CausalLMAgent("a", model, small.tokenizer, replace(SETTINGS, compute_dtype="bfloat16"))
    prompts = kind.prompts()
    rollouts = agent.generate(prompts, 8, kind.stream())
    plan = mixed(torch.arange(len(prompts.questions)), 1, 1, 0)
    scores = []
    for budget in (400, 400, 40):
        agent.tokens_per_pass = budget
        scores.append(mean_log_prob(agent.score(prompts, rollouts, plan, 0), rollouts.own_tokens[1]))
    assert bool((sequence_importance_ratio(scores[0], scores[1]) == 1).all())
    error = (sequence_importance_ratio(scores[0], scores[2]) - 1).abs().max()
    assert float(error) > 1e-5  # in float32 it would be some 1e-7


@every_family
def test_weights_and_moments_stay_in_float32(kind: Kind) -> None:
    agent = agent_of(kind, compute_dtype="bfloat16", learning_rate=1e-6)
    before = [one.detach().clone() for one in agent.model.parameters()]
    one_step(agent, kind, "gspo")
    after = list(agent.model.parameters())
    assert {one.dtype for one in after} == {torch.float32}
    moments = [state["exp_avg"].dtype for state in agent.optimizer.state.values()]
    assert set(moments) == {torch.float32}
    changed = sum(int((a != b).sum()) for a, b in zip(before, after, strict=True))
    rounded = sum(int((a.bfloat16() != b.bfloat16()).sum()) for a, b in zip(before, after, strict=True))
    assert changed > 10 * rounded  # most of so small a step would be lost in bfloat16


# Adapters


@pytest.mark.extras
@ways
@every_family
def test_only_the_adapter_is_trained_and_it_begins_by_changing_nothing(kind: Kind, checkpointing: bool) -> None:
    plain, agent = agent_of(kind), agent_of(kind, lora_rank=4, checkpointing=checkpointing)
    prompts = kind.prompts()
    pool = plain.encode(prompts, [plain.generate(prompts, G, kind.stream())])
    torch.testing.assert_close(pool_log_probs(agent, pool), pool_log_probs(plain, pool), rtol=0, atol=1e-5)
    frozen = {name: one.detach().clone() for name, one in agent.model.named_parameters() if not one.requires_grad}
    one_step(agent, kind, "gspo")
    assert all("lora_" in name for name in agent.trained())
    assert all(torch.equal(one, frozen[name]) for name, one in agent.model.named_parameters() if name in frozen)
    assert not torch.allclose(pool_log_probs(agent, pool), pool_log_probs(plain, pool), rtol=0, atol=1e-5)


@pytest.mark.extras
@every_family
def test_an_adapter_equals_its_merged_model_and_loads_again(kind: Kind, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    agent = agent_of(kind, lora_rank=4, learning_rate=0.05)
    one_step(agent, kind, "gspo")
    prompts = kind.prompts()
    pool = agent.encode(prompts, [agent.generate(prompts, G, kind.stream())])
    mine = pool_log_probs(agent, pool).detach()
    agent.save_pretrained(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(kind.folders[LANGUAGE.index(kind.name)], dtype=torch.float32)
    reloaded = peft.PeftModel.from_pretrained(base, tmp_path).eval()
    for model in (reloaded, reloaded.merge_and_unload()):
        other = CausalLMAgent("a", model.requires_grad_(), agent.tokenizer, SETTINGS)
        torch.testing.assert_close(pool_log_probs(other, pool).detach(), mine, rtol=0, atol=1e-5)


@pytest.mark.extras
@every_family
def test_an_adapters_folder_stands_for_the_model_that_was_trained(kind: Kind, tmp_path: Path) -> None:
    agent = agent_of(kind, lora_rank=4, learning_rate=0.05)
    one_step(agent, kind, "gspo")
    agent.save_pretrained(tmp_path)
    prompts = kind.prompts()
    pool = agent.encode(prompts, [agent.generate(prompts, G, kind.stream())])
    loaded = load_agent(str(tmp_path), "a", SETTINGS)
    mine = pool_log_probs(agent, pool).detach()
    torch.testing.assert_close(pool_log_probs(loaded, pool).detach(), mine, rtol=0, atol=1e-5)
    assert not torch.allclose(pool_log_probs(agent_of(kind), pool), mine, atol=1e-3)
    assert load_codec(str(tmp_path), "a", SETTINGS).room == agent.codec.room
    for path in tmp_path.glob("tokenizer*"):  # as peft itself leaves an adapter
        path.unlink()
    assert read_tokenizer(str(tmp_path)).get_vocab() == agent.tokenizer.get_vocab()
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelLoadError, match=r"adapter_config\.json' does not say which model its adapter belongs to$"):
        load_agent(str(tmp_path), "a", SETTINGS)


@pytest.mark.extras
@every_family
def test_the_reference_of_an_adapter_is_the_model_without_it(kind: Kind) -> None:
    plain, agent = agent_of(kind), agent_of(kind, lora_rank=4, learning_rate=0.05)
    agent.set_reference()
    one_step(agent, kind, "gspo")
    prompts = kind.prompts()
    pool = plain.encode(prompts, [plain.generate(prompts, G, kind.stream())])
    with agent.reference(), torch.no_grad():
        torch.testing.assert_close(pool_log_probs(agent, pool), pool_log_probs(plain, pool), rtol=0, atol=1e-5)


# Chat templates


@qwen3
def test_a_chat_template_gets_the_system_prompt_and_whether_to_think(kind: Kind) -> None:
    tokenizer = agent_of(kind).tokenizer
    tokenizer.chat_template = TEMPLATE
    model = agent_of(kind).model
    asked = {
        thinking: CausalLMAgent(
            "a",
            model,
            tokenizer,
            replace(SETTINGS, prompting=Prompting("{question} Box it.", "Be brief.", thinking)),
        ).codec.prompt("8+8")
        for thinking in (False, True)
    }
    assert asked[True] == "<|system|>Be brief.<|user|>8+8 Box it.<|assistant|>"
    assert asked[False] == asked[True] + "<think></think>"


@qwen3
def test_a_system_prompt_without_a_chat_template_is_refused(kind: Kind) -> None:
    with pytest.raises(ModelLoadError, match="no chat template for a system prompt"):
        agent_of(kind, prompting=Prompting("{question}", "Be brief."))


@qwen3
def test_others_see_all_of_a_thinking_block(kind: Kind) -> None:
    agent = agent_of(kind)
    text = "<think>8 and 8</think>\\boxed{16}"
    tokens, mask = agent.codec.prompts([text])
    assert agent.codec.decode(tokens[None], mask[None]) == [[text + "\n"]]


# Generation


@every_family
def test_generation_in_batches_has_bounded_rows_and_the_same_probabilities(kind: Kind) -> None:
    agent, prompts = agent_of(kind, rows_at_once=5), kind.prompts()
    rows: list[int] = []
    handle = agent.model.register_forward_pre_hook(
        lambda _, __, inputs: rows.append(inputs["input_ids"].shape[0]), with_kwargs=True
    )
    batch = agent.generate(prompts, G, kind.stream())
    handle.remove()
    assert max(rows) == 5
    assert sum(rows) >= len(prompts.questions) * G
    mask = batch.own_tokens[1]
    scores = pool_log_probs(agent, agent.encode(prompts, [batch]))[0].detach()
    assert batch.engine_log_probs is not None
    torch.testing.assert_close(batch.engine_log_probs[mask], scores[..., : mask.shape[-1]][mask], rtol=0, atol=1e-4)


@qwen3
def test_the_rows_of_a_batch_belong_to_their_prompts(kind: Kind) -> None:
    """Answers to 8+8 and to 9+9 differ; batches end within a group."""
    agent = agent_of(kind, rows_at_once=4)
    prompts = TextPrompts(["8+8", "9+9", "8+8"], [()] * 3)
    alone = [agent.generate(TextPrompts([q], [()]), 40, RandomStream(0)) for q in ("8+8", "9+9")]
    together = agent.generate(prompts, 40, RandomStream(1))
    said = [set(batch.responses[0]) for batch in alone]
    shares = [sum(text in said[0] for text in group) for group in together.responses]
    assert min(shares[0], shares[2]) > shares[1]
