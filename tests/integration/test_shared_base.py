"""Agents that train adapters beside the same base hold its weights once, and nobody can see it in their numbers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from contract.kinds import SETTINGS
from test_llm_pair import OPTIONS

from hacrl_lab.errors import ModelLoadError
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.language_models.loading import load_agent, load_agents
from hacrl_lab.seeding import RandomStream
from hacrl_lab.worlds import TextPrompts
from hacrl_runs.cli.main import plan, train

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.extras

LORA = replace(SETTINGS, lora_rank=2)
PROMPTS = TextPrompts(["8+8", "10+12"], [()] * 2)
every_family = pytest.mark.parametrize("number", range(3), ids=["qwen3", "llama", "gpt2"])
KEPT = ("metrics.jsonl", "samples.jsonl", "evaluation.json")


def two_agents(*sources: str) -> list[CausalLMAgent]:
    return load_agents(dict(zip("ab", sources, strict=True)), {"a": LORA, "b": LORA})


def change_adapter(agent: CausalLMAgent, seed: int = 0) -> None:
    """As much as no step of training does."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in agent.trained().values():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def an_adapter(base: str, folder: Path, seed: int = 0, **config: Any) -> str:
    """A folder of an adapter that has learned something, as peft leaves it."""
    model = load_agent(base, "a", SETTINGS).model
    adapted = peft.get_peft_model(model, peft.LoraConfig(**{"r": 3, "target_modules": "all-linear", **config}))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, one in adapted.named_parameters():
            if "lora_" in name:
                one.copy_(0.1 * torch.randn(one.shape, generator=generator))
    adapted.save_pretrained(folder)
    return str(folder)


def log_probs(agent: CausalLMAgent) -> torch.Tensor:
    """Of every token after each of some tokens, (16, vocabulary)."""
    with torch.no_grad():
        return agent.model(input_ids=torch.arange(1, 17)[None]).logits[0].log_softmax(-1)


def memory(agents: Sequence[CausalLMAgent]) -> int:
    """Bytes of everything that the models of some agents hold, each piece once."""
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for a in agents for one in tensors(a)}
    return sum(storages.values())


def frozen_and_trained(agent: CausalLMAgent) -> tuple[set[int], set[int]]:
    """Which parameters its model has, by identity."""
    weights = list(agent.model.parameters())
    return {id(one) for one in weights if not one.requires_grad}, {id(one) for one in weights if one.requires_grad}


def tensors(agent: CausalLMAgent) -> list[torch.Tensor]:
    return [*agent.model.parameters(), *agent.model.buffers()]


# In memory


@every_family
def test_the_base_is_there_once_and_each_agent_has_its_own_adapter(
    adders: list[str], number: int, tmp_path: Path
) -> None:
    source = adders[number]
    copy = shutil.copytree(source, tmp_path / "copy").as_posix()
    apart, together = two_agents(source, copy), two_agents(source, source)
    frozen, adapters = zip(*map(frozen_and_trained, together), strict=True)
    assert frozen[0] == frozen[1]
    assert not adapters[0] & adapters[1]
    base = sum(one.nbytes for one in together[0].model.parameters() if not one.requires_grad)
    assert memory(apart) - memory(together) == base > 0.6 * memory(together)


@every_family
def test_what_one_agent_learns_does_not_change_the_other(adders: list[str], number: int) -> None:
    first, second = two_agents(adders[number], adders[number])
    before = log_probs(second)
    change_adapter(first)
    assert torch.equal(log_probs(second), before)
    assert not torch.allclose(log_probs(first), before, atol=1e-3)


# In a run


def run_of(folder: Path, sums: str, agents: Sequence[str], *more: str) -> Path:
    words = ["--agents", *agents, "--problems", sums, *OPTIONS, "--learning-rate", "0.01", *more]
    assert train([*words, "--output-dir", str(folder)]) == 0
    return folder


def same(one: Path, other: Path, agents: Sequence[str]) -> bool:
    """Metrics, answers, evaluation and adapters, byte for byte."""
    parts = [*KEPT, *(f"agents/{name}/adapter_model.safetensors" for name in agents)]
    return all((one / "hacpo" / part).read_bytes() == (other / "hacpo" / part).read_bytes() for part in parts)


@pytest.mark.parametrize(
    "way",
    [[], ["--dtype", "bfloat16", "--checkpointing"], ["--generation", "grouped"]],
    ids=["plain", "bf16", "grouped"],
)
def test_a_run_is_that_of_two_bases_and_can_be_continued(
    adders: list[str], sums: str, tmp_path: Path, way: list[str]
) -> None:
    source, copy = adders[0], shutil.copytree(adders[0], tmp_path / "copy" / "qwen3").as_posix()
    options = ["--lora-rank", "4", "--compare", "none", *way]
    apart = run_of(tmp_path / "apart", sums, [source, copy], *options)
    together = run_of(tmp_path / "together", sums, [source, source], *options)
    assert same(together, apart, ["qwen3", "qwen3-2"])
    weights = [
        (together / f"hacpo/agents/{name}/adapter_model.safetensors").read_bytes() for name in ("qwen3", "qwen3-2")
    ]
    assert weights[0] != weights[1]
    parts = run_of(tmp_path / "parts", sums, [source, source], *options, "--steps", "2")
    assert train(["--resume", str(parts), "--steps", "5"]) == 0
    assert same(parts, together, ["qwen3", "qwen3-2"])


def test_adapters_of_one_base_are_trained_further(adders: list[str], sums: str, tmp_path: Path) -> None:
    base = adders[0]
    agents = [f"{base}+{an_adapter(base, tmp_path / name, seed)}" for seed, name in enumerate(("one", "two"))]
    copy = shutil.copytree(base, tmp_path / "copy").as_posix()
    options = ["--compare", "none", "--kl-weight", "0.01"]
    together = run_of(tmp_path / "together", sums, agents, *options)
    apart = run_of(tmp_path / "apart", sums, [agents[0], agents[1].replace(base, copy)], *options)
    assert same(together, apart, ["one", "two"])
    trained = together / "hacpo" / "agents" / "one"
    config = json.loads((trained / "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (3, base)
    assert "library_name: peft" in (trained / "README.md").read_text()
    parts = run_of(tmp_path / "parts", sums, agents, *options, "--steps", "2")
    assert train(["--resume", str(parts), "--steps", "5"]) == 0
    assert same(parts, together, ["one", "two"])


# BASE+ADAPTER


@every_family
def test_an_agent_begins_with_the_adapter_and_leaves_one_that_begins_there(
    adders: list[str], number: int, tmp_path: Path
) -> None:
    base = adders[number]
    adapter = an_adapter(base, tmp_path / "adapter", lora_dropout=0.5)
    agent = load_agent(f"{base}+{adapter}", "a", LORA)
    torch.testing.assert_close(log_probs(agent), log_probs(load_agent(adapter, "a", SETTINGS)), rtol=0, atol=1e-4)
    assert not torch.allclose(log_probs(agent), log_probs(load_agent(base, "a", SETTINGS)), atol=1e-3)
    assert all("lora_" in name for name in agent.trained())
    change_adapter(agent)
    agent.save_pretrained(tmp_path / "next")
    again = load_agent(f"{base}+{tmp_path / 'next'}", "a", LORA)
    assert torch.equal(log_probs(again), log_probs(agent))
    merged = load_agent(f"{base}+{tmp_path / 'next'}", "a", SETTINGS)
    torch.testing.assert_close(log_probs(merged), log_probs(agent), rtol=0, atol=1e-4)


def test_the_reference_of_an_adapter_that_is_trained_further_is_its_start(adders: list[str], tmp_path: Path) -> None:
    agent = load_agent(f"{adders[0]}+{an_adapter(adders[0], tmp_path)}", "a", LORA)
    pool = agent.encode(PROMPTS, [agent.generate(PROMPTS, 2, RandomStream(0))])
    with torch.no_grad():
        before = agent.token_log_probs(pool, pool.rows())
        agent.set_reference()
        change_adapter(agent)
        after = agent.token_log_probs(pool, pool.rows())
        with agent.reference():
            assert torch.equal(agent.token_log_probs(pool, pool.rows()), before)
        assert torch.equal(agent.token_log_probs(pool, pool.rows()), after)
    assert not torch.allclose(after, before, atol=1e-3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bias": "all"}, "must be of LoRA and leave its base's own weights as they are"),
        ({"init_lora_weights": "pissa"}, "must be of LoRA and leave its base's own weights as they are"),
    ],
)
def test_an_adapter_that_changes_its_base_is_refused(
    adders: list[str], tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    adapter = an_adapter(adders[0], tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    with pytest.raises(ModelLoadError, match=message):
        load_agent(f"{adders[0]}+{adapter}", "a", LORA)


def test_an_adapter_of_another_base_is_refused(adders: list[str], tmp_path: Path) -> None:
    adapter = an_adapter(adders[0], tmp_path / "adapter")
    for settings in (LORA, SETTINGS):
        with pytest.raises(ModelLoadError, match=f"was not made for '{adders[1]}': its own base is '{adders[0]}'$"):
            load_agent(f"{adders[1]}+{adapter}", "a", settings)
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace(adders[0], "/gone"))  # so that only the adapter itself can tell
    with pytest.raises(ModelLoadError, match=f"the adapter of '{adapter}' was not made for '{adders[2]}': "):
        load_agent(f"{adders[2]}+{adapter}", "a", LORA)


def test_an_adapter_without_some_of_its_layers_is_refused(adders: list[str], tmp_path: Path) -> None:
    some = {"target_modules": ["q_proj"], "layers_to_transform": [0]}
    adapter = an_adapter(adders[0], tmp_path / "adapter", **some)
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"layers_to_transform": None}))
    with pytest.raises(
        ModelLoadError, match=r"was not made for .*: 'base_model.*layers\.1\..*' is in only one of them$"
    ):
        load_agent(f"{adders[0]}+{adapter}", "a", LORA)


def test_a_second_adapter_beside_a_merged_one_is_refused(
    adders: list[str], sums: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    adapter = an_adapter(adders[0], tmp_path / "adapter")
    with pytest.raises(ModelLoadError, match=rf"further name both: {re.escape(adders[0])}\+{re.escape(adapter)}$"):
        load_agent(adapter, "a", LORA)
    pair = f"{adders[0]}+{adapter}"
    words = ["--agents", pair, pair, "--problems", sums, *OPTIONS, "--lora-rank", "4"]
    assert train([*words, "--output-dir", str(tmp_path / "run")]) == 1
    assert "--lora-rank is that of new adapters, and each of the --agents has an adapter" in capsys.readouterr().err


# The plan


def test_the_plan_counts_the_base_once(
    adders: list[str], sums: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    sizes = {"hidden_size": 2048, "intermediate_size": 4096, "num_hidden_layers": 12}
    config = json.loads(Path(adders[0], "config.json").read_text()) | sizes
    for name in ("large", "copy"):
        shutil.copytree(adders[0], tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors"))
        (tmp_path / name / "config.json").write_text(json.dumps(config | {"layer_types": ["full_attention"] * 12}))
    large, copy, adapter = str(tmp_path / "large"), str(tmp_path / "copy"), str(tmp_path / "adapter")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": large, "peft_type": "LORA", "r": 4, "target_modules": ["q_proj"]})
    )
    peaks = {}
    for agents in ((large, large), (large, copy), (large, f"{large}+{adapter}")):
        words = ["--agents", *agents, "--problems", sums, *OPTIONS, "--lora-rank", "4", "--plan-gpu-gib", "9"]
        words += ["--generation", "vllm"]
        assert plan(words) == 0
        output = capsys.readouterr().out
        assert ("computes with the base of large, which is counted there" in output) == (agents[1] != copy)
        rows = [re.search(rf"\| {part} \| (\S+) GiB \| (\S+) GiB \|", output) for part in ("weights", "vLLM")]
        for row in rows:
            assert row
            assert (float(row[2]) < 0.1 * float(row[1])) == (agents[1] != copy)
        peaks[agents] = float(re.search(r"Peak (\S+) GiB", output)[1])  # type: ignore[index]
        base, engine = (float(row[1]) for row in rows if row)
    assert min(base, engine) > 0.5
    assert peaks[large, copy] - peaks[large, large] == pytest.approx(base + engine, abs=0.02)
