"""What a model folder or a hub id holds: configuration, tokenizer and weights, read and checked.

Nothing is executed that comes with a model: ``trust_remote_code`` is False, and chat templates run in the sandbox of
transformers.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from hacrl_lab.errors import ModelLoadError, first_line
from hacrl_lab.language_models.sources import source_of


def read_config(source: str) -> Any:
    """The configuration of the part of a model that reads and writes text.

    Raises:
        ModelLoadError: there is none, or it has no bound on the length of a text.
    """
    location = source_of(source).base
    config = _read(AutoConfig, location, "model").get_text_config()
    if not isinstance(getattr(config, "max_position_embeddings", None), int):
        raise ModelLoadError(f"the configuration of {location!r} has no max_position_embeddings")
    return config


def read_tokenizer(source: str) -> Any:
    """The tokenizer of a model; of an adapter, its base's unless the adapter has one of its own.

    Raises:
        ModelLoadError: there is none, or texts can have tokens that the model does not have. Special tokens may lie
            beyond its vocabulary, for instance Gemma 3's mark of an image: no text has them.
    """
    parts = source_of(source)
    of_adapter = parts.adapter is not None and any(Path(parts.adapter).glob("tokenizer*"))
    tokenizer = _read(AutoTokenizer, str(parts.adapter) if of_adapter else parts.base, "tokenizer")
    special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    largest = max((token for token in tokenizer.get_vocab().values() if token not in special), default=-1)
    known = read_config(source).vocab_size
    if not 0 <= largest < known:
        raise ModelLoadError(
            f"the tokenizer of {source!r} has tokens up to {largest}, and the model's vocabulary has {known}: it is "
            "another model's"
        )
    if (tokenizer.eos_token_id or 0) >= known:
        raise ModelLoadError(f"the model of {source!r} does not have the end token {tokenizer.eos_token!r}")
    if (tokenizer.pad_token_id or 0) >= known:
        tokenizer.pad_token = tokenizer.eos_token  # no model reads what fills rows up, but it must be a token of it
    return tokenizer


def read_model(source: str) -> Any:
    """The model with its weights, in float32; of a model with an adapter, the base model alone.

    Raises:
        ModelLoadError: there is none, or weights are missing, which would be random.
    """
    location = source_of(source).base
    settings = {"dtype": torch.float32, "output_loading_info": True}
    model, keys = _read(AutoModelForCausalLM, location, "model", **settings)
    missing, unused = (sorted(keys[kind]) for kind in ("missing_keys", "unexpected_keys"))
    if missing:
        raise ModelLoadError(
            f"{location!r} lacks {len(missing)} tensors of its model, {missing[0]!r} for instance, which would be "
            f"random{_instead(unused)}"
        )
    if unused:
        warnings.warn(
            f"{location!r} holds {len(unused)} tensors that its model does not use, {unused[0]!r} for instance",
            stacklevel=2,
        )
    return model


def _instead(unused: list[str]) -> str:
    return f"; it holds {len(unused)} others, {unused[0]!r} for instance" if unused else ""


def _read(kind: Any, location: str, what: str, **settings: Any) -> Any:
    try:
        return kind.from_pretrained(location, trust_remote_code=False, **settings)
    except Exception as error:  # transformers, safetensors and the hub client raise many kinds
        reason = first_line(error)
        other = "" if Path(location).is_dir() else " (there is no such folder, so it is taken for a hub id)"
        raise ModelLoadError(f"could not load a {what} from {location!r}{other}: {reason}") from error
