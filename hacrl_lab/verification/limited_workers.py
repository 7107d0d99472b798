"""Calls under a time limit, in worker processes: for functions whose input may make them hang, die or fill the memory.

Process pools with time limits exist; the ones we know kill one worker after another, follow the wall clock, or break
when a worker is killed from outside.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.stopped import is_stopped

SLOW_AFTER = 0.1
"""Seconds after which a call is slow and no longer keeps others waiting."""
MOST_SLOW = 16
"""Slow calls that run at the same time, at most."""
START = 120.0
"""Seconds that the fork server may take to start."""
PATIENCE = 30.0
"""Seconds that the fork server may be stopped from outside while it starts, that a worker may take to begin a call, and
that a call may take beyond its limit, at which it ends itself. A worker that takes longer has been stopped, too."""
MOST_RESTARTS = 3
"""How often processes may be killed or stopped from outside during one :meth:`LimitedWorkers.map`."""
CALLS_OF_A_WORKER = 2000
"""Then a fresh worker takes its place, and memory that libraries held on to is free again."""
_LOOK_AROUND = 0.5  # seconds between two looks for a fork server that starts
_START_FORK_SERVER = "from hacrl_lab.verification.fork_server import main; main()"
_SAME_EVERYWHERE = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Environment of the workers: sets have one order in all runs, and threads of many cores do not use up the memory."""


class Lost(Enum):
    """Why a call has no result."""

    TIMED_OUT = "timed out"
    DIED = "its worker died twice"


class _NotItsDoing(Exception):
    """The fork server was killed or stopped while it started, or a worker before it began its call or during it."""


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
        if not 0 < timeout < math.inf:
            raise SettingError(f"timeout must be a positive number of seconds, not {timeout}")
        self._workers = workers
        self._timeout = timeout
        self._module = module
        self._prepared_with = prepared_with
        self._fork_server: _ForkServer | None = None
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()  # one map at a time

    def map(
        self,
        function: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        tell: Callable[[], Any] | None = None,
    ) -> list[Any]:
        """The function's result for each tuple of arguments, or a :class:`Lost`.

        A call whose worker died before the limit is made once more: not every death is the call's own doing. It never
        is if the worker had not begun the call, or was stopped: then all processes are replaced, and the call is made
        as if for the first time.

        Args:
            function: one of a module, whose results can be pickled; an exception in it ends the worker.
            arguments: a tuple for each call.
            tell: is called after each call.

        Raises:
            LabError: if no process can be started, or they are killed or stopped again and again.
        """
        results: list[Any] = [Lost.DIED] * len(arguments)
        waiting = deque(range(len(arguments)))
        died: set[int] = set()
        servers: set[_ForkServer] = set()
        busy: dict[Connection, _Worker] = {}
        with self._lock:
            try:
                while waiting or busy:
                    while waiting and self._may_start_a_call(busy.values()):
                        argument_index = waiting.popleft()
                        is_second = argument_index in died  # whatever killed its worker may be killing the others now
                        worker = self._idle.pop() if self._idle and not is_second else self._new_worker()
                        servers.add(worker.server)
                        if len(servers) > 1 + MOST_RESTARTS:
                            raise LabError(f"the processes for {self._module} were killed or stopped again and again")
                        worker.call(argument_index, function, arguments[argument_index])
                        busy[worker.connection] = worker
                    for worker in self._ended_or_overdue(busy, SLOW_AFTER if waiting else math.inf):
                        argument_index = worker.argument_index
                        del busy[worker.connection]
                        try:
                            result = self._result(worker)
                        except _NotItsDoing:
                            self._replace(worker.server)
                            waiting.appendleft(argument_index)
                            continue
                        if result is Lost.DIED and argument_index not in died:
                            died.add(argument_index)
                            waiting.appendleft(argument_index)
                        elif tell is not None:
                            tell()
                        results[argument_index] = result
            finally:
                for connection in busy:  # interrupted: whatever they answer, nobody will read it
                    connection.close()
        return results

    def close(self) -> None:
        """End all processes."""
        if self._fork_server is not None:
            self._fork_server.kill_all()
            self._replace(self._fork_server)

    def _may_start_a_call(self, busy: Collection[_Worker]) -> bool:
        if self._fork_server is not None and not self._fork_server.is_alive():
            self._replace(self._fork_server)
        if busy and self._fork_server is None:
            return False  # while a server starts, nobody would notice at what time the calls of others end
        slow = sum(worker.seconds() > SLOW_AFTER for worker in busy)
        return len(busy) - min(slow, MOST_SLOW) < self._workers

    def _new_worker(self) -> _Worker:
        if self._fork_server is None:
            self._fork_server = self._started()
        return _Worker(self._fork_server.new_worker(), self._fork_server, self._timeout)

    def _started(self) -> _ForkServer:
        for _ in range(1 + MOST_RESTARTS):
            with contextlib.suppress(_NotItsDoing):
                return _ForkServer(self._timeout, self._module, self._prepared_with)
        raise LabError(f"the processes for {self._module} were killed or stopped again and again")

    def _replace(self, server: _ForkServer) -> None:
        """Take no more workers of a server, if it is the present one; those that make calls finish them."""
        if server is self._fork_server:
            while self._idle:
                self._idle.pop().kill()
            server.kill()
            self._fork_server = None

    def _ended_or_overdue(self, busy: dict[Connection, _Worker], seconds: float) -> list[_Worker]:
        """Workers whose calls have ended or should have; waits for one, some seconds at most."""
        ready = wait(list(busy), max(0.0, min(seconds, *(worker.seconds_left() for worker in busy.values()))))
        ended = [worker for connection, worker in busy.items() if connection in ready and not worker.has_just_begun()]
        return [worker for worker in busy.values() if worker in ended or worker.seconds_left() < 0]

    def _result(self, worker: _Worker) -> Any:
        """What a worker answered, or why it ended; one that answered is kept for other calls.

        Raises:
            _NotItsDoing: it ended before it began the call, or has been stopped.
        """
        if worker.begun is None or not worker.connection.poll():
            worker.kill()
            raise _NotItsDoing
        try:
            result = worker.connection.recv()
        except (EOFError, OSError):
            worker.connection.close()
            return Lost.TIMED_OUT if worker.seconds() >= self._timeout else Lost.DIED
        if worker.server is self._fork_server and len(self._idle) < self._workers and worker.calls < CALLS_OF_A_WORKER:
            self._idle.append(worker)
        else:
            worker.connection.close()  # which ends it
        return result


@dataclass(eq=False)
class _Worker:
    connection: Connection
    server: _ForkServer
    """That forked it."""
    timeout: float
    """Seconds for one call."""
    calls: int = 0
    argument_index: int = 0
    """Of its present call among the arguments."""
    given: float = 0.0
    """When it was given its present call, on the monotonic clock."""
    begun: float | None = None
    """When it began it, as it reports itself."""
    pid: int | None = None
    """Known when it has begun a call."""

    def call(self, argument_index: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.calls, self.argument_index = self.calls + 1, argument_index
        self.given, self.begun = time.monotonic(), None
        with contextlib.suppress(OSError):  # it has ended, as reading from it will tell
            self.connection.send((function, arguments))

    def has_just_begun(self) -> bool:
        """Whether that it has begun is what it has written."""
        if self.begun is not None:
            return False
        try:
            self.pid, self.begun = self.connection.recv()
        except (EOFError, OSError):  # it has ended
            return False
        return True

    def seconds(self) -> float:
        """Since its present call began."""
        return 0.0 if self.begun is None else time.monotonic() - self.begun

    def seconds_left(self) -> float:
        """Until its call should have begun, or ended, at the very latest."""
        due = self.given if self.begun is None else self.begun + self.timeout
        return due + PATIENCE - time.monotonic()

    def kill(self) -> None:
        """End it, also if it is stopped."""
        if self.pid is not None and not self.connection.poll():  # it has not ended, so the number is still its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.connection.close()


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
        try:
            self._wait_until_ready(module)
        except BaseException:
            self.kill()
            raise

    def _wait_until_ready(self, module: str) -> None:
        """Wait for its first word.

        Raises:
            _NotItsDoing: it was killed or stopped.
            LabError: it takes too long, or ended with a message.
        """
        begun = running_at = time.monotonic()
        while not wait([self._requests], _LOOK_AROUND):
            now = time.monotonic()
            if not is_stopped(self._process.pid):
                running_at = now
            if now - running_at >= PATIENCE:
                raise _NotItsDoing
            if now - begun >= START:
                raise LabError(f"the processes for {module} did not start within {START:g} seconds")
        if not self._requests.recv(len(b"ready")):
            if self._process.wait() < 0:
                raise _NotItsDoing
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
        """End it, and each of its workers after its present call."""
        self._requests.close()
        self._process.kill()
        self._process.wait()

    def kill_all(self) -> None:
        """End it and its workers at once."""
        with contextlib.suppress(ProcessLookupError):  # they have ended already
            os.killpg(self._process.pid, signal.SIGKILL)
        self.kill()
