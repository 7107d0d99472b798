import _thread
import io
import operator
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

from difficult_calls import allocate, loop_within_c
from hacrl_lab.errors import LabError
from hacrl_lab.verification import limited_workers
from hacrl_lab.verification.fork_server import MEMORY_LIMIT
from hacrl_lab.verification.limited_workers import CALLS_OF_A_WORKER, LimitedWorkers, Lost

MODULE = "hacrl_lab.verification.equality"
TIMEOUT = 1.0


@pytest.fixture(scope="module")
def workers() -> Iterator[LimitedWorkers]:
    started = LimitedWorkers(2, TIMEOUT, MODULE)
    yield started
    started.close()


def descendants() -> set[psutil.Process]:
    """The fork server and its workers."""
    return {process for process in psutil.Process().children(recursive=True) if alive(process)}


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_results_stand_in_the_order_of_the_arguments(workers: LimitedWorkers) -> None:
    assert workers.map(operator.sub, [(place, 1) for place in range(100)]) == list(range(-1, 99))
    assert workers.map(operator.sub, []) == []


def test_every_call_is_told_when_it_is_made_lost_ones_too(workers: LimitedWorkers) -> None:
    told: list[None] = []
    results = workers.map(operator.sub, [(5, 2), (5, "2"), (7, 2)], lambda: told.append(None))
    assert results == [3, Lost.DIED, 5]
    assert len(told) == 3


def test_calls_that_hang_cost_about_one_limit_together(workers: LimitedWorkers) -> None:
    workers.map(abs, [(1,)])  # the fork server has started
    started = time.monotonic()
    assert workers.map(time.sleep, [(60,)] * 8) == [Lost.TIMED_OUT] * 8
    seconds = time.monotonic() - started
    assert TIMEOUT <= seconds < 3 * TIMEOUT  # one after the other, by two workers: 4 limits


def test_other_calls_do_not_wait_for_those_that_hang(workers: LimitedWorkers) -> None:
    workers.map(abs, [(1,)])
    started = time.monotonic()
    results = workers.map(time.sleep, [(60,)] * 4 + [(0,)] * 1000)
    assert results == [Lost.TIMED_OUT] * 4 + [None] * 1000
    assert time.monotonic() - started < 2 * TIMEOUT


def test_a_call_is_ended_within_c_code(workers: LimitedWorkers) -> None:
    assert workers.map(loop_within_c, [()]) == [Lost.TIMED_OUT]
    assert workers.map(operator.pow, [(2, 3)]) == [8]


def test_limits_do_not_follow_the_wall_clock(workers: LimitedWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    days = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: next(days) * 86400.0)
    assert workers.map(time.sleep, [(0.1,)] * 4) == [None] * 4
    assert workers.map(os._exit, [(1,)]) == [Lost.DIED]


def test_a_call_whose_workers_die_is_lost_and_the_others_are_made(workers: LimitedWorkers) -> None:
    assert workers.map(os._exit, [(1,)]) == [Lost.DIED]
    assert workers.map(abs, [(-1,), ("no number",), (-2,)]) == [1, Lost.DIED, 2]


def test_a_call_whose_worker_is_killed_is_made_once_more() -> None:
    workers = LimitedWorkers(1, 60, MODULE)
    before = descendants()
    workers.map(abs, [(1,)])
    [worker] = [process for process in descendants() - before if process.ppid() != os.getpid()]
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.extend(workers.map(time.sleep, [(1.0,)])))
    thread.start()
    time.sleep(0.3)
    worker.kill()
    thread.join(timeout=30)
    workers.close()
    assert results == [None]


def test_workers_and_fork_server_that_are_killed_while_idle_are_replaced(workers: LimitedWorkers) -> None:
    workers.map(os.getpid, [()] * 10)
    for number_killed in (1, 3):
        for process in sorted(descendants(), key=lambda one: one.ppid() == os.getpid())[:number_killed]:
            process.kill()
            wait_until(lambda process=process: not alive(process))
        assert workers.map(operator.neg, [(1,), (2,), (3,)]) == [-1, -2, -3]


def family(workers: LimitedWorkers) -> list[psutil.Process]:
    """The fork server and its workers."""
    assert workers._fork_server is not None
    server = psutil.Process(workers._fork_server._process.pid)
    return [server, *server.children()]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited_workers, "PATIENCE", 2.0)


VICTIMS = pytest.mark.parametrize(
    "victims", [slice(0, 1), slice(1, None), slice(None)], ids=["server", "workers", "all"]
)
STRIKES = pytest.mark.parametrize("strike", [psutil.Process.kill, psutil.Process.suspend], ids=["killed", "stopped"])


@VICTIMS
@STRIKES
@pytest.mark.parametrize("pause", [0.0, 1.5])
def test_no_call_is_lost_where_processes_were_killed_or_stopped_before(
    victims: slice, strike: Callable[[psutil.Process], None], pause: float, impatient: None
) -> None:
    workers = LimitedWorkers(2, 60, MODULE)
    workers.map(time.sleep, [(0.1,)] * 2)
    before = family(workers)
    for process in before[victims]:
        strike(process)
    time.sleep(pause)  # within it, idle workers notice that their server has been killed
    assert workers.map(time.sleep, [(0.05,)] * 8) == [None] * 8
    workers.close()
    try:
        wait_until(lambda: not any(map(alive, before)))
    finally:
        for process in filter(alive, before):
            process.kill()


@VICTIMS
@STRIKES
def test_no_call_is_lost_where_processes_are_killed_or_stopped_in_between(
    victims: slice, strike: Callable[[psutil.Process], None], impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited_workers, "CALLS_OF_A_WORKER", 3)  # new ones are forked all the time
    workers = LimitedWorkers(2, 3.0, MODULE)
    workers.map(time.sleep, [(0.1,)] * 2)
    thread = threading.Timer(0.3, lambda: [strike(process) for process in family(workers)[victims]])
    thread.start()
    assert workers.map(time.sleep, [(0.08,)] * 20) == [None] * 20
    thread.join()
    workers.close()


@STRIKES
def test_processes_that_are_killed_or_stopped_again_and_again_are_one_sentence(
    strike: Callable[[psutil.Process], None], impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork, struck = limited_workers._ForkServer.new_worker, []

    def new_worker(server: limited_workers._ForkServer) -> Connection:
        strike(psutil.Process(server._process.pid))
        struck.append(server)
        return fork(server)

    monkeypatch.setattr(limited_workers._ForkServer, "new_worker", new_worker)
    workers = LimitedWorkers(1, 60, MODULE)
    with pytest.raises(LabError, match=f"^the processes for {MODULE} were killed or stopped again and again$"):
        workers.map(abs, [(1,)])
    workers.close()
    assert len(set(struck)) == 1 + limited_workers.MOST_RESTARTS + 1


def strike_the_first(monkeypatch: pytest.MonkeyPatch, strike: Callable[[psutil.Process], None], count: int) -> None:
    """Of the processes that are started from now on, as soon as they are there."""
    start, struck = subprocess.Popen, []

    def started(*arguments: Any, **settings: Any) -> subprocess.Popen:
        process = start(*arguments, **settings)
        if len(struck) < count:
            struck.append(process)
            strike(psutil.Process(process.pid))
        return process

    monkeypatch.setattr(subprocess, "Popen", started)


@STRIKES
def test_a_fork_server_that_is_killed_or_stopped_while_it_starts_is_replaced(
    strike: Callable[[psutil.Process], None], impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike_the_first(monkeypatch, strike, 1)
    workers = LimitedWorkers(1, 60, MODULE)
    started = time.monotonic()
    assert workers.map(operator.neg, [(1,)]) == [-1]
    assert time.monotonic() - started < 30
    workers.close()


@STRIKES
def test_fork_servers_that_never_start_since_they_are_killed_or_stopped_are_one_sentence(
    strike: Callable[[psutil.Process], None], impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike_the_first(monkeypatch, strike, 9)
    with pytest.raises(LabError, match=f"^the processes for {MODULE} were killed or stopped again and again$"):
        LimitedWorkers(1, 60, MODULE).map(abs, [(1,)])


def test_a_fork_server_that_does_not_start_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sleeps.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(limited_workers, "START", 1.0)
    with pytest.raises(LabError, match=r"^the processes for sleeps did not start within 1 seconds$"):
        LimitedWorkers(1, TIMEOUT, "sleeps").map(abs, [(1,)])


def test_a_worker_is_replaced_after_a_number_of_calls() -> None:
    workers = LimitedWorkers(1, 60, MODULE)
    calls = Counter(workers.map(os.getpid, [()] * (2 * CALLS_OF_A_WORKER + 1)))
    workers.close()
    assert list(calls.values()) == [CALLS_OF_A_WORKER, CALLS_OF_A_WORKER, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_a_worker_cannot_fill_the_memory(workers: LimitedWorkers) -> None:
    assert workers.map(allocate, [(2 * MEMORY_LIMIT,), (2,)]) == [Lost.DIED, 2]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (io.open, ("made", "w")),
        (io.open, ("there", "a")),
        (os.open, ("made", os.O_CREAT | os.O_WRONLY)),
        (os.mkdir, ("made",)),
        (os.remove, ("there",)),
        (os.rename, ("there", "made")),
        (os.system, ("echo > made",)),
        (os.fork, ()),
        (socket.create_connection, (("127.0.0.1", 9),)),
        (os.kill, (0, 0)),
    ],
)
def test_a_worker_has_no_rights(
    workers: LimitedWorkers, tmp_path: Path, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    (tmp_path / "there").write_text("as before")
    given = tuple(str(tmp_path / one) if one in ("made", "there") else one for one in arguments)
    assert workers.map(function, [given]) == [Lost.DIED]
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text() == "as before"


def test_a_worker_may_read(workers: LimitedWorkers, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("as before")
    assert workers.map(Path.read_text, [(tmp_path / "there",)]) == ["as before"]


def test_the_kernel_lets_no_file_of_a_worker_grow(workers: LimitedWorkers) -> None:
    assert workers.map(resource.getrlimit, [(resource.RLIMIT_FSIZE,)]) == [(0, 0)]


def test_strings_have_the_same_hash_in_all_workers() -> None:
    found = []
    for _ in range(2):
        workers = LimitedWorkers(1, 60, MODULE)
        found += workers.map(hash, [("a string",)])
        workers.close()
    assert found[0] == found[1] != hash("a string")


def test_what_a_worker_prints_is_not_shown(workers: LimitedWorkers, capfd: pytest.CaptureFixture[str]) -> None:
    assert workers.map(print, [("something",)] * 3) == [None] * 3
    assert capfd.readouterr().out == ""


def test_an_interrupted_call_leaves_no_answers_behind() -> None:
    workers = LimitedWorkers(2, 60, MODULE)
    workers.map(abs, [(1,)])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # some test runners ignore the signal
    try:
        threading.Timer(0.5, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            workers.map(time.sleep, [(1.0,)] * 4)
    finally:
        signal.signal(signal.SIGINT, before)
    assert workers.map(operator.neg, [(place,) for place in range(8)]) == [-place for place in range(8)]
    workers.close()


def test_ctrl_c_leaves_the_workers_alone(workers: LimitedWorkers) -> None:
    pids = set(workers.map(os.getpid, [()] * 20))
    before = descendants()
    for process in before:
        process.send_signal(signal.SIGINT)
    assert set(workers.map(os.getpid, [()] * 20)) <= pids
    assert descendants() == before


def test_closing_ends_all_processes_at_once() -> None:
    others = descendants()
    workers = LimitedWorkers(2, 60, MODULE)
    workers.map(abs, [(1,)])
    started = descendants() - others
    workers.close()
    assert len(started) == 2  # the fork server and one worker
    wait_until(lambda: not any(map(alive, started)), seconds=5)


KILLED = f"""
import os, time
from hacrl_lab.verification.limited_workers import LimitedWorkers
workers = LimitedWorkers(2, {TIMEOUT}, "{MODULE}")
workers.map(abs, [(1,)])
if os.fork() == 0:  # holds the sockets open, as a data loader would
    time.sleep(60)
    os._exit(0)
print("started", flush=True)
workers.map(time.sleep, [(60,), (60,)])
"""


def test_processes_end_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        time.sleep(0.5)
        family = psutil.Process(parent.pid).children(recursive=True)
        [fork] = [process for process in family if process.cmdline()[-1] == KILLED]
        family.remove(fork)
        assert len(family) == 3  # the fork server and two workers
        parent.kill()
    wait_until(lambda: not any(map(alive, family)), seconds=TIMEOUT + 5)
    assert alive(fork)
    fork.kill()


@pytest.mark.parametrize("number", [0, -1])
def test_fewer_than_one_worker_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"workers must be at least 1, not {number}"):
        LimitedWorkers(number, 1, MODULE)


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf")])
def test_an_impossible_time_limit_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="timeout must be a positive number of seconds, not"):
        LimitedWorkers(1, seconds, MODULE)


def test_a_module_that_cannot_be_imported_is_one_sentence() -> None:
    workers = LimitedWorkers(1, 1, "hacrl_lab.no_such_module")
    with pytest.raises(LabError, match=r"the processes for hacrl_lab.no_such_module could not be started"):
        workers.map(abs, [(1,)])
