"""The agents of a run: where each comes from, how it answers and learns, and what runs their calls."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from hacrl_lab.engine import Engine, InProcess
from hacrl_lab.engines.ray import RayEngine, RemoteAgent
from hacrl_lab.errors import SettingError, first_line
from hacrl_lab.language_models.adapters import adapter_config
from hacrl_lab.language_models.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.language_models.loading import load_agent, load_agents
from hacrl_lab.language_models.prompting import Prompting
from hacrl_lab.language_models.sources import divided, is_pair, source_of
from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_runs.own_pair.pretrain import build_pair
from hacrl_runs.own_pair.recipes import recipes
from hacrl_runs.settings import ModelSettings, PromptSettings

OWN_TEMPLATE = "{question}\n"


def agent_names(models: ModelSettings) -> list[str]:
    """The unique name of every agent: see :func:`model_name`, with a number where several have the same."""
    if not models.agents:
        return list(recipes(models.size, models.answers))
    names: list[str] = []
    for source in models.agents:
        base = name = model_name(source)
        repeats = 1
        while name in names:
            repeats += 1
            name = f"{base}-{repeats}"
        names.append(name)
    return names


def model_name(source: str) -> str:
    """What a model is called: as its folder is, that of the adapter where it has one beside it.

    >>> model_name("Qwen/Qwen3-4B"), model_name("Qwen/Qwen3-4B+adapters/first/")
    ('Qwen3-4B', 'first')
    """
    folder = divided(source)[1] if is_pair(source) else source
    return Path(os.path.abspath(Path(folder).expanduser())).name or "model"


def sources_of(models: ModelSettings, device: str) -> dict[str, str]:
    """Agent name → folder or hub id; the lab's own pair is built if it is not there yet.

    Args:
        models: who learns.
        device: where the pair is pre-trained.
    """
    built = [] if models.agents else build_pair(models.size, models.answers, device).values()
    return dict(zip(agent_names(models), map(str, built) if built else models.agents, strict=True))


def with_rank(source: str, settings: CausalLMSettings) -> CausalLMSettings:
    """The settings with the rank of the adapter that an agent has from the start, if it has one: it is trained further.

    Args:
        source: of the agent.
        settings: of the agent.

    Raises:
        ModelLoadError: see :func:`hacrl_lab.language_models.adapters.adapter_config`.
    """
    return replace(settings, lora_rank=adapter_config(source_of(source)).r) if is_pair(source) else settings


def usable_devices(device: str, agents: int) -> list[str]:
    """The devices of a run, by the name of each; one for all agents, or one for each.

    Args:
        device: as the settings have it.
        agents: how many there are.

    Raises:
        SettingError: another number of devices, or one that cannot be used.
    """
    gpu = "cuda" if torch.cuda.is_available() else "cpu"
    names = (gpu if device == "auto" else device).split(",")
    if len(names) not in (1, agents):
        raise SettingError(f"device must be one for all, or one for each of the {agents} models, got {device!r}")
    for name in names:
        try:
            torch.ones(1, device=name).item()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise SettingError(f"device must be usable here, got {name!r}: {first_line(error)}") from error
    return ["cpu" if torch.device(name).type == "cpu" else name for name in names]  # cpu:0 is the same


def prompting_of(prompt: PromptSettings, own_pair: bool) -> Prompting:
    """How an agent is asked.

    Args:
        prompt: with one template and one system prompt at most, see :meth:`PromptSettings.of_agent`.
        own_pair: whether it is of the lab's own pair, which was pre-trained on bare questions.
    """
    asked = OWN_TEMPLATE if own_pair else f"{{question}}\n{ANSWER_RULES[prompt.answer_rule].instruction}"
    [template] = prompt.prompt_template or (asked,)
    [system] = prompt.system_prompt or ("",)
    return Prompting(template, system or None, prompt.enable_thinking, prompt.template_date)


@contextmanager
def running_agents(
    sources: Mapping[str, str], settings: Mapping[str, CausalLMSettings], engine: str
) -> Iterator[tuple[Sequence[CausalLMAgent | RemoteAgent], Engine]]:
    """Fresh agents and what runs their calls; nothing of them is left afterwards.

    Args:
        sources: agent name → folder or hub id.
        settings: how each answers and learns.
        engine: local or ray.
    """
    if engine == "local":
        yield load_agents(sources, settings), InProcess()
        return
    makers = {name: partial(load_agent, source, name, settings[name]) for name, source in sources.items()}
    first = next(iter(settings.values()))
    gpus = 1 if first.device.startswith("cuda") else 0
    with RayEngine(makers, gpus=gpus, ranks=first.ranks) as ray_engine:
        yield ray_engine.agents, ray_engine
