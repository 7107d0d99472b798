"""Which models a run trains: the lab's own pair, or those that the user names; loaded as agents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hacrl_lab.agents.causal_lm import CausalLMAgent, CausalLMSettings
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


def load_agents(options: Options, sources: Mapping[str, str]) -> list[CausalLMAgent]:
    """Fresh agents from their sources, by name; the options must be resolved."""
    assert options.learning_rate is not None
    assert options.max_new_tokens is not None
    settings = CausalLMSettings(
        max_new_tokens=options.max_new_tokens,
        learning_rate=options.learning_rate,
        max_grad_norm=options.max_grad_norm,
        prompt_template=options.prompt_template,
        device=options.device,
        dtype=options.dtype,
        tokens_per_pass=options.tokens_per_pass,
    )
    return [CausalLMAgent.from_pretrained(source, name, settings) for name, source in sources.items()]
