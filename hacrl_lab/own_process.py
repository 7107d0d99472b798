"""A process for code of the user's own, which there cannot hang, end or change the process of the training.

It has the user's rights, and the environment, working folder and import path of its parent; what it prints is shown. It
keeps its state between calls. Ctrl-C and SIGTERM are for the parent to decide. It ends with its parent, also if that is
killed, and so do the processes that it started. Needs Unix.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import Any

from hacrl_lab.errors import LabError
from hacrl_lab.interrupt import SIGNALS
from hacrl_lab.stopped import is_stopped, stays_stopped

TIMEOUT = 300.0
"""Seconds for one call, by default."""
PATIENCE = 30.0
"""Seconds for which the process may be stopped from outside during a call."""
_START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from hacrl_lab.own_process import main; main()"
_LOOK_AROUND = 1.0  # seconds between two looks for the parent
_TIME_TO_END = 5.0  # seconds that the process may take to end by itself


class OwnProcess:
    """Makes one call at a time in a process, which starts with the first call and, if it has ended, with the next."""

    def __init__(self) -> None:
        self._running: _Running | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)

    def call(self, subject: str, timeout: float, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns in that process.

        Args:
            subject: who is called, for messages.
            timeout: seconds, after which the process is killed.
            function: one of a module; its arguments and its result can be pickled.
            arguments: of the function.

        Raises:
            LabError: as the function raised it, or the process ended or was killed, or the call took too long.
        """
        with self._lock:
            before = self._alive()
            if before is not None and stays_stopped(before.pid):
                before.kill()
            given_up: list[str] = []
            ended = threading.Event()
            watch = threading.Thread(target=self._watch, args=(timeout, ended, given_up))
            watch.start()
            try:
                try:
                    running = self._begun((function, arguments))
                except (EOFError, OSError):  # it was killed before it began the call
                    if given_up:
                        raise
                    self._kill()
                    running = self._begun((function, arguments))
                error, result = running.connection.recv()
            except (EOFError, OSError) as lost:
                assert self._running is not None
                if given_up:
                    raise LabError(f"{subject} {given_up[0]}") from lost
                raise LabError(f"{subject}: its process {self._running.end()}") from lost
            except BaseException:  # interrupted: whatever it answers, nobody will read it
                self._kill()
                raise
            finally:
                ended.set()
                watch.join()
        if error is not None:
            raise error
        return result

    def _watch(self, timeout: float, ended: threading.Event, given_up: list[str]) -> None:
        """Kill the process, and say why, where a call takes too long or the process is stopped.

        Args:
            timeout: seconds for the call.
            ended: set when it has ended.
            given_up: gets the reason.
        """
        begun = running_at = time.monotonic()
        while not ended.wait(max(0.0, min(_LOOK_AROUND, begun + timeout - time.monotonic()))):
            now = time.monotonic()
            if self._running is None or not is_stopped(self._running.pid):
                running_at = now
            if now - begun >= timeout:
                given_up.append(f"gave no result within {timeout:g} seconds")
            elif now - running_at >= PATIENCE:
                given_up.append(f"gave no result: its process was stopped for {PATIENCE:g} seconds")
            if given_up:
                self._kill()
                return

    def close(self) -> None:
        """Let the process end; it is killed if it does not."""
        running = self._alive()
        if running is not None:
            running.end()

    def _begun(self, call: tuple[Callable[..., Any], tuple[Any, ...]]) -> _Running:
        """The process, which has reported that it begins the call."""
        running = self._running = self._alive() or _Running()
        running.connection.send(call)
        running.connection.recv()
        return running

    def _kill(self) -> None:
        if self._running is not None:
            self._running.kill()

    def _alive(self) -> _Running | None:
        """The process, if it is one of this process and not of the one that this is a fork of."""
        running = self._running
        return running if running is not None and running.parent == os.getpid() and running.is_alive() else None


class _Running:
    """The process and the connection to it."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        self.parent = os.getpid()
        with theirs:
            arguments = [str(theirs.fileno()), str(self.parent), json.dumps(sys.path)]
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-P", "-c", _START, *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def is_alive(self) -> bool:
        """Whether it can be called; what is left of one that cannot is ended."""
        if self._process.poll() is None and not self.connection.closed:
            return True
        self.kill()
        return False

    @property
    def pid(self) -> int:
        return self._process.pid

    def end(self) -> str:
        """Close the connection, wait for the end of the process, and say what it was."""
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_TIME_TO_END)
        self.kill()
        code = self._process.returncode
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit status {code}"

    def kill(self) -> None:
        """End it, also if it is stopped, and the processes that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # they have ended already
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def main() -> None:
    """The process: ``python -c ... SOCKET PARENT``, as it is started above."""
    descriptor, parent = map(int, sys.argv[1:])
    sys.argv[1:] = []
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    os.register_at_fork(after_in_child=lambda: _become_a_usual_process(connection))
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()
    while True:
        try:
            function, arguments = connection.recv()
        except (EOFError, OSError):
            return
        connection.send("begun")
        try:
            answer = None, function(*arguments)
        except LabError as error:
            answer = error, None
        connection.send(answer)


def _become_a_usual_process(connection: Connection) -> None:
    """Of forks by the user's code: they may be terminated, and must not keep the connection open."""
    connection.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end_with(parent: int) -> None:
    """Wait for the end of the parent; then end this process and those that it started."""
    while os.getppid() == parent:
        time.sleep(_LOOK_AROUND)
    os.killpg(0, signal.SIGKILL)
