"""Would the tests notice? Breaks the code in one place at a time and runs the test that should fail.

    python tools/mutations.py                 all mutations; exit status 0 if every one is noticed
    python tools/mutations.py --only omega    those whose name contains "omega"
    python tools/mutations.py --part 1 --parts 4   every fourth, beginning with the second

The mutations stand in ``mutations.txt``: under the name of a file, for each its name, the test that must fail, the text
that stands in the file once and the text that takes its place. Every one is applied to a copy of the project in a
temporary folder; the working tree is not touched. First of all the named tests run on an unmutated copy. Test processes
are forked from one that has imported the libraries already, which takes most of the time off.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

PROJECT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_suffix(".txt")
COPIED = ("hacrl_lab", "hacrl_runs", "envs", "experiments", "notebooks", "tests", "tools", "pyproject.toml")
LINKED = ("docs", "results")
"""What walkthroughs read and nobody writes."""
LIBRARIES = (
    "gymnasium.envs.toy_text",
    "hypothesis.extra.numpy",
    "math_verify",
    "matplotlib.pyplot",
    "pytest",
    "scipy.stats",
    "torch._dynamo",
    "torch.utils.tensorboard",
    "tqdm.auto",
    "transformers.models.gpt2.modeling_gpt2",
    "transformers.models.llama.modeling_llama",
    "transformers.models.qwen3.modeling_qwen3",
    "tyro",
)
"""Imported once, before processes are forked; nothing of the project is."""


@dataclass(frozen=True)
class Mutation:
    """One way to get the code wrong."""

    name: str
    file: str
    noticed_by: str
    """The test that fails, as pytest names it under ``tests/``, or a walkthrough, ``notebooks/...ipynb``."""
    old: str
    """Stands in the file exactly once."""
    new: str


@dataclass(frozen=True)
class Arguments:
    """Break the code in one place at a time and see whether a test fails."""

    only: str = ""
    """Mutations whose name or file contains this; by default all."""
    part: int = 0
    """Of the parts, the one that is tried, from 0 on."""
    parts: int = 1
    """In how many parts the mutations are divided."""
    jobs: int = 2
    """Mutations tried at the same time."""


class FirstFailure:
    """A plugin of pytest that keeps the name of the first test that fails."""

    def __init__(self) -> None:
        self.name = ""

    def pytest_runtest_logreport(self, report: object) -> None:
        """Called by pytest after every phase of every test."""
        if getattr(report, "failed", False):
            self.name = self.name or str(getattr(report, "nodeid", ""))

    def pytest_collectreport(self, report: object) -> None:
        """Called by pytest after it has read a file of tests."""
        self.pytest_runtest_logreport(report)


def place_of(noticed_by: str, folder: Path = PROJECT) -> Path:
    """Where a test or a walkthrough is, in a copy of the project; what follows ``::`` stays."""
    return folder / noticed_by if noticed_by.startswith("notebooks/") else folder / "tests" / noticed_by


def run_tests(folder: Path, tests: Iterable[str]) -> tuple[str, str]:
    """Run tests of a copy in this process: the first that fails, or nothing if all passed; and what pytest wrote."""
    import pytest
    from hypothesis import Phase, settings

    os.chdir(folder)
    # before the installed ones, here and in processes of the tests
    packages = [str(folder / name) for name in ("", "envs", "experiments", "notebooks", "tools")]
    sys.path[:0] = packages
    os.environ["PYTHONPATH"] = os.pathsep.join(packages)
    sys.dont_write_bytecode = True
    settings.register_profile("mutations", phases=(Phase.explicit, Phase.generate), database=None)  # no shrinking
    settings.load_profile("mutations")
    failure, output = FirstFailure(), io.StringIO()
    plugins = [f"-pno:{name}" for name in ("cacheprovider", "unraisableexception", "threadexception", "anyio")]
    short = ["-x", "-q", "--tb=line", "--assert=plain"]  # pytest explains differences of large values for minutes
    options = [*short, "-o", "addopts=", "--nbmake", f"--rootdir={folder}", *plugins]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = pytest.main([*options, *(str(place_of(test, folder)) for test in tests)], plugins=[failure])
    import hacrl_lab

    if status not in (0, 1, 2) or not Path(str(hacrl_lab.__file__)).is_relative_to(folder):
        raise RuntimeError(f"pytest ended with status {status}:\n{output.getvalue()[-3000:]}")
    if status and not failure.name:
        failure.name = "a test that was interrupted"
    return failure.name, output.getvalue()


def try_out(mutation: Mutation | None, tests: tuple[str, ...]) -> tuple[str, str, float]:
    """Run tests on a copy of the project, mutated if a mutation is given; the time in seconds beside the result."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for part in COPIED:
            source = PROJECT / part
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.csv", "*.png")
                shutil.copytree(source, folder / part, ignore=ignored)
            else:
                shutil.copy(source, folder / part)
        for part in LINKED:
            (folder / part).symlink_to(PROJECT / part)
        if mutation is not None:
            mutate(folder, mutation)
        result = run_tests(folder, tests)
        os.chdir(PROJECT)
    return *result, time.perf_counter() - started


def mutate(folder: Path, mutation: Mutation) -> None:
    """Apply a mutation to a copy."""
    path = folder / mutation.file
    text = path.read_text(encoding="utf-8")
    if (count := text.count(mutation.old)) != 1:
        raise RuntimeError(f"{mutation.name}: {mutation.old!r} stands {count} times in {mutation.file}")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def read_mutations(text: str) -> list[Mutation]:
    """Parse ``mutations.txt``; a block of lines for each mutation, blank lines between."""
    mutations, file = [], ""
    for block in text.strip().split("\n\n"):
        name, *lines = block.splitlines()
        if name.startswith("file "):
            file = name.removeprefix("file ")
            continue
        test, *changes = [line.removeprefix("    ") for line in lines]
        old, new = ("\n".join(line[2:] for line in changes if line.startswith(sign)) for sign in "-+")
        mutations.append(Mutation(name, file, test, old, new))
    return mutations


def check(mutations: Iterable[Mutation]) -> None:
    """Make sure that every mutation can be applied, before anything runs."""
    for mutation in mutations:
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name) / mutation.file
            copy.parent.mkdir(parents=True)
            shutil.copy(PROJECT / mutation.file, copy)
            mutate(Path(name), mutation)


def main() -> int:
    """Run from the command line; returns the exit status."""
    arguments = tyro.cli(Arguments, description=__doc__)
    started = time.perf_counter()
    os.environ["OMP_NUM_THREADS"] = "1"
    everything = read_mutations(TABLE.read_text(encoding="utf-8"))
    mutations = [each for each in everything if arguments.only in each.name or arguments.only in each.file]
    check(mutations)
    mutations = mutations[arguments.part :: arguments.parts]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LIBRARIES))
    with ProcessPoolExecutor(arguments.jobs, mp_context=context, max_tasks_per_child=1) as pool:
        by_file: dict[str, list[str]] = {}
        for test in dict.fromkeys(mutation.noticed_by for mutation in mutations):
            by_file.setdefault(test.partition("::")[0], []).append(test)
        unmutated = [pool.submit(try_out, None, tuple(tests)) for tests in by_file.values()]
        for future in tqdm(as_completed(unmutated), total=len(unmutated), desc="unmutated", unit="file"):
            failed, output, _ = future.result()
            if failed:
                print(f"error: {failed} fails without any mutation\n{output}", file=sys.stderr)
                return 2
        futures = {pool.submit(try_out, each, (each.noticed_by,)): each for each in mutations}
        results = {}
        for future in tqdm(as_completed(futures), total=len(futures), desc="mutations", unit="mutation"):
            failed, _, seconds = future.result()
            results[futures[future]] = failed, seconds
    for mutation in mutations:
        test, seconds = results[mutation]
        print(f"{'noticed  ' if test else 'SURVIVED '} {seconds:4.1f} s  {mutation.name}: {test or mutation.file}")
    survivors = sum(not test for test, _ in results.values())
    print(f"{len(results) - survivors} of {len(results)} mutations noticed in {time.perf_counter() - started:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main())
