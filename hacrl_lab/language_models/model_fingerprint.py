"""The content of a model: of all files that decide what it says, its base's included."""

from __future__ import annotations

import hashlib
from pathlib import Path

from transformers.utils.hub import cached_file

from hacrl_lab.cache_folder import check_hub_cache
from hacrl_lab.errors import ModelLoadError, first_line
from hacrl_lab.files import content_digest
from hacrl_lab.language_models.sources import source_of

WEIGHTS = (".safetensors", ".bin")
DECIDING = (*WEIGHTS, ".json", ".jinja", ".model", ".txt", ".tiktoken")
"""Endings of weights, configurations, chat templates and tokenizers."""
TEMPLATES = "additional_chat_templates"


def model_fingerprint(source: str) -> str:
    """SHA-256 of the content of a folder's deciding files; of a hub id, the commit that its main branch stands at.

    Of an adapter, together with its base model's.

    Args:
        source: as :func:`hacrl_lab.language_models.sources.source_of` takes it.

    Raises:
        ModelLoadError: a folder does not exist, or the hub cannot be asked and nothing of it is in its cache.
    """
    parts = source_of(source)
    base = _of_location(parts.base)
    return base if parts.adapter is None else _sha256(f"{_of_location(parts.adapter)} {base}")


def weights_fingerprint(folder: str) -> str:
    """SHA-256 of the content of a folder's weights alone."""
    return _of_folder(Path(folder), WEIGHTS)


def _of_location(location: str) -> str:
    folder = Path(location)
    return _of_folder(folder, DECIDING) if folder.is_dir() else _commit(location)


def _of_folder(folder: Path, endings: tuple[str, ...]) -> str:
    files = sorted(path for path in (*folder.glob("*"), *folder.glob(f"{TEMPLATES}/*")) if path.suffix in endings)
    marks = [f"{path.relative_to(folder)} {content_digest(path)}" for path in files if path.is_file()]
    return _sha256("\n".join(marks))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _commit(source: str) -> str:
    check_hub_cache()
    try:
        return Path(str(cached_file(source, "config.json"))).parent.name
    except Exception as error:  # the hub client raises many kinds
        raise ModelLoadError(f"could not find the model {source!r} on the hub: {first_line(error)}") from error
