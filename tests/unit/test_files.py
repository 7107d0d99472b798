import errno
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hacrl_lab.files import atomic_write, locked, told_by_the_system, write_text


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


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_bytes(b"mine")
    for name in ("config.json", "config.unfinished"):
        (tmp_path / name).symlink_to(mine)
    write_text(tmp_path / "config.json", "new")
    assert mine.read_bytes() == b"mine"
    assert (tmp_path / "config.json").read_bytes() == b"new"
    assert not (tmp_path / "config.json").is_symlink()


def test_a_process_that_waits_reports_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        "import sys, time; from pathlib import Path; from hacrl_lab.files import locked\n"
        "with locked(Path(sys.argv[1]), name='a'):\n    print('locked', flush=True); time.sleep(2)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with locked(tmp_path, name="b"):
            pass
        assert not capfd.readouterr().err
        with locked(tmp_path, name="a"):
            assert "waiting for another process, which has" in capfd.readouterr().err


def test_what_safetensors_raises_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file or directory") as raised, told_by_the_system(tmp_path):
        save_file({"a": torch.zeros(1)}, tmp_path / "none" / "a.safetensors")
    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, str(tmp_path))


def test_other_errors_are_left_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), told_by_the_system(tmp_path):
        raise ZeroDivisionError
