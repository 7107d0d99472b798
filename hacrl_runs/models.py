"""Which models a run trains: the lab's own pair, or those that the user names; loaded as agents."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path

from hacrl_lab.engine import Engine, InProcess
from hacrl_lab.engines.ray import RayEngine, RemoteAgent
from hacrl_lab.language_models.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.language_models.loading import load_agent
from hacrl_lab.language_models.prompting import Prompting
from hacrl_runs.own_pair.pretrain import build_pair
from hacrl_runs.settings import Options


def sources_of(options: Options) -> dict[str, str]:
    """Unique agent name → folder or hub id."""
    if not options.agents:
        built = build_pair(options.size, options.answers, options.device.split(",")[0])
        return {name: str(path) for name, path in built.items()}
    sources: dict[str, str] = {}
    for source in options.agents:
        base = name = Path(os.path.abspath(Path(source).expanduser())).name or "model"
        repeats = 1
        while name in sources:
            repeats += 1
            name = f"{base}-{repeats}"
        sources[name] = source
    return sources


def settings_of(options: Options, sources: Mapping[str, str]) -> dict[str, CausalLMSettings]:
    """How each agent of a run answers and learns, by name; the options must be resolved."""
    assert options.learning_rate is not None
    assert options.max_new_tokens is not None
    assert options.prompt_template is not None
    shared = CausalLMSettings(
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
        ranks=options.ranks_per_agent,
        offload=options.offload,
    )
    rates = [shared.learning_rate * factor for factor in options.rate_factors or (1.0,) * len(sources)]
    own = zip(sources, rates, cycle(options.device.split(",")), strict=False)
    return {name: replace(shared, learning_rate=rate, device=device) for name, rate, device in own}


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
    gpus = 1 if options.device.startswith("cuda") else 0
    with RayEngine(makers, gpus=gpus, ranks=options.ranks_per_agent) as engine:
        yield engine.agents, engine
