import importlib
import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.own_process import OwnProcess


@pytest.fixture
def process() -> Iterator[OwnProcess]:
    started = OwnProcess()
    yield started
    started.close()


def call(process: OwnProcess, function: Callable[..., Any], *arguments: Any, timeout: float = 60) -> Any:
    return process.call("the function", timeout, function, *arguments)


def refuse(message: str) -> None:
    raise SettingError(message)


def fork_and_terminate() -> int:
    """How a fork ends that is terminated, as pools of processes do with theirs."""
    fork = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    fork.start()
    time.sleep(0.2)
    fork.terminate()
    fork.join(30)
    return fork.exitcode or 0


def fork_and_exit() -> None:
    """End the process and leave a fork of it behind."""
    if os.fork() == 0:
        time.sleep(60)
    os._exit(3)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop(process: psutil.Process) -> None:
    process.suspend()
    while process.status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)


def wait_until_gone(processes: list[psutil.Process], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while any(map(alive, processes)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_is_one_other_process_for_all_calls(process: OwnProcess) -> None:
    pids = {call(process, os.getpid) for _ in range(3)}
    assert len(pids) == 1
    assert os.getpid() not in pids
    process.close()
    assert not psutil.pid_exists(pids.pop())


def test_it_has_the_folder_path_and_environment_of_its_parent(
    process: OwnProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "module_of_ones_own.py"
    module.write_text("import os, sys\n\ndef name():\n    return sys.path[0], os.getcwd()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("OF_ONES_OWN", "1")
    name = importlib.import_module("module_of_ones_own").name
    assert call(process, name) == (str(tmp_path), str(tmp_path))
    assert call(process, os.getenv, "OF_ONES_OWN") == "1"
    assert call(process, os.getenv, "PYTHONPATH") == os.getenv("PYTHONPATH")


def test_errors_that_a_person_can_correct_are_raised_here(process: OwnProcess) -> None:
    with pytest.raises(SettingError, match=r"^not so$"):
        call(process, refuse, "not so")
    assert call(process, abs, -1) == 1


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (os._exit, (3,), "ended with exit status 3"),
        (signal.raise_signal, (signal.SIGKILL,), "was killed by signal 9"),
        (signal.raise_signal, (signal.SIGABRT,), "was killed by signal 6"),
        (fork_and_exit, (), "ended with exit status 3"),
    ],
)
def test_a_process_that_ends_is_one_sentence_and_the_next_call_starts_another(
    process: OwnProcess, function: Callable[..., Any], arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(LabError, match=f"^the function: its process {message}$"):
        call(process, function, *arguments)
    assert call(process, abs, -1) == 1


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(time.sleep, (600,)), (signal.raise_signal, (signal.SIGSTOP,))],
)
def test_a_call_without_an_end_is_one_sentence(
    process: OwnProcess, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    pid = call(process, os.getpid)
    started = time.monotonic()
    with pytest.raises(LabError, match=r"^the function gave no result within 1\.5 seconds$"):
        call(process, function, *arguments, timeout=1.5)
    assert 1.5 <= time.monotonic() - started < 30
    assert not psutil.pid_exists(pid)
    assert call(process, abs, -1) == 1


@pytest.mark.parametrize("size", [1, 10**7])  # the second is more than fits into the connection
def test_a_stopped_process_is_noticed_long_before_the_limit(
    process: OwnProcess, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hacrl_lab.own_process.PATIENCE", 1.5)
    monkeypatch.setattr("hacrl_lab.own_process.stays_stopped", lambda pid: False)  # it is stopped after that look
    stopped = psutil.Process(call(process, os.getpid))
    stopped.suspend()
    with pytest.raises(LabError, match=r"^the function gave no result: its process was stopped for 1\.5 seconds$"):
        call(process, len, "x" * size, timeout=40)
    assert call(process, abs, -1) == 1


def test_a_process_that_is_killed_between_two_calls_is_replaced(process: OwnProcess) -> None:
    killed = psutil.Process(call(process, os.getpid))
    killed.kill()
    wait_until_gone([killed])
    assert call(process, abs, -1) == 1


def test_a_process_that_is_stopped_between_two_calls_is_replaced(process: OwnProcess) -> None:
    stopped = psutil.Process(call(process, os.getpid))
    stop(stopped)
    assert call(process, os.getpid) != stopped.pid
    wait_until_gone([stopped])


def test_a_process_that_continues_at_once_is_the_same(process: OwnProcess) -> None:
    stopped = psutil.Process(call(process, os.getpid))
    stop(stopped)
    threading.Timer(0.5, stopped.resume).start()
    assert call(process, os.getpid) == stopped.pid


def test_what_it_prints_is_shown(process: OwnProcess, capfd: pytest.CaptureFixture[str]) -> None:
    call(process, print, "something")
    assert capfd.readouterr().out == "something\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_leave_it_alone(process: OwnProcess, number: signal.Signals) -> None:
    pid = call(process, os.getpid)
    timer = threading.Timer(0.3, os.kill, (pid, number))
    timer.start()
    call(process, time.sleep, 0.6)
    assert call(process, os.getpid) == pid


def test_an_interrupted_call_leaves_no_answer_behind(process: OwnProcess) -> None:
    call(process, abs, -1)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # some test runners ignore the signal
    try:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            call(process, time.sleep, 600)
    finally:
        signal.signal(signal.SIGINT, before)
    assert call(process, operator.neg, 1) == -1


def test_forks_of_it_may_be_terminated(process: OwnProcess) -> None:
    assert call(process, fork_and_terminate) == -signal.SIGTERM


def test_a_fork_of_the_parent_has_a_process_of_its_own(process: OwnProcess) -> None:
    pid = call(process, os.getpid)
    fork = os.fork()
    if fork == 0:
        theirs = call(process, os.getpid)
        process.close()
        os._exit(int(theirs == pid))
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
    assert call(process, os.getpid) == pid


PARENT = """
import os, sys, time
from hacrl_lab.own_process import OwnProcess
process = OwnProcess()
print(process.call("the function", 60, os.getpid), flush=True)
if len(sys.argv) > 1:
    if os.fork() == 0:  # holds the connection open, as a data loader would
        time.sleep(60)
        os._exit(0)
    process.call("the function", 60, time.sleep, 60)
"""


@pytest.mark.parametrize("words", [["killed"], []])
def test_it_ends_with_its_parent(words: list[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, *words], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        own = psutil.Process(int(parent.stdout.readline()))
        if words:
            time.sleep(1.0)
            children = psutil.Process(parent.pid).children()
            parent.kill()
            wait_until_gone([own], seconds=10)
            [fork] = [child for child in children if child != own]
            assert alive(fork)
            fork.kill()
        else:
            assert parent.wait() == 0
            assert not alive(own)
