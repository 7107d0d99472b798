"""Nothing that a program prints can end it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from tqdm.auto import tqdm
from hacrl_runs.program import exit_with

def main():
    for number in tqdm(range(3), desc="größe"):
        print("≥", number, flush=True)
        print("größer", file=sys.stderr)
        tqdm.write("ω")
        sys.stdin.readline()
    Path(sys.argv[1]).write_text("done")
    return 7

exit_with(main)
"""


def start(path: Path, **variables: str) -> subprocess.Popen:
    """A program that prints, waits for a line before each of its three steps ends, and writes a file at the end."""
    words, environment, pipe = [sys.executable, "-c", PROGRAM, str(path)], os.environ | variables, subprocess.PIPE
    return subprocess.Popen(words, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)


def test_characters_that_a_stream_does_not_have_are_written_as_numbers(tmp_path: Path) -> None:
    output, errors = start(tmp_path / "end", PYTHONIOENCODING="ascii").communicate(b"\n\n\n")
    assert output.decode("ascii") == "\\u2265 0\n\\u03c9\n\\u2265 1\n\\u03c9\n\\u2265 2\n\\u03c9\n"
    assert errors.count(b"gr\\xf6\\xdfer\n") == 3
    assert (tmp_path / "end").read_text() == "done"


def test_characters_that_a_stream_has_are_printed(tmp_path: Path) -> None:
    output, _ = start(tmp_path / "end", PYTHONIOENCODING="utf-8").communicate(b"\n\n\n")
    assert output.decode().splitlines() == ["≥ 0", "ω", "≥ 1", "ω", "≥ 2", "ω"]


def test_a_program_goes_on_when_nobody_reads_any_more(tmp_path: Path) -> None:
    process = start(tmp_path / "end")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "≥ 0\n".encode()
    process.stdout.close()
    process.stderr.close()
    process.stdin.write(b"\n\n\n")
    process.stdin.close()
    assert process.wait(timeout=60) == 7
    assert (tmp_path / "end").read_text() == "done"


def test_a_program_prints_to_streams_that_were_closed(tmp_path: Path) -> None:
    script = f"'{sys.executable}' -c \"$PROGRAM\" '{tmp_path}/end' >&- 2>&-"
    done = subprocess.run(["bash", "-c", script], input=b"\n\n\n", env=os.environ | {"PROGRAM": PROGRAM}, timeout=60)
    assert done.returncode == 7
    assert (tmp_path / "end").read_text() == "done"
