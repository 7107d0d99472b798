"""What is lost of Ray is noticed by looking at its processes, and by connections that are closed or say nothing."""

from __future__ import annotations

import pickle
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

from hacrl_lab.engines import ray, ray_process
from hacrl_lab.engines.ray import RemoteAgent
from hacrl_lab.engines.ray_process import SERVERS, Processes
from hacrl_lab.engines.ray_worker import Worker
from hacrl_lab.errors import EngineError, LabError
from hacrl_lab.seeding import RandomStream


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this one that has the name of a server of Ray."""
    program = tmp_path / request.param
    program.symlink_to(shutil.which("sleep") or "")
    with subprocess.Popen([str(program), "600"]) as process:
        yield process
        process.kill()


def test_a_server_that_ended_is_a_loss(server: subprocess.Popen[bytes]) -> None:
    processes = Processes()
    assert processes.loss() is None
    name = psutil.Process(server.pid).name()
    server.kill()
    psutil.wait_procs([psutil.Process(server.pid)], timeout=10)
    assert processes.loss() == f"Ray's process {name} ended"


def test_a_process_that_is_stopped_for_long_is_a_loss(
    server: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(ray_process.time, "monotonic", lambda: now)
    processes = Processes()
    found = []
    for signals, seconds in (([signal.SIGSTOP], 20), ([signal.SIGCONT], 0), ([signal.SIGSTOP], 20), ([], 20)):
        for one in signals:
            server.send_signal(one)
        wait_for_stop(server, stopped=signals != [signal.SIGCONT])
        found.append(processes.loss())
        now += seconds
    assert found == [None] * 4
    assert "was stopped for 30 s" in str(processes.loss())


def wait_for_stop(server: subprocess.Popen[bytes], stopped: bool) -> None:
    while (psutil.Process(server.pid).status() == psutil.STATUS_STOPPED) != stopped:
        pass


@pytest.fixture
def ends() -> Iterator[tuple[RemoteAgent, Connection]]:
    """An agent elsewhere, and the other end of its connection."""
    with ExitStack() as stack:
        ours, theirs = map(stack.enter_context, Pipe())
        yield RemoteAgent("a", 2, ours, lambda: EngineError("Ray is lost")), theirs


def generate(agent: RemoteAgent) -> Any:
    return agent.generate(None, 1, RandomStream(0))


def answer_with(theirs: Connection, *messages: object) -> None:
    """In a thread, to the next request."""

    def work() -> None:
        theirs.recv()
        for message in messages:
            theirs.send(message)

    threading.Thread(target=work).start()


def test_signs_of_life_are_no_answers(ends: tuple[RemoteAgent, Connection]) -> None:
    agent, theirs = ends
    answer_with(theirs, None, None, (False, pickle.dumps("rollouts")))
    assert generate(agent) == "rollouts"
    answer_with(theirs, None, (True, pickle.dumps(LabError("no answer"))))
    with pytest.raises(LabError, match="no answer"):
        generate(agent)


def test_a_closed_connection_is_told_as_the_loss_of_ray(ends: tuple[RemoteAgent, Connection]) -> None:
    agent, theirs = ends
    theirs.close()
    with pytest.raises(EngineError, match="Ray is lost"):
        generate(agent)


def test_no_sign_of_life_ends_the_waiting_and_a_late_answer_is_not_taken_for_another(
    ends: tuple[RemoteAgent, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, theirs = ends
    monkeypatch.setattr(ray, "SIGN_OF_LIFE", 0.2)
    answer_with(theirs, None)
    with pytest.raises(EngineError, match="gave no sign of life"):
        generate(agent)
    with pytest.raises(OSError, match=r"Broken pipe|Connection reset"):
        theirs.send((False, pickle.dumps("late")))
    with pytest.raises(EngineError, match="Ray is lost"):
        generate(agent)


class Unmakeable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__("no message")


class Failing:
    """An agent whose methods fail."""

    def generate(self) -> None:
        raise LabError("no answer")

    def score(self) -> None:
        raise MemoryError("no room")

    def update(self) -> None:
        raise Unmakeable(1, 2)


def test_errors_of_an_agent_keep_their_type_and_their_traceback() -> None:
    worker = Worker(0, 1)
    assert worker.make(pickle.dumps((Failing, 0))) == (False, pickle.dumps(None))
    errors = []
    for method in ("generate", "score", "update"):
        failed, packed = worker.call(pickle.dumps((method, ())))
        assert failed
        errors.append(pickle.loads(packed))
    assert [type(error) for error in errors] == [LabError, MemoryError, RuntimeError]
    assert "in score" in errors[1].__notes__[0]
    assert "Unmakeable: no message" in str(errors[2])
