"""The lab's own pair, pre-trained for a bounded time."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch

from gpu_measuring.record import Record
from hacrl_runs.own_pair.pretrain import pretrain
from hacrl_runs.own_pair.recipes import Answers, Recipe, Size, recipes

FEW, MORE = 4, 16
"""Updates of the two short runs whose difference is the time of an update."""


def build_in_time(size: Size, answers: Answers, seconds: float, device: str, folder: Path, record: Record) -> list[str]:
    """Folders of the pair's models, each with as many of its recipe's updates as fit into half of the time.

    Matrix products of float32 use TF32 on a GPU that has it.

    Args:
        size, answers: which pair.
        seconds: for both.
        device: as torch names it.
        folder: where to write them.
        record: gets a row for each.
    """
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        made = [
            _build(name, recipe, seconds / 2, device, folder, record) for name, recipe in recipes(size, answers).items()
        ]
    finally:
        torch.set_float32_matmul_precision(precision)
    return made


def _build(name: str, recipe: Recipe, seconds: float, device: str, folder: Path, record: Record) -> str:
    started = time.monotonic()
    few, more = (_timed(recipe, updates, device) for updates in (FEW, MORE))
    an_update = max(1e-9, (more - few) / (MORE - FEW))
    left = seconds - (time.monotonic() - started) - few
    updates = max(MORE, min(recipe.steps, int(left / an_update)))
    begun = time.monotonic()
    model, tokenizer = pretrain(replace(recipe, steps=updates), device, f"Pre-training {name}")
    path = folder / name
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    million = sum(weight.numel() for weight in model.parameters()) / 1e6
    record.row(name, million, updates, recipe.steps, time.monotonic() - begun, an_update)
    return str(path)


def _timed(recipe: Recipe, updates: int, device: str) -> float:
    started = time.monotonic()
    pretrain(replace(recipe, steps=updates), device, "A few updates")
    return time.monotonic() - started
