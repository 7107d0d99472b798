"""What a model is named by: a folder, a hub id, a folder of an adapter, or BASE+ADAPTER."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hacrl_lab.errors import ModelLoadError

CONFIG = "adapter_config.json"
"""A folder that has it is one of an adapter, and has no model of its own."""


@dataclass(frozen=True)
class Source:
    """Where the parts of a model are."""

    base: str
    """Folder or hub id of the configuration and the weights."""
    adapter: str | None = None
    """Folder of an adapter, as peft writes it; None: there is none."""
    beside: bool = False
    """Whether the base was named too, as BASE+ADAPTER: the adapter stays beside the weights where one is trained."""


def source_of(named: str) -> Source:
    """The parts of a model that a user names.

    Args:
        named: folder, hub id OWNER/NAME, folder of an adapter, which says what its base is, or BASE+ADAPTER, divided at
            the last +.

    Raises:
        ModelLoadError: a folder does not exist, or BASE or ADAPTER is another kind of folder.
    """
    if not is_pair(named):
        location = location_of(named)
        base = base_of(location)
        return Source(location) if base is None else Source(location_of(base), location)
    base, adapter = (location_of(part) for part in divided(named))
    if base_of(adapter) is None:
        raise ModelLoadError(f"{named!r} must be BASE+ADAPTER, and {adapter!r} is no folder with an {CONFIG}")
    if base_of(base) is not None:
        raise ModelLoadError(f"{named!r} must be BASE+ADAPTER, and the base {base!r} is the folder of an adapter")
    return Source(base, adapter, beside=True)


def is_pair(named: str) -> bool:
    """Whether a model is named as BASE+ADAPTER: a folder's name may have a + too."""
    return "+" in named and not Path(named).expanduser().is_dir()


def divided(named: str) -> tuple[str, str]:
    """BASE and ADAPTER.

    >>> divided("Qwen/Qwen3-4B+runs/first/hacpo/agents/a")
    ('Qwen/Qwen3-4B', 'runs/first/hacpo/agents/a')
    """
    base, _, adapter = named.rpartition("+")
    return base, adapter


def location_of(named: str) -> str:
    """A folder's path, or a hub id as it is.

    Raises:
        ModelLoadError: what can only be a folder is none.
    """
    path = Path(named).expanduser()
    if named and path.is_dir():
        return str(path)
    if named and path.exists():
        raise ModelLoadError(f"{named!r} is a file; a model is a folder, or a hub id OWNER/NAME")
    if not is_hub_id(named):
        raise ModelLoadError(f"model folder {named!r} does not exist")
    return named


def is_hub_id(named: str) -> bool:
    """Whether a name that is no folder's can be one of a hub: OWNER/NAME, or NAME."""
    return bool(named) and not named.startswith((".", "/", "~")) and named.count("/") <= 1


def base_of(location: str) -> str | None:
    """The folder or hub id of an adapter's base model, or None: the location is not an adapter's folder.

    Raises:
        ModelLoadError: the adapter does not say which model it belongs to.
    """
    path = Path(location) / CONFIG
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(f"{str(path)!r} does not say which model its adapter belongs to") from error
