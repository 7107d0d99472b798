"""What a language model's work costs is found without its weights: counts, memory and seconds."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from kinds import LANGUAGE, SETTINGS, G, Kind
from transformers import AutoConfig

from hacrl_lab.errors import ModelLoadError
from hacrl_lab.language_models.costs import (
    AgentSeconds,
    Work,
    agent_memory,
    agent_seconds,
    sampling_peaks,
    updating_peaks,
    with_layers,
)
from hacrl_lab.language_models.loading import agent_without_values, layers_of, load_agent, untrained_agent

every_family = pytest.mark.parametrize("kind", LANGUAGE, indirect=True)
ways = pytest.mark.parametrize(
    "changes",
    [
        {},
        {"checkpointing": True},
        {"compute_dtype": "bfloat16"},
        pytest.param({"lora_rank": 4}, marks=pytest.mark.extras),
        pytest.param({"lora_rank": 4, "checkpointing": True}, marks=pytest.mark.extras),
    ],
    ids=["plain", "checkpointing", "bfloat16", "adapter", "adapter-checkpointing"],
)


def source_of(kind: Kind) -> str:
    return kind.folders[LANGUAGE.index(kind.name)]


def work_of(kind: Kind) -> Work:
    prompts = kind.prompts()
    return Work(prompts, G, prompts.questions[1], (5, 12))


@ways
@every_family
def test_what_is_counted_without_weights_is_what_the_loaded_model_has(kind: Kind, changes: dict[str, Any]) -> None:
    settings = replace(SETTINGS, tokens_per_pass=64, **changes)
    agent = load_agent(source_of(kind), "a", settings)
    found = agent_memory(source_of(kind), settings, work_of(kind))
    parameters = list(agent.model.parameters())
    assert found.parameters == sum(one.numel() for one in parameters)
    assert found.trained == sum(one.numel() for one in parameters if one.requires_grad)
    assert found.weights == sum(one.nbytes for one in [*parameters, *agent.model.buffers()])
    for one in parameters:
        one.grad = torch.ones_like(one) if one.requires_grad else None
    agent.apply_gradients()
    moments = [state[name] for state in agent.optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    assert found.moments == sum(one.nbytes for one in moments)


@ways
@every_family
def test_peaks_without_values_are_those_of_the_loaded_model(kind: Kind, changes: dict[str, Any]) -> None:
    settings, work = replace(SETTINGS, tokens_per_pass=64, **changes), work_of(kind)
    loaded = load_agent(source_of(kind), "a", settings)
    empty = agent_without_values(source_of(kind), "a", settings)
    with torch.random.fork_rng():
        for rows in work.side_by_side:
            assert sampling_peaks(empty, work, rows) == sampling_peaks(loaded, work, rows)
    assert updating_peaks(empty, work) == updating_peaks(loaded, work)


@pytest.mark.parametrize("kind", ["qwen3"], indirect=True)
def test_checkpointing_takes_less_for_activations_and_a_larger_pass_more(kind: Kind) -> None:
    found = {
        (budget, checkpointing): agent_memory(
            source_of(kind), replace(SETTINGS, tokens_per_pass=budget, checkpointing=checkpointing), work_of(kind)
        ).updating["activations"]
        for budget in (32, 256)
        for checkpointing in (False, True)
    }
    assert found[256, False] > 3 * found[32, False]
    assert found[256, True] < found[256, False]


@every_family
def test_nothing_but_configuration_and_tokenizer_is_read(kind: Kind, tmp_path: Path) -> None:
    folder = tmp_path / "no-weights"
    shutil.copytree(source_of(kind), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    work = work_of(kind)
    assert agent_memory(str(folder), SETTINGS, work) == agent_memory(source_of(kind), SETTINGS, work)
    seconds = agent_seconds(str(folder), SETTINGS, work)
    assert seconds.learned_row > 0
    assert set(seconds.answers) == {5, 12}


@every_family
def test_a_shorter_model_lacks_layers_and_nothing_else(kind: Kind) -> None:
    whole, short = (untrained_agent(source_of(kind), "a", SETTINGS, layers) for layers in (2, 1))
    loaded = load_agent(source_of(kind), "a", SETTINGS)
    shapes = [{name: one.shape for name, one in agent.trained().items()} for agent in (loaded, whole, short)]
    assert layers_of(source_of(kind)) == 2
    assert shapes[1] == shapes[0]
    assert {name for name in shapes[0] if name not in shapes[2]} == {name for name in shapes[0] if ".1." in name}


@pytest.mark.parametrize(
    ("architecture", "own", "cost", "what"),
    [
        ("mixtral", {"num_local_experts": 4}, agent_memory, "memory"),
        ("lfm2", {"layer_types": ["conv", "full_attention"]}, agent_seconds, "time"),
    ],
)
@pytest.mark.parametrize("kind", LANGUAGE[:1], indirect=True)
def test_what_cannot_be_planned_is_one_sentence(
    kind: Kind, tmp_path: Path, architecture: str, own: dict[str, Any], cost: Any, what: str
) -> None:
    shutil.copytree(source_of(kind), tmp_path / "model")
    known = AutoConfig.from_pretrained(tmp_path / "model")
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 48}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": known.vocab_size}
    ends = {"eos_token_id": known.eos_token_id, "bos_token_id": None, "pad_token_id": None}
    AutoConfig.for_model(architecture, **shape, **heads, **ends, **own).save_pretrained(tmp_path / "model")
    with pytest.raises(ModelLoadError, match=rf"^the {what} of '.*model' cannot be planned, since ") as raised:
        cost(str(tmp_path / "model"), SETTINGS, work_of(kind))
    assert "\n" not in str(raised.value)


def test_seconds_are_on_a_line_through_those_of_shorter_models() -> None:
    timed = {1: AgentSeconds(1.0, 3.0, 0.5, {8: 10.0}), 4: AgentSeconds(2.5, 9.0, 0.2, {8: 16.0})}
    # 31 layers: start + 30/3 of the difference; a step that took less with more layers counts as equal
    assert with_layers(31, timed) == AgentSeconds(16.0, 63.0, 0.5, {8: 70.0})
    assert with_layers(4, timed).answers == {8: 16.0}
    assert with_layers(1, {1: timed[1]}) == timed[1]
