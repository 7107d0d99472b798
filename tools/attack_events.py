"""What may happen between two commands of ``hacrl-lab``, below a folder as ``attack_changes.py`` makes it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hacrl_runs.config_file import CONFIG
from hacrl_runs.own_folder import MARK

Event = Callable[[Path], object]
"""Something that happens below a folder."""
Place = Callable[[Path], Path]
"""Makes something of a folder below a folder, and returns it."""


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _append(path: str, text: str) -> Event:
    return lambda now: (now / path).write_text((now / path).read_text() + text)


def _flip_last_byte(path: str) -> Event:
    """Other weights of the same size, with the same time stamp."""

    def happens(now: Path) -> None:
        before, content = (now / path).stat(), bytearray((now / path).read_bytes())
        content[-1] ^= 1
        (now / path).write_bytes(content)
        os.utime(now / path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return happens


def _other_row(**change: object) -> Event:
    def happens(now: Path) -> None:
        first, *others = map(json.loads, (now / "problems.jsonl").read_text().splitlines())
        write_rows(now / "problems.jsonl", [first | change, *others])

    return happens


CHANGES: Mapping[str, tuple[Event, str]] = {
    "template": (lambda now: (now / "models/a/chat_template.jinja").write_text("{{ messages[-1].content }} ="), "'a'"),
    "weights": (_flip_last_byte("models/a/model.safetensors"), "'a'"),
    "configuration": (_append("models/a/config.json", "\n"), "'a'"),
    "tokenizer": (_append("models/a/tokenizer.json", "\n"), "'a'"),
    "base weights": (_flip_last_byte("models/base/model.safetensors"), "'adapter'"),
    "adapter weights": (_flip_last_byte("models/adapter/adapter_model.safetensors"), "'adapter'"),
    "column": (_other_row(level=2), "the problems"),
    "answer": (_other_row(answer="9"), "the problems"),
    "question": (_other_row(question="0 + 8"), "the problems"),
    "one row more": (_append("problems.jsonl", '{"question": "50+8", "answer": "58", "level": 1}\n'), "the problems"),
    "reward": (_append("own_reward.py", "# another version\n"), "the rewards"),
    "reward's module": (lambda now: (now / "own_words.py").write_text("WORTH = 0.5\n"), "the rewards"),
}
"""What matters, and what a message calls it."""


def _rewrite(now: Path) -> None:
    """The same content in new files, with new times."""
    for path in (*now.glob("models/*/*"), now / "problems.jsonl", now / "own_reward.py"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)


NOTHING: Mapping[str, Event] = {
    "files are touched": lambda now: [path.touch() for path in now.rglob("*")],
    "files are rewritten": _rewrite,
    "a note beside the weights": lambda now: (now / "models/a/NOTES.md").write_text("a note"),
    "a copy of the model": lambda now: shutil.copytree(now / "models/a", now / "models/copy"),
    "another command's folder": lambda now: shutil.copytree(now / "evaluation", now / "another"),
    "a file beside the reward": lambda now: (now / "own_other.py").write_text("raise ValueError\n"),
    "nothing": lambda now: None,
}
"""What does not matter."""


def _linked(path: str, target: str) -> Place:
    """A link in place of a file or folder; returns the folder that holds it."""

    def happens(now: Path) -> Path:
        if (now / path).is_dir():
            shutil.rmtree(now / path)
        else:
            (now / path).unlink(missing_ok=True)
        (now / path).symlink_to(now / target)
        return (now / path).parent

    return happens


def _marked(folder: str, text: str) -> Place:
    def happens(now: Path) -> Path:
        (now / folder / MARK).write_text(text)
        return now / folder

    return happens


def _made(path: str) -> Place:
    def happens(now: Path) -> Path:
        (now / path).mkdir()
        return now / path

    return happens


def _link_itself(target: str) -> Place:
    def happens(now: Path) -> Path:
        (now / "link").symlink_to(now / target)
        return now / "link"

    return happens


def _mark_of_bytes(now: Path) -> Path:
    (now / "evaluation" / MARK).write_bytes(b"\xff\xfe")
    return now / "evaluation"


def _without_settings(now: Path) -> Path:
    (now / "run" / CONFIG).unlink()
    return now / "run"


def _other_seed(now: Path) -> Path:
    path = now / "run" / CONFIG
    path.write_text(path.read_text().replace("seed: 0", "seed: 7"))
    return now / "run"


FOREIGN: Mapping[str, Place] = {
    "others' files": lambda now: now / "foreign",
    "a model": lambda now: now / "models" / "a",
    "a file": lambda now: now / "problems.jsonl",
    "below a file": lambda now: now / "problems.jsonl" / "out",
    "a link to others' files": _link_itself("foreign"),
    "a link to nothing": _link_itself("no/such/place"),
    "a link to a file": _link_itself("problems.jsonl"),
}
"""Folders in which no command may write."""
OWN: Mapping[str, Mapping[str, Place]] = {
    "train": {
        "an evaluation": lambda now: now / "evaluation",
        "a run with another seed": _other_seed,
        "another's mark": _marked("run", "another program\n"),
    },
    "evaluate": {
        "a run": lambda now: now / "run",
        "a link to others' page": _linked("evaluation/README.md", "foreign/README.md"),
        "a link to others' records": _linked("evaluation/records", "foreign/records"),
        "another's mark": _marked("evaluation", "another program\n"),
        "a mark that is no text": _mark_of_bytes,
    },
    "resume": {
        "a link to others' page": _linked("run/summary.md", "foreign/README.md"),
        "a link to a foreign folder": _linked("run/hacpo/agents", "foreign"),
        "a link for a new file": _linked("run/hacpo/notes.txt", "foreign/new"),
        "another's mark": _marked("run", "hacrl-lab evaluate\n"),
        "no settings": _without_settings,
    },
}
"""Folders in which one command may not write, by that command."""
FREE: Mapping[str, Mapping[str, Place]] = {
    "train": {
        "a new folder": lambda now: now / "new" / "below",
        "an empty folder": _made("empty"),
        "its own folder": lambda now: now / "run",
    },
    "evaluate": {
        "a new folder": lambda now: now / "new" / "below",
        "an empty folder": _made("empty"),
        "its own folder": lambda now: now / "evaluation",
        "a link within the folder": _linked("evaluation/README.md", "evaluation/table.tex"),
    },
    "resume": {"its own folder": lambda now: now / "run"},
}
"""Folders in which a command may write."""
