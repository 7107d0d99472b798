"""Which models a run trains: the lab's own pair, or those that the user names; loaded as agents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from hacrl_lab.agents.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.agents.loading import load_agent
from hacrl_lab.agents.prompting import Prompting
from hacrl_lab.engines.base import Engine
from hacrl_lab.engines.local import InProcess
from hacrl_lab.engines.ray import RayEngine, RemoteAgent
from language_pair.options import Options
from language_pair.pretrain import build_pair


def sources_of(options: Options) -> dict[str, str]:
    """Unique agent name → folder or hub id."""
    if not options.agents:
        return {name: str(path) for name, path in build_pair(options.size, options.answers, options.device).items()}
    sources: dict[str, str] = {}
    for source in options.agents:
        base = name = Path(source.rstrip("/")).name
        repeats = 1
        while name in sources:
            repeats += 1
            name = f"{base}-{repeats}"
        sources[name] = source
    return sources


def agent_settings(options: Options) -> CausalLMSettings:
    """How the agents of a run answer and learn; the options must be resolved."""
    assert options.learning_rate is not None
    assert options.max_new_tokens is not None
    assert options.prompt_template is not None
    return CausalLMSettings(
        max_new_tokens=options.max_new_tokens,
        learning_rate=options.learning_rate,
        max_grad_norm=options.max_grad_norm,
        prompting=Prompting(options.prompt_template, options.system_prompt, options.enable_thinking),
        device=options.device,
        compute_dtype=options.dtype,
        tokens_per_pass=options.tokens_per_pass,
        checkpointing=options.checkpointing,
        lora_rank=options.lora_rank,
        generation=options.generation,
        rows_at_once=options.rows_at_once,
        cache_gib=options.cache_gib,
    )


def settings_of(options: Options, sources: Mapping[str, str]) -> dict[str, CausalLMSettings]:
    """:func:`agent_settings` with each agent's own learning rate, by its name."""
    shared, factors = agent_settings(options), options.rate_factors or (1.0,) * len(sources)
    rates = [shared.learning_rate * factor for factor in factors]
    return {name: replace(shared, learning_rate=rate) for name, rate in zip(sources, rates, strict=True)}


def load_agents(options: Options, sources: Mapping[str, str]) -> list[CausalLMAgent]:
    """Fresh agents from their sources, by name, in this process."""
    return [load_agent(sources[name], name, settings) for name, settings in settings_of(options, sources).items()]


@contextmanager
def running_agents(
    options: Options, sources: Mapping[str, str]
) -> Iterator[tuple[Sequence[CausalLMAgent | RemoteAgent], Engine]]:
    """Fresh agents and what runs their calls; nothing of them is left afterwards."""
    if options.engine == "local":
        yield load_agents(options, sources), InProcess()
        return
    settings = settings_of(options, sources)
    makers = {name: partial(load_agent, source, name, settings[name]) for name, source in sources.items()}
    with RayEngine(makers, gpus=1 if options.device.startswith("cuda") else 0) as engine:
        yield engine.agents, engine
