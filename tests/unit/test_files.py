import errno
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hacrl_lab.files import atomic_write, told_by_the_system


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["config.json"]
    assert path.read_bytes() == b"new"


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), atomic_write(path) as file:
        file.writelines([b"half", "not bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"


def test_what_safetensors_raises_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file or directory") as raised, told_by_the_system(tmp_path):
        save_file({"a": torch.zeros(1)}, tmp_path / "none" / "a.safetensors")
    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, str(tmp_path))


def test_other_errors_are_left_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), told_by_the_system(tmp_path):
        raise ZeroDivisionError
