"""Folders of adapters, as runs with ``lora_rank`` leave them: a base model, and what was trained beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hacrl_lab.errors import ModelLoadError, first_line
from hacrl_lab.extras import extra

CONFIG = "adapter_config.json"
"""A folder that has it is one of an adapter, and has no model of its own."""


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
