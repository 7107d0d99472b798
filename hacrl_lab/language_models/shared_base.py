"""One base model for several agents of a process that train adapters beside it: its weights are there once.

They have one engine of vLLM, too, if they sample with it. Each agent has modules of its own, with an adapter of its
own, around the same parameters. Nothing trains these, so no agent can notice the others, and there is no adapter that
is switched on or off.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hacrl_lab.language_models.causal_lm import CausalLMSettings
from hacrl_lab.language_models.sources import source_of


@dataclass
class SharedBase:
    """What several agents have together."""

    model: Any
    """The base as transformers loads it, on their device."""
    engine: Any = None
    """vLLM's, from the first agent on that needs it."""


def base_holders(sources: Mapping[str, str], settings: Mapping[str, CausalLMSettings]) -> dict[str, str]:
    """Agent → the first agent with whom it can hold the weights of its base; itself, if there is none before it.

    These are agents that train an adapter beside the same base on the same device. A base that is divided among ranks,
    or offloaded, is not shared, and an engine of vLLM has adapters of one rank.

    Args:
        sources: agent name → as :func:`hacrl_lab.language_models.sources.source_of` takes it.
        settings: of each.
    """
    first: dict[tuple[str, str, int], str] = {}
    holders = {}
    for name, source in sources.items():
        its = settings[name]
        can_share = its.lora_rank > 0 and its.ranks == 1 and not its.offload
        engine_rank = its.lora_rank if its.generation == "vllm" else 0
        place = _base_location(source), its.device, engine_rank
        holders[name] = first.setdefault(place, name) if can_share else name
    return holders


def twin(model: Any) -> Any:
    """The same model in modules of its own, around the same parameters.

    Args:
        model: as transformers loads it.
    """
    return deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})


def _base_location(source: str) -> str:
    """The base's hub id, or its folder by one name."""
    base = source_of(source).base
    return str(Path(base).resolve()) if Path(base).is_dir() else base
