"""The folder that all runs of a user share, and variables that name none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hacrl_lab.cache_folder import cache_folder, check_hub_cache
from hacrl_lab.errors import LabError


def test_it_is_made_where_the_variable_says_and_else_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HACRL_LAB_CACHE", str(tmp_path / "deep" / "cache"))
    assert cache_folder() == tmp_path / "deep" / "cache"
    monkeypatch.delenv("HACRL_LAB_CACHE")
    assert cache_folder() == tmp_path / ".cache" / "hacrl-lab"
    assert cache_folder().is_dir()


@pytest.mark.parametrize("variable", ["HACRL_LAB_CACHE", "HOME"])
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nobody", "/dev/null"])
def test_the_variable_that_is_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, place: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv("HACRL_LAB_CACHE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / place))  # an absolute place stays as it is
    with pytest.raises(LabError, match=rf"^{variable} is '{tmp_path / place}', where no folder can be kept") as raised:
        cache_folder()
    assert str(raised.value).endswith("; set HACRL_LAB_CACHE to one that can be")


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
def test_the_variable_of_the_hubs_folder_is_named(tmp_path: Path, variable: str) -> None:
    (tmp_path / "file").touch()
    others = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
    code = "from hacrl_lab.language_models.model_fingerprint import model_fingerprint; model_fingerprint('owner/name')"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**others, variable: str(tmp_path / "file" / "below")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f"LabError: {variable} is '{tmp_path / 'file' / 'below'}', where nothing of the hub" in found.stderr


def test_a_folder_of_the_hub_that_can_only_be_read_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/proc/self")  # nobody can write there
    check_hub_cache()
