"""Checkpoints that are complete or absent: one file per step, written aside, then moved into place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from hacrl_lab.errors import CheckpointError
from hacrl_lab.files import UNFINISHED, replacing

_NAME = re.compile(r"step-(\d+)\.pt")


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie; made when the first is written.
        keep: how many of the latest to keep, ≥ 1.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1 checkpoint, got {keep}")
        self.folder = folder
        self._keep = keep

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint; a process killed at any moment leaves the earlier ones whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(f"*{UNFINISHED}"):
            leftover.unlink()
        with replacing(self.folder / f"step-{step:06d}.pt") as file:
            torch.save(state, file)
        for _, old in self._all()[: -self._keep]:
            old.unlink()

    def load_latest(self) -> dict[str, Any] | None:
        """The latest checkpoint's state on the CPU, or None where there is none.

        Raises:
            CheckpointError: the latest checkpoint cannot be read.
        """
        found = self._all()
        if not found:
            return None
        _, path = found[-1]
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load raises many kinds
            raise CheckpointError(
                f"checkpoint {str(path)!r} cannot be read; delete it to go on from the one before"
            ) from error

    def _all(self) -> list[tuple[int, Path]]:
        files = [(_NAME.fullmatch(path.name), path) for path in self.folder.glob("step-*.pt")]
        return sorted((int(match[1]), path) for match, path in files if match)
