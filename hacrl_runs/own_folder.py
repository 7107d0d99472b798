"""The folder of a command's results: nobody else's, and one process's at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hacrl_lab.errors import LabError
from hacrl_lab.files import LOCK, UNFINISHED, locked, write_text

MARK = ".made-by"
"""Name of the file that says which command made a folder."""
OTHER = "give another output_dir"


@contextmanager
def own_folder(folder: Path, maker: str) -> Iterator[None]:
    """Make a folder, or take one that the same command has made; within the block no other process can.

    A folder that is refused is left as it is.

    Args:
        folder: new, empty, or made by this command.
        maker: what the command is called, ``hacrl-lab train`` for instance.

    Raises:
        LabError: the folder is a file, holds what this command did not make, or a link out of it; another process is
            working in it; it was renamed or deleted within the block.
    """
    _refuse_others(folder, maker)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, f"another process is working in {str(folder)!r}; wait for it, or {OTHER}"):
        _refuse_others(folder, maker)  # what another process has made of it in between
        if made_by(folder) is None:
            write_text(folder / MARK, f"{maker}\n")
        with _staying(folder):
            yield


def made_by(folder: Path) -> str | None:
    """The command that made a folder; None if it is not known."""
    try:
        return (folder / MARK).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None


@contextmanager
def _staying(folder: Path) -> Iterator[None]:
    """Whatever ends the block, a folder that was renamed or deleted meanwhile is the reason that is told."""
    descriptor = os.open(folder, os.O_RDONLY)  # which keeps the system from giving its number to a new folder
    try:
        yield
    finally:
        ours = os.fstat(descriptor)
        os.close(descriptor)
        if not folder.exists() or not os.path.samestat(folder.stat(), ours):
            raise LabError(
                f"{str(folder)!r} was renamed or deleted while this process was working in it; give it its name back "
                "to continue, or start again"
            )


def _refuse_others(folder: Path, maker: str) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise LabError(f"{str(folder)!r} is a file; give a folder as output_dir")
    found = made_by(folder)
    if found == maker:
        _refuse_links(folder)
    elif found is not None:
        raise LabError(f"{str(folder)!r} was made by `{found}`; {OTHER}")
    elif held := sorted(path.name for path in folder.iterdir() if path.name != LOCK and path.suffix != UNFINISHED):
        raise LabError(f"{str(folder)!r} holds files that `{maker}` did not make, {held[0]!r} for instance; {OTHER}")


def _refuse_links(folder: Path) -> None:
    """Nothing is written through a link, to files that are somebody else's."""
    inside = folder.resolve()
    for place, folders, files in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *files)):
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise LabError(
                    f"{str(path)!r} is a link out of the folder, to {str(path.resolve())!r}; replace it by what it "
                    f"leads to, or {OTHER}"
                )
