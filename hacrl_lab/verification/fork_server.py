"""The other side of :mod:`~hacrl_lab.verification.limited_workers`: a process that forks workers, and what they do.

The fork server imports what the workers need and then only forks, so that a worker starts within milliseconds, with
fresh memory and without rights (:mod:`~hacrl_lab.verification.no_rights`). The time limit of a call is the kernel's
alarm clock in the worker: it does not follow the wall clock, and it ends a worker that is inside C code or whose parent
is gone. Fork server and idle workers look every second whether their parent is still there; its sockets alone do not
tell, since another fork of it may keep them open. Needs Unix.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import resource
import select
import signal
import socket
import sys
import time
import warnings
from multiprocessing.connection import Connection

from hacrl_lab.interrupt import SIGNALS
from hacrl_lab.verification.no_rights import give_up_rights

MEMORY_LIMIT = 2**30
"""Bytes of address space of a worker; beyond it Python raises MemoryError."""
_LOOK_AROUND = 1.0  # seconds between two looks for the parent


def main() -> None:
    """Serve: ``python -c ... SOCKET PARENT TIMEOUT MODULE ARGUMENTS``, as :mod:`.limited_workers` starts it."""
    descriptor, parent, timeout, module, *prepared_with = sys.argv[1:]
    for number in SIGNALS:  # Ctrl-C reaches all processes of a terminal, SIGTERM all of a job; the parent decides
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets workers that have ended
    warnings.simplefilter("ignore")  # of Python code made from input
    with contextlib.suppress(ValueError, OSError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    importlib.import_module(module).prepare_workers(*prepared_with)
    with socket.socket(fileno=int(descriptor)) as requests:
        requests.send(b"ready")
        _fork_workers(requests, int(parent), float(timeout))


def _fork_workers(requests: socket.socket, parent: int, timeout: float) -> None:
    """One worker for every connection that arrives, until the parent closes the socket or is gone."""
    while _wait_for(requests, parent):
        _, descriptors, _, _ = socket.recv_fds(requests, 1, 1)
        if not descriptors:
            return
        server = os.getpid()
        if os.fork() == 0:
            requests.close()
            give_up_rights()
            with Connection(descriptors[0]) as connection:
                _work(connection, server, timeout)
            os._exit(0)
        os.close(descriptors[0])


def _work(connection: Connection, server: int, timeout: float) -> None:
    """Make the calls that arrive, each with its alarm, until the parent closes the connection or is gone.

    Before each call the worker writes its process id and the time, after it the result: what kills it before it has
    begun is not the call.
    """
    while _wait_for(connection, server):
        try:
            call = connection.recv_bytes()
            connection.send((os.getpid(), time.monotonic()))
        except (EOFError, OSError):
            return
        signal.setitimer(signal.ITIMER_REAL, timeout)
        function, arguments = pickle.loads(call)
        result = function(*arguments)
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            connection.send(result)
        except OSError:  # nobody waits for it any more
            return


def _wait_for(channel: socket.socket | Connection, parent: int) -> bool:
    """Wait until there is something to read; false if the parent is gone."""
    while os.getppid() == parent:
        if select.select([channel], [], [], _LOOK_AROUND)[0]:
            return True
    return False
