"""One fingerprint of a user's code: of its file and of all own files that it imports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hacrl_lab.code_fingerprint import code_fingerprint
from hacrl_lab.own_code import load_own

FILES = {
    "own_reward.py": "import math\nimport numpy\nfrom own_parts import words\nimport own_helper\n"
    "def reward(completions, **columns):\n    import own_late\n    return [0.0 for _ in completions]\n",
    "own_helper.py": "import own_deep\n",
    "own_deep.py": "import own_helper\nLIMIT = 1\n",
    "own_late.py": "LIMIT = 1\n",
    "own_parts/__init__.py": "",
    "own_parts/words.py": "from . import more\nfrom .more import LIMIT\nfrom .inner import deep\n",
    "own_parts/more.py": "LIMIT = 1\n",
    "own_parts/inner/__init__.py": "",
    "own_parts/inner/deep.py": "from ..above import LIMIT\n",
    "own_parts/above.py": "LIMIT = 1\n",
    "own_unused.py": "LIMIT = 1\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A reward function beside what it imports; nothing of it stays imported."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    load_own(f"{tmp_path / 'own_reward.py'}:reward", "reward function")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("name", [name for name in FILES if name != "own_unused.py"])
def test_a_change_of_any_file_that_is_imported_changes_it(folder: Path, name: str) -> None:
    before = code_fingerprint(str(folder / "own_reward.py"))
    (folder / name).write_text(FILES[name] + "# another version\n")
    assert code_fingerprint(str(folder / "own_reward.py")) != before


def test_other_files_and_the_place_do_not(folder: Path) -> None:
    before = code_fingerprint(str(folder / "own_reward.py"))
    (folder / "own_unused.py").write_text("LIMIT = 2\n")
    assert code_fingerprint(str(folder / "own_reward.py")) == before


def test_code_without_a_file_and_a_broken_file_have_one(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def (")
    marks = {code_fingerprint(None), code_fingerprint(str(broken))}
    assert len(marks) == 2


def test_the_labs_and_installed_packages_are_not_followed(tmp_path: Path) -> None:
    plain, importing = tmp_path / "plain.py", tmp_path / "importing.py"
    plain.write_text("import torch, hacrl_lab.errors, json, os.path\n")
    importing.write_text(plain.read_text())
    assert code_fingerprint(str(plain)) == code_fingerprint(str(importing))
