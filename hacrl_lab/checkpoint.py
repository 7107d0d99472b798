"""Checkpoints that are complete or absent: a folder a step, in it a folder an agent, written aside and then renamed.

    step-000005/
        agents/<name>/...      what each agent writes: safetensors and JSON
        trainer.safetensors    the loop's own tensors
        trainer.json           what the run is
        complete.json          written last: every other file with its size

Nothing is pickled. Tensors have names rather than places, so that another number of processes can read them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hacrl_lab.errors import CheckpointError, SettingError
from hacrl_lab.files import UNFINISHED, flush_to_disk, told_by_the_system

FORMAT = 1
"""Raised with every change of what a checkpoint holds."""
COMPLETE = "complete.json"
_NAME = re.compile(r"step-(\d+)")


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they are, in a folder that exists; made when the first is written.
        keep: how many of the latest to keep, ≥ 1.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        if keep < 1:
            raise SettingError(f"keep_checkpoints must be ≥ 1, got {keep}")
        self.folder = folder
        self._keep = keep

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Write a checkpoint; a process killed at any moment leaves the earlier ones whole.

        Args:
            step: steps done.
            write: writes everything into an empty folder.
        """
        self.folder.mkdir(exist_ok=True)  # in a run's folder, which must be there
        for leftover in self.folder.glob(f"*{UNFINISHED}"):
            shutil.rmtree(leftover)
        target = self.folder / f"step-{step:06d}"
        unfinished = target.with_name(target.name + UNFINISHED)
        unfinished.mkdir()
        write(unfinished)
        _complete(unfinished)
        if target.exists():
            target.rename(self.folder / f"replaced{UNFINISHED}")
        unfinished.rename(target)
        flush_to_disk(self.folder)
        for old in [path for _, path in self._all()[: -self._keep]]:
            # renamed first, since a half-deleted folder must not look like a checkpoint
            shutil.rmtree(old.rename(old.with_name(old.name + UNFINISHED)))

    def latest(self) -> Path | None:
        """The folder of the latest checkpoint, or None where there is none.

        Raises:
            CheckpointError: the latest checkpoint is not whole, or of another format.
        """
        folders = self._all()
        if not folders:
            return None
        _, path = folders[-1]
        try:
            record = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
            found_format, expected = record["format"], record["files"]
            sizes = {name: (path / name).stat().st_size for name in expected}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise unreadable(path) from error
        if sizes != expected:
            raise unreadable(path)
        if found_format != FORMAT:
            raise CheckpointError(f"checkpoint {str(path)!r} has format {found_format}; this version reads {FORMAT}")
        return path

    def last_step(self) -> int:
        """The step of the latest checkpoint, whole or not; 0 where there is none."""
        folders = self._all()
        return folders[-1][0] if folders else 0

    def _all(self) -> list[tuple[int, Path]]:
        folders = [(_NAME.fullmatch(path.name), path) for path in self.folder.glob("step-*") if path.is_dir()]
        return sorted((int(match[1]), path) for match, path in folders if match)


def agent_folder(checkpoint: Path, name: str) -> Path:
    """An agent's folder in a checkpoint; its name may hold any character, and be any of "." and ".."."""
    safe = quote(name, safe=" ")
    return checkpoint / "agents" / (safe.replace(".", "%2E") if not safe.strip(".") else safe)


def save_part(stem: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write tensors to ``stem.safetensors`` and everything else to ``stem.json``."""
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with told_by_the_system(stem.parent):
        save_file(contiguous, stem.with_suffix(".safetensors"))
    stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def load_part(stem: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_part` wrote, on the CPU.

    Raises:
        CheckpointError: a file is missing or cannot be read.
    """
    try:
        record = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
        return load_file(stem.with_suffix(".safetensors")), dict(record)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise unreadable(stem.parent) from error


def unreadable(path: Path) -> CheckpointError:
    """The error that names a checkpoint, or the part of it, that cannot be used."""
    step = next((folder for folder in (path, *path.parents) if _NAME.fullmatch(folder.name)), path)
    return CheckpointError(f"checkpoint {str(step)!r} cannot be read; delete it to continue from the one before")


def _complete(folder: Path) -> None:
    """Put everything on disk, and then the list of files, which marks it as complete."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in (*files, *(path for path in folder.rglob("*") if path.is_dir())):
        flush_to_disk(path)
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    (folder / COMPLETE).write_text(json.dumps({"format": FORMAT, "files": sizes}, indent=1) + "\n", encoding="utf-8")
    flush_to_disk(folder / COMPLETE)
    flush_to_disk(folder)
