"""One fingerprint of a model by content: everything that decides what it says changes it, nothing else does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hacrl_lab.errors import ModelLoadError
from hacrl_lab.language_models.model_fingerprint import model_fingerprint


@pytest.fixture
def model(adders: list[str], tmp_path: Path) -> Path:
    """A copy of a real model folder."""
    return Path(shutil.copytree(adders[0], tmp_path / "model"))


def flip_last_byte(path: Path) -> None:
    """Other content of the same size, with the same time stamp."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "weights of the same size and time": lambda folder: flip_last_byte(folder / "model.safetensors"),
    "tokenizer": lambda folder: flip_last_byte(folder / "tokenizer.json"),
    "configuration": lambda folder: (folder / "config.json").write_text("{}"),
    "chat template": lambda folder: (folder / "chat_template.jinja").write_text("{{ messages }}"),
    "another chat template": lambda folder: (
        (folder / "additional_chat_templates").mkdir(),
        (folder / "additional_chat_templates" / "tools.jinja").write_text("x"),
    ),
    "how it samples": lambda folder: (folder / "generation_config.json").write_text('{"top_k": 3}'),
    "a file less": lambda folder: (folder / "tokenizer_config.json").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_everything_that_decides_what_a_model_says_is_in_it(model: Path, change: str) -> None:
    before = model_fingerprint(str(model))
    assert model_fingerprint(str(model)) == before
    CHANGES[change](model)
    assert model_fingerprint(str(model)) != before


def test_place_time_and_notes_are_not_in_it(model: Path, tmp_path: Path) -> None:
    before = model_fingerprint(str(model))
    (model / "README.md").write_text("a model card")
    (model / ".cache").mkdir()
    for path in model.glob("*.json"):
        path.touch()
    assert model_fingerprint(str(model.rename(tmp_path / "moved"))) == before


def test_an_adapter_stands_for_its_base_too(model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(model)}))
    (adapter / "adapter_model.safetensors").write_bytes(b"tensors")
    marks = [model_fingerprint(str(adapter))]
    flip_last_byte(model / "model.safetensors")
    marks.append(model_fingerprint(str(adapter)))
    flip_last_byte(adapter / "adapter_model.safetensors")
    marks.append(model_fingerprint(str(adapter)))
    assert len(set(marks)) == 3


def test_of_a_hub_id_it_is_the_commit_of_the_main_branch(tmp_path: Path) -> None:
    program = (
        "import sys; from hacrl_lab.language_models.model_fingerprint import model_fingerprint\n"
        "print(model_fingerprint('owner/name'))"
    )
    branch = tmp_path / "models--owner--name" / "refs" / "main"
    branch.parent.mkdir(parents=True)
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    said = []
    for commit in ("a" * 40, "b" * 40):  # as the hub's client leaves them
        snapshot = tmp_path / "models--owner--name" / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        branch.write_text(commit)
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        said.append(done.stdout.strip())
    assert said == ["a" * 40, "b" * 40]


def test_a_model_that_is_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for source, message in (("./none", "does not exist"), ("nobody/none", "could not find the model 'nobody/none'")):
        with pytest.raises(ModelLoadError, match=message):
            model_fingerprint(source)
