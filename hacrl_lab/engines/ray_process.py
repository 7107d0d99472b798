"""The process that starts Ray and makes its calls, so that Ray can be ended whatever happens to its own processes.

Calls into Ray can wait for ever when a process of Ray is stopped, and Ray ends the process that calls it when it has
lost another one. Here both are harmless: a thread that never calls Ray watches its processes and ends all of them, and
:mod:`hacrl_lab.engines.ray` notices when this process ends or says nothing.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
import traceback
from concurrent.futures import Future, wait
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from hacrl_lab.engines.ray_folder import remove
from hacrl_lab.engines.ray_worker import Answer, Worker
from hacrl_lab.errors import EngineError, LabError, first_line
from hacrl_lab.extras import extra

LOOK_EVERY = 2.0
"""Seconds between two looks at Ray's processes, and at a worker that is busy."""
SIGN_OF_LIFE = 30.0
"""Seconds that a worker may take to answer that it is alive, and that a process may be stopped."""
START = 300.0
"""The same for a worker's first answer, before which it imports what it needs."""
SHUTDOWN = 5.0
"""Seconds that Ray has to end by itself."""
SERVERS = ("gcs_server", "raylet")
"""Processes without which Ray cannot work, by name."""
RESUME = "the run can be resumed from its last checkpoint"

Workers = list[list[Any]]
"""The handles of each agent's workers."""
Setup = tuple[Path, list[str], float, int]
"""Ray's folder, the agents' names, GPUs of each worker, workers of each agent."""
Request = tuple[str, bytes, float]
"""A method of a worker, its argument, and the seconds that a worker may take to answer that it is alive."""


def main() -> None:
    """Start Ray and answer calls until the other end of the first connection is closed.

    The arguments are the numbers of connections: one to end this process, then one for each agent.
    """
    control, *calls = (Connection(int(number)) for number in sys.argv[1:])
    setup: Setup = control.recv()
    folder, names, gpus, ranks = setup
    wanted, shut = threading.Event(), threading.Event()
    threading.Thread(target=_watch, args=(control, folder, wanted, shut)).start()
    started: Future[Workers] = Future()
    for number, connection in enumerate(calls):
        agent = _Agent(names[number], number, started, connection)
        threading.Thread(target=agent.serve, daemon=True).start()
    try:
        started.set_result(_start(folder, len(names), gpus, ranks))
    except LabError as error:
        started.set_exception(error)
    except Exception as error:
        started.set_exception(EngineError(f"Ray did not start: {first_line(error)}; {RESUME}"))
    wanted.wait()
    with suppress(Exception):  # the other thread ends what is left
        extra("ray", "ray").shutdown()
    shut.set()


def _start(folder: Path, agents: int, gpus: float, ranks: int) -> Workers:
    ray = extra("ray", "ray")
    ray.init(
        num_cpus=agents * ranks,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
        _temp_dir=str(folder),
    )
    return [_workers(ray, gpus, ranks) for _ in range(agents)]


def _workers(ray: Any, gpus: float, ranks: int) -> list[Any]:
    """An agent's workers in one placement group, so that no agent waits for what another half has."""
    bundle = {"CPU": 1.0} | ({"GPU": gpus} if gpus > 0 else {})
    group = ray.util.placement_group([bundle] * ranks)
    if not group.wait(START):
        raise LabError(f"there are not {gpus * ranks:g} free GPUs for the {ranks} ranks of an agent")
    strategies = extra("ray.util.scheduling_strategies", "ray")
    worker = ray.remote(Worker).options(
        num_cpus=1,
        num_gpus=gpus,
        max_concurrency=2,
        runtime_env={"env_vars": {name: os.environ[name] for name in ("OMP_NUM_THREADS", "PYTHONPATH")}},
        scheduling_strategy=strategies.PlacementGroupSchedulingStrategy(group),
    )
    return [worker.remote(rank, ranks) for rank in range(ranks)]


class _Agent:
    """Makes the calls of one agent.

    Args:
        name: of the agent.
        number: its place among the agents.
        started: the workers of all agents, when Ray has started.
        connection: requests come from it, and answers and signs of life go to it.
    """

    def __init__(self, name: str, number: int, started: Future[Workers], connection: Connection) -> None:
        self._name, self._number, self._started, self._connection = name, number, started, connection

    def serve(self) -> None:
        """Answer every request, with signs of life until the answer is there, as long as somebody asks."""
        with suppress(EOFError, OSError):  # the other end is closed
            while True:
                request: Request = self._connection.recv()
                self._connection.send(self._answer(*request))

    def _answer(self, method: str, packed: bytes, patience: float) -> Answer:
        try:
            while not wait([self._started], LOOK_EVERY).done:
                self._connection.send(None)
            return self._ask(self._started.result()[self._number], method, packed, patience)
        except LabError as error:
            return True, pickle.dumps(error)
        except Exception as error:
            return True, pickle.dumps(self._told(error))

    def _ask(self, workers: list[Any], method: str, packed: bytes, patience: float) -> Answer:
        """What a method of every worker returns for the same argument: the first rank's, or the first error."""
        ray = extra("ray", "ray")
        sent = ray.put(packed)
        answers = [getattr(worker, method).remote(sent) for worker in workers]
        signs, asked = [], time.monotonic()
        waiting = answers
        while waiting:
            come, waiting = ray.wait(waiting, timeout=LOOK_EVERY)
            self._connection.send(None)
            for failed, content in ray.get(come):
                if failed:
                    return failed, content
            if come:
                continue
            if not signs:
                signs, asked = [worker.alive.remote() for worker in workers], time.monotonic()
            alive, silent = ray.wait(signs, num_returns=len(signs), timeout=0)
            ray.get(alive)  # raises if a worker has died
            if silent and time.monotonic() - asked > patience:
                raise EngineError(
                    f"a worker of agent {self._name!r} gave no sign of life for {patience:.0f} s; {RESUME}"
                )
            signs = silent and signs
        return ray.get(answers[0])

    def _told(self, error: Exception) -> Exception:
        """An error of Ray as a sentence; of others, which are faults of the program, the traceback."""
        ray = extra("ray", "ray")
        if isinstance(error, ray.exceptions.RayActorError):
            return EngineError(f"a worker of agent {self._name!r} died; {RESUME}")
        if isinstance(error, ray.exceptions.RayError) and not isinstance(error, ray.exceptions.RayTaskError):
            return EngineError(f"Ray failed in a call of agent {self._name!r}: {first_line(error)}; {RESUME}")
        return RuntimeError("".join(traceback.format_exception(error)))


def _watch(control: Connection, folder: Path, wanted: threading.Event, shut: threading.Event) -> None:
    """End Ray and this process when the other end is closed, or when Ray is lost, which it reports; never calls Ray.

    Args:
        control: the other end is closed by who started this process, or because that one was killed.
        folder: of Ray.
        wanted: set when Ray shall end.
        shut: set when it has.
    """
    processes = Processes()
    while not control.poll(LOOK_EVERY):
        if loss := processes.loss():
            with suppress(OSError):
                control.send(EngineError(f"{loss}; {RESUME}"))
            break
    else:
        wanted.set()
        shut.wait(SHUTDOWN)
    remove(folder)
    os._exit(0)


class Processes:
    """Ray's processes below this one."""

    def __init__(self) -> None:
        self._servers: dict[psutil.Process, str] = {}
        self._stopped_since: dict[psutil.Process, float] = {}

    def loss(self) -> str | None:
        """What happened to a process without which Ray cannot continue, or None."""
        family = {process: _look(process) for process in psutil.Process().children(recursive=True)}
        self._servers |= {process: name for process, (name, _) in family.items() if name in SERVERS}
        for process, name in self._servers.items():
            if _look(process)[1] in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return f"Ray's process {name} ended"
        now = time.monotonic()
        stopped = [process for process, (_, status) in family.items() if status == psutil.STATUS_STOPPED]
        self._stopped_since = {process: self._stopped_since.get(process, now) for process in stopped}
        for process, since in self._stopped_since.items():
            if now - since > SIGN_OF_LIFE:
                return f"Ray's process {family[process][0]} was stopped for {SIGN_OF_LIFE:.0f} s"
        return None


def _look(process: psutil.Process) -> tuple[str, str]:
    """The name of a process and its status."""
    try:
        return process.name(), process.status()
    except psutil.NoSuchProcess:
        return "", psutil.STATUS_DEAD
