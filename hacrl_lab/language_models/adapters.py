"""LoRA adapters, as peft makes, reads and writes them: beside a base model, or merged into its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from hacrl_lab.errors import ModelLoadError, SettingError, first_line
from hacrl_lab.extras import extra
from hacrl_lab.language_models.causal_lm import CausalLMSettings
from hacrl_lab.language_models.model_fingerprint import weights_fingerprint
from hacrl_lab.language_models.sources import Source, base_of, is_hub_id

ADAPTER_SEED = 0
"""Of the adapters' initial weights: all runs start from the same."""
KEEPS_THE_BASE = (True, False, "gaussian")
"""Kinds of initial weights with which peft leaves the base's weights as they are."""


def merged(model: Any, location: str) -> Any:
    """The base model with an adapter's changes in its own weights.

    Args:
        model: as transformers loads the base model.
        location: folder of the adapter.

    Raises:
        LabError: peft is not installed, or the adapter does not fit the model.
    """
    peft = extra("peft", "lora")
    try:
        return peft.PeftModel.from_pretrained(model, location).merge_and_unload().requires_grad_()
    except (RuntimeError, ValueError, OSError) as error:
        reason = first_line(error)
        raise ModelLoadError(f"could not load the adapter of {location!r}: {reason}") from error


def with_adapter(model: Any, settings: CausalLMSettings, source: Source) -> Any:
    """A LoRA adapter beside a model, which changes nothing yet; the model's own weights are not trained.

    Args:
        model: as transformers loads it.
        settings: rank, scale and layers of the adapter, if the source has none.
        source: of the model. Its adapter decides on rank, scale and layers; :func:`read_adapter` reads its weights.

    Raises:
        SettingError: the model has no layer of one of the names in the settings.
        ModelLoadError: the source's adapter cannot be beside this model.
    """
    peft = extra("peft", "lora")
    config = _new_config(model, settings) if source.adapter is None else adapter_config(source)
    if getattr(model, "is_gradient_checkpointing", False):
        model.enable_input_require_grads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(ADAPTER_SEED)
        try:
            return peft.get_peft_model(model, config)
        except ValueError as error:
            raise _does_not_fit(source, first_line(error)) from error


def adapter_config(source: Source) -> Any:
    """What peft is told of a source's adapter, to train it further beside its base.

    Raises:
        ModelLoadError: the base was not named, or the adapter would also change the base's own weights.
    """
    peft = extra("peft", "lora")
    if not source.beside:
        raise ModelLoadError(
            f"{source.adapter!r} is an adapter of {source.base!r} and would be lost beside another one; to train it "
            f"further name both: {source.base}+{source.adapter}"
        )
    try:
        config = peft.PeftConfig.from_pretrained(source.adapter)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ModelLoadError(f"could not load the adapter of {source.adapter!r}: {first_line(error)}") from error
    if config.peft_type != "LORA" or config.bias != "none" or config.init_lora_weights not in KEEPS_THE_BASE:
        raise ModelLoadError(
            f"the adapter of {source.adapter!r} must be of LoRA and leave its base's own weights as they are, to be "
            "trained beside it"
        )
    config.base_model_name_or_path = source.base
    config.inference_mode = False  # as what is read is trained
    config.lora_dropout = 0.0
    return config


def read_adapter(model: Any, source: Source) -> None:
    """Give a model's adapter the weights that the source's folder holds.

    Args:
        model: with an adapter, see :func:`with_adapter`.
        source: of the model, with an adapter.

    Raises:
        ModelLoadError: the adapter was made for another base model.
    """
    peft = extra("peft", "lora")
    try:
        weights = peft.load_peft_weights(source.adapter, device="cpu")
        names = set(peft.get_peft_model_state_dict(model, save_embedding_layers=False))
        if other := sorted(names ^ set(weights)):
            raise _does_not_fit(source, f"{other[0]!r} is in only one of them")
        peft.set_peft_model_state_dict(model, weights)
    except (RuntimeError, ValueError, OSError) as error:
        raise _does_not_fit(source, first_line(error)) from error


def check_base(source: Source) -> None:
    """Make sure that an adapter's own base is the one that was named with it, where this can be seen.

    Two folders are compared by their weights, two hub ids by name; a folder cannot be compared with a hub id.

    Raises:
        ModelLoadError: it is another one.
    """
    own = base_of(str(source.adapter))
    assert own is not None
    if own == source.base:
        return
    if Path(source.base).is_dir():
        other = Path(own).is_dir() and weights_fingerprint(own) != weights_fingerprint(source.base)
    else:
        other = is_hub_id(own)
    if other:
        raise _does_not_fit(source, f"its own base is {own!r}")


def _does_not_fit(source: Source, reason: str) -> ModelLoadError:
    return ModelLoadError(f"the adapter of {source.adapter!r} was not made for {source.base!r}: {reason}")


def _new_config(model: Any, settings: CausalLMSettings) -> Any:
    names = _linear_layers(model)
    if unknown := [name for name in settings.lora_targets if name not in names]:
        raise SettingError(f"lora_targets must be among {', '.join(names)}, got {unknown[0]!r}")
    return extra("peft", "lora").LoraConfig(
        r=settings.lora_rank,
        lora_alpha=2 * settings.lora_rank if settings.lora_alpha is None else settings.lora_alpha,
        target_modules=list(settings.lora_targets) or "all-linear",
        lora_dropout=0.0,
    )


def _linear_layers(model: Any) -> list[str]:
    """Names of a model's linear layers, each once, without the output layer."""
    output = model.get_output_embeddings()
    return sorted(
        {
            name.rpartition(".")[-1]
            for name, module in model.named_modules()
            if isinstance(module, (torch.nn.Linear, Conv1D)) and module is not output
        }
    )
