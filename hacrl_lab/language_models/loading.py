"""Loads a language model from a folder or a hub, as an agent: adapter, checkpointing and engine as its settings say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from transformers import AutoModelForCausalLM

from hacrl_lab.errors import LabError, ModelLoadError, first_line
from hacrl_lab.language_models.adapters import check_base, merged, read_adapter, with_adapter
from hacrl_lab.language_models.attention import as_in_forward
from hacrl_lab.language_models.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.language_models.pretrained import read_config, read_model, read_tokenizer
from hacrl_lab.language_models.prompting import TextCodec
from hacrl_lab.language_models.sampler import Sampler, SamplingSettings
from hacrl_lab.language_models.scoring import keeps_keys_and_values, padded, whole_log_probs
from hacrl_lab.language_models.sharding import shard
from hacrl_lab.language_models.shared_base import SharedBase, base_holders, twin
from hacrl_lab.language_models.sources import Source, source_of
from hacrl_lab.language_models.transformers_sampler import TransformersSampler
from hacrl_lab.rollouts import EncodedRollouts

SCORES_AGREE = 1e-3
"""How far log-probabilities in training mode, by chunks, may be from the model's own, nats."""


def load_agents(sources: Mapping[str, str], settings: Mapping[str, CausalLMSettings]) -> list[CausalLMAgent]:
    """The agents of a process; those that train adapters beside the same base hold its weights once.

    Args:
        sources: agent name → as :func:`hacrl_lab.language_models.sources.source_of` takes it.
        settings: of each.

    Raises:
        ModelLoadError: see :func:`load_agent`.
    """
    holders = base_holders(sources, settings)
    holders_of_others = {holder for name, holder in holders.items() if name != holder}
    bases = {name: SharedBase(_placed(sources[name], settings[name])) for name in holders_of_others}
    return [load_agent(source, name, settings[name], bases.get(holders[name])) for name, source in sources.items()]


def load_agent(source: str, name: str, settings: CausalLMSettings, base: SharedBase | None = None) -> CausalLMAgent:
    """An agent from a local folder or a hub id.

    Args:
        source: folder, or hub id OWNER/NAME; an adapter's folder stands for its base model with the adapter merged in,
            and BASE+ADAPTER for the base with the adapter beside it, or merged in if the settings have no rank.
        name: unique name.
        settings: of the agent.
        base: what the agent has together with others, see :func:`load_agents`; None: it has all for itself.

    Raises:
        ModelLoadError: the folder does not exist, or what it holds cannot be loaded or trained so.
        LabError: an extra that the settings need is not installed.
    """
    parts = source_of(source)
    tokenizer = read_tokenizer(source)
    model = _placed(source, settings) if base is None else twin(base.model)
    if parts.beside:
        check_base(parts)
    if parts.adapter is not None and settings.lora_rank == 0:
        model = merged(model, parts.adapter)
    keeps_a_state = not keeps_keys_and_values(model)
    if keeps_a_state and settings.generation != "vllm":
        _check_sampling(model, name)
    model = prepared(model, settings, parts)
    if parts.adapter is not None and settings.lora_rank > 0:
        read_adapter(model, parts)
    if _is_divided(settings):
        shard(model, settings.device, settings.offload)
    return CausalLMAgent(name, model, tokenizer, settings, _sampler(name, parts.base, model, settings, base))


def untrained_agent(source: str, name: str, settings: CausalLMSettings, layers: int) -> CausalLMAgent:
    """An agent with a model's first layers and random weights; it samples in its process.

    Args:
        source, name, settings: see :func:`load_agent`; no weights are read.
        layers: how many.

    Raises:
        ModelLoadError: the configuration or the tokenizer cannot be loaded.
    """
    config = read_config(source)
    _keep_layers(config, layers)
    model = _untrained(config, settings, settings.device, source_of(source))
    return CausalLMAgent(name, model, read_tokenizer(source), settings)


def agent_without_values(source: str, name: str, settings: CausalLMSettings) -> CausalLMAgent:
    """An agent whose parameters are torch's fake tensors: shapes on its device, without values and without memory.

    See :func:`untrained_agent`.
    """
    model = _untrained(read_config(source), settings, "meta", source_of(source))
    _make_fake(model, settings.device)
    return CausalLMAgent(name, model, read_tokenizer(source), settings, TransformersSampler(model), has_values=False)


def layers_of(source: str) -> int:
    """How many layers the model of a folder or hub id has."""
    return int(read_config(source).num_hidden_layers)


def load_codec(source: str, name: str, settings: CausalLMSettings) -> TextCodec:
    """What puts prompts to an agent, without its model; see :func:`load_agent`."""
    context_size = int(read_config(source).max_position_embeddings)
    tokenizer = read_tokenizer(source)
    return TextCodec(name, tokenizer, settings.prompting, context_size, settings.max_new_tokens)


def _placed(source: str, settings: CausalLMSettings) -> Any:
    """A source's base model, on the agent's device unless it is divided first."""
    model = read_model(source)
    return model if _is_divided(settings) else model.to(torch.device(settings.device))


def _is_divided(settings: CausalLMSettings) -> bool:
    return settings.ranks > 1 or settings.offload


def _untrained(config: Any, settings: CausalLMSettings, device: str, source: Source) -> Any:
    """A model of a configuration on a device, as :func:`load_agent` would prepare it."""
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        return prepared(model, settings, source)


def _make_fake(model: Any, device: str) -> None:
    """Replace parameters and buffers on the meta device by fake ones on a real device; tied ones stay tied."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    fakes: dict[Tensor, Tensor] = {}
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, value in held.items():
                if value is not None and value not in fakes:
                    fake: Tensor = FakeTensor(mode, value.detach(), torch.device(device))
                    is_parameter = isinstance(value, torch.nn.Parameter)
                    fakes[value] = torch.nn.Parameter(fake, value.requires_grad) if is_parameter else fake
                held[name] = None if value is None else fakes[value]


def _keep_layers(config: Any, layers: int) -> None:
    """Shorten a configuration to its first layers, and what it lists layer by layer with it."""
    all_layers = config.num_hidden_layers
    for name, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == all_layers:
            setattr(config, name, value[:layers])
    config.num_hidden_layers = layers


def prepared(model: Any, settings: CausalLMSettings, source: Source) -> Any:
    """The model with what its settings add: checkpointed activations, an adapter.

    Args:
        model: as transformers loads it.
        settings: of the agent.
        source: of the model.
    """
    if settings.checkpointing:
        _checkpoint_activations(model)
    return with_adapter(model, settings, source) if settings.lora_rank > 0 else model


def _checkpoint_activations(model: Any) -> None:
    """Activations are computed again in the backward pass; that needs training mode, so dropout is taken out."""
    for module in model.modules():
        for name in ("p", "attention_dropout"):  # of torch's dropout layers, and of transformers' attention
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    options = {"use_reentrant": False, "context_fn": as_in_forward(model)}
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)


def _check_sampling(model: Any, name: str) -> None:
    """Make sure that a model with layers that keep a state samples what it scores, also beside a longer prompt.

    Raises:
        ModelLoadError: it does not, because such layers read what fills a short prompt up, or forget what was before.
    """
    ids = torch.arange(1, 9, device=model.device).expand(2, 8) % model.config.get_text_config().vocab_size
    mask = torch.arange(8, device=model.device) >= torch.tensor([[0], [5]], device=model.device)
    settings = SamplingSettings(4, stop_tokens=(), pad_token=0, agent=name)
    try:
        with torch.no_grad():
            said = TransformersSampler(model).sample(ids, mask, 1, settings, seed=0)
            pool = EncodedRollouts(ids, mask, said.tokens[None], said.mask[None])
            scores = whole_log_probs(model, padded(pool.take(torch.arange(2))))
        difference = float((scores - said.log_probs.flatten()).abs().max())
    except (AttributeError, LabError, RuntimeError, TypeError, ValueError) as error:
        raise ModelLoadError(f"agent {name!r} cannot be trained: {first_line(error)}") from error
    if not difference <= SCORES_AGREE:
        raise ModelLoadError(
            f"agent {name!r} cannot be trained: its layers keep a state, and beside longer prompts it samples with "
            f"other probabilities than alone (by {difference:.1g} nats)"
        )


def _sampler(name: str, source: str, model: Any, settings: CausalLMSettings, base: SharedBase | None) -> Sampler | None:
    """The sampler that the settings name, if it is another than the model itself."""
    if settings.generation != "vllm":
        return None
    from hacrl_lab.language_models.vllm_sampler import (  # here, since vLLM takes seconds to import
        Engine,
        EngineSettings,
        VLLMSampler,
    )

    if base is not None and base.engine is not None:
        return VLLMSampler(model, base.engine)
    engine_settings = EngineSettings(
        dtype=settings.compute_dtype,
        context_size=int(model.config.max_position_embeddings),
        cache_bytes=int(settings.cache_gib * 2**30),
        rows=settings.rows_at_once or EngineSettings.rows,
        lora_rank=settings.lora_rank,
        ranks=settings.ranks,
        device=settings.device,
    )
    engine = Engine(source, engine_settings)
    if base is not None:
        base.engine = engine
    return VLLMSampler(model, engine)
