"""Calls under a time limit, in worker processes: for functions whose input may make them hang, die or fill the memory.

Process pools with time limits exist; the ones we know kill one worker after another, follow the wall clock, or break
when a worker is killed from outside.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from hacrl_lab.errors import LabError, SettingError

SLOW_AFTER = 0.1
"""Seconds after which a call is slow and no longer keeps others waiting."""
MOST_SLOW = 16
"""Slow calls that run at the same time, at most."""
CALLS_OF_A_WORKER = 2000
"""Then a fresh worker takes its place, and memory that libraries held on to is free again."""
_START_FORK_SERVER = "from hacrl_lab.verification.fork_server import main; main()"
_SAME_EVERYWHERE = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Environment of the workers: sets have one order in all runs, and threads of many cores do not use up the memory."""


class Lost(Enum):
    """Why a call has no result."""

    TIMED_OUT = "timed out"
    DIED = "its worker died twice"


class LimitedWorkers:
    """Makes calls in worker processes without rights, which are killed when a call takes too long.

    Workers may read files, and change nothing outside themselves (:mod:`hacrl_lab.verification.no_rights`). What they
    print is not shown. Sets of strings have the same order in all of them.

    A call is slow after ``SLOW_AFTER`` seconds. Slow calls continue beside the others and do not count among
    ``workers``, so that k calls that hang take about one ``timeout`` together and not k. At most ``MOST_SLOW`` run at
    the same time, and they share the processor's cores, in time that counts towards the limit of each.

    Processes start with the first call.

    Args:
        workers: calls at the same time, beside slow ones.
        timeout: seconds for one call.
        module: is imported once, before workers are forked, and its function ``prepare_workers`` called.
        prepared_with: arguments of ``prepare_workers``.

    Raises:
        SettingError: with fewer than one worker, or a time limit that is not a positive number of seconds.
    """

    def __init__(self, workers: int, timeout: float, module: str, prepared_with: Sequence[str] = ()) -> None:
        if workers < 1:
            raise SettingError(f"workers must be at least 1, not {workers}")
        if not 0 < timeout < float("inf"):
            raise SettingError(f"timeout must be a positive number of seconds, not {timeout}")
        self._workers = workers
        self._timeout = timeout
        self._module = module
        self._prepared_with = prepared_with
        self._fork_server: _ForkServer | None = None
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()  # one map at a time

    def map(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The function's result for each tuple of arguments, or a :class:`Lost`.

        A call whose worker died before the limit is made once more: not every death is the call's own doing.

        Args:
            function: one of a module, whose results can be pickled; an exception in it ends the worker.
            arguments: a tuple for each call.

        Raises:
            LabError: if no process can be started.
        """
        results: list[Any] = [Lost.DIED] * len(arguments)
        waiting = deque(range(len(arguments)))
        died: set[int] = set()
        busy: dict[Connection, _Worker] = {}
        with self._lock:
            try:
                while waiting or busy:
                    while waiting and self._may_start(busy):
                        worker = self._idle_or_new_worker()
                        argument_index = waiting.popleft()
                        worker.call(argument_index, function, arguments[argument_index])
                        busy[worker.connection] = worker
                    for connection in wait(list(busy), SLOW_AFTER if waiting else None):
                        worker = busy.pop(connection)  # type: ignore[call-overload]
                        result = self._result(worker)
                        if result is Lost.DIED and worker.argument_index not in died:
                            died.add(worker.argument_index)
                            waiting.appendleft(worker.argument_index)
                        results[worker.argument_index] = result
            finally:
                for connection in busy:  # interrupted: whatever they answer, nobody will read it
                    connection.close()
        return results

    def close(self) -> None:
        """End all processes."""
        while self._idle:
            self._idle.pop().connection.close()
        if self._fork_server is not None:
            self._fork_server.kill()
            self._fork_server = None

    def _may_start(self, busy: dict[Connection, _Worker]) -> bool:
        slow = sum(worker.seconds() > SLOW_AFTER for worker in busy.values())
        return len(busy) - min(slow, MOST_SLOW) < self._workers

    def _idle_or_new_worker(self) -> _Worker:
        if self._idle:
            return self._idle.pop()
        if self._fork_server is None or not self._fork_server.is_alive():
            self.close()
            self._fork_server = _ForkServer(self._timeout, self._module, self._prepared_with)
        return _Worker(self._fork_server.new_worker())

    def _result(self, worker: _Worker) -> Any:
        """What a worker answered, or why it ended; one that answered is kept for other calls."""
        try:
            result = worker.connection.recv()
        except (EOFError, OSError):
            worker.connection.close()
            return Lost.TIMED_OUT if worker.seconds() >= self._timeout else Lost.DIED
        if len(self._idle) < self._workers and worker.calls < CALLS_OF_A_WORKER:
            self._idle.append(worker)
        else:
            worker.connection.close()  # which ends it
        return result


@dataclass
class _Worker:
    connection: Connection
    calls: int = 0
    argument_index: int = 0
    """Of its present call among the arguments."""
    started: float = 0.0
    """When its present call began, on the monotonic clock."""

    def call(self, argument_index: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.calls, self.argument_index, self.started = self.calls + 1, argument_index, time.monotonic()
        with contextlib.suppress(OSError):  # it has ended, as reading from it will tell
            self.connection.send((function, arguments))

    def seconds(self) -> float:
        """Since its present call began."""
        return time.monotonic() - self.started


class _ForkServer:
    """The process that forks workers; in a group of its own with them, out of reach of Ctrl-C."""

    def __init__(self, timeout: float, module: str, prepared_with: Sequence[str]) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            arguments = [str(theirs.fileno()), str(os.getpid()), str(timeout), module, *prepared_with]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START_FORK_SERVER, *arguments],
                env={
                    **os.environ,
                    **_SAME_EVERYWHERE,
                    "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        if not self._requests.recv(len(b"ready")):
            self.kill()
            raise LabError(f"the processes for {module} could not be started; their own message is above")

    def new_worker(self) -> Connection:
        """The connection to a worker that will have been forked in a moment, or that is closed at the other end."""
        ours, theirs = Pipe()
        with theirs, contextlib.suppress(OSError):  # it has just ended, as reading from the connection will tell
            socket.send_fds(self._requests, [b"w"], [theirs.fileno()])
        return ours

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End it and its workers."""
        self._requests.close()
        with contextlib.suppress(ProcessLookupError):  # they have ended already
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
