"""Agents in processes of their own, by Ray: they answer, score and update side by side, each on its own device.

A worker holds one agent: its model, its optimiser and what it generates with; or a rank of an agent whose model is
divided among several workers. Only prompts, rollouts and learner batches cross between agents, and to all ranks of an
agent crosses the same. Ray itself is called in one more process. Ray is an extra: ``pip install hacrl-lab[ray]``.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from torch import Tensor

from hacrl_lab.agent import Agent
from hacrl_lab.engines.ray_folder import RayFolder
from hacrl_lab.engines.ray_process import RESUME, SHUTDOWN, SIGN_OF_LIFE, START, Request, Setup
from hacrl_lab.errors import EngineError
from hacrl_lab.language_models.sharding import free_port
from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.sampling import Sampling
from hacrl_lab.schedules import UpdatePlan
from hacrl_lab.seeding import RandomStream

Result = TypeVar("Result")
MakeAgent = Callable[[], Agent]
"""Makes an agent, in the process where it will live; can be pickled."""

OUTPUT = "output.txt"
"""What Ray's process prints, in Ray's folder."""
_START_PROCESS = "from hacrl_lab.engines.ray_process import main; main()"


class _RayProcess:
    """The process that calls Ray. Whatever happens to it or to Ray, calls end and nothing of it is left.

    Args:
        names: of the agents.
        gpus: GPUs of each worker.
        ranks: workers of each agent.
    """

    def __init__(self, names: list[str], gpus: float, ranks: int) -> None:
        self._loss = EngineError(f"the process that calls Ray ended; {RESUME}")
        self._one_reads = threading.Lock()
        self._folder = RayFolder()
        ends = [Pipe() for _ in range(1 + len(names))]
        (self._control, *self.connections), theirs = zip(*ends, strict=True)
        numbers = [end.fileno() for end in theirs]
        with (self._folder.path / OUTPUT).open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START_PROCESS, *map(str, numbers)],
                env=os.environ | _variables(len(names) * ranks),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=numbers,
                start_new_session=True,  # out of reach of Ctrl-C
            )
        for end in theirs:
            end.close()
        setup: Setup = (self._folder.path, names, gpus, ranks)
        self._control.send(setup)

    def loss(self) -> EngineError:
        """Why it has closed its connections; the same for all agents."""
        with self._one_reads, suppress(EOFError, OSError):
            if self._control.poll():
                self._loss = self._control.recv()
        return self._loss

    def close(self) -> None:
        """End Ray and the process, and remove the folder; what does not end by itself is killed."""
        self._control.close()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(SHUTDOWN + 5)
        finally:
            self._folder.remove()
            self._process.wait()


class RemoteAgent:
    """An agent that lives in Ray workers, one for each of its ranks; all of them make every call.

    Args:
        name: of the agent.
        ranks: number of its workers.
        connection: to what makes their calls.
        loss: says why the connection was closed.
    """

    def __init__(self, name: str, ranks: int, connection: Connection, loss: Callable[[], EngineError]) -> None:
        self.name = name
        self.bytes_sent = 0
        self._ranks, self._connection, self._loss = ranks, connection, loss

    def set_reference(self) -> None:
        """See :class:`hacrl_lab.agent.Agent`."""
        self._call("set_reference")

    def generate(
        self, prompts: Any, group_size: int, stream: RandomStream, sampling: Sampling | None = None
    ) -> RolloutBatch:
        """See :class:`hacrl_lab.agent.Agent`; ``sampling`` is for evaluations of language models."""
        asked = () if sampling is None else (sampling,)
        return self._call("generate", prompts, group_size, stream, *asked)

    def score(self, prompts: Any, rollouts: RolloutBatch, plan: UpdatePlan, learner: int) -> Tensor:
        """See :class:`hacrl_lab.agent.Agent`."""
        return self._call("score", prompts, rollouts, plan, learner)

    def update(self, batch: LearnerBatch) -> UpdateResult:
        """See :class:`hacrl_lab.agent.Agent`."""
        return self._call("update", batch)

    def save(self, folder: Path) -> None:
        """See :class:`hacrl_lab.agent.Agent`."""
        self._call("save", folder.absolute())

    def load(self, folder: Path) -> None:
        """See :class:`hacrl_lab.agent.Agent`."""
        self._call("load", folder.absolute())

    def save_pretrained(self, folder: Path) -> None:
        """Write the model as an ordinary checkpoint, if the agent is a language model."""
        self._call("save_pretrained", folder.absolute())

    def start(self, make: MakeAgent) -> None:
        """Make the agent in its workers; see :meth:`_call`."""
        self._on_all("make", (make, free_port()), START)

    def _call(self, method: str, *arguments: Any) -> Any:
        """Call a method on all ranks and wait, as long as there are signs of life; returns the first rank's.

        Raises:
            Exception: what the agent raised.
            EngineError: a worker or Ray died, or gives no sign of life.
        """
        return self._on_all("call", (method, arguments), SIGN_OF_LIFE)

    def _on_all(self, method: str, argument: Any, patience: float) -> Any:
        """What a method of the workers returns."""
        request: Request = (method, pickle.dumps(argument), patience)
        self.bytes_sent += len(request[1]) * self._ranks
        try:
            failed, packed = self._answer(request)
        except (EOFError, OSError) as error:
            raise self._loss() from error
        except BaseException:  # the answer will come later, and must not be taken for that of another call
            self._connection.close()
            raise
        result = pickle.loads(packed)
        if failed:
            raise result
        return result

    def _answer(self, request: Request) -> tuple[bool, bytes]:
        self._connection.send(request)
        while self._connection.poll(SIGN_OF_LIFE):
            if (answer := self._connection.recv()) is not None:
                return answer
        raise EngineError(f"the process that calls Ray gave no sign of life for {SIGN_OF_LIFE:.0f} s; {RESUME}")


class RayEngine:
    """Starts a worker for each agent, and runs the agents' calls side by side. Use as a context manager.

    Args:
        makers: agent name -> what makes the agent, or a rank of it.
        gpus: GPUs of each worker; a share of one where workers have to share it.
        ranks: workers of each agent, placed together.

    Raises:
        LabError: Ray is not installed, or what the making of an agent raised.
    """

    def __init__(self, makers: Mapping[str, MakeAgent], gpus: float = 0, ranks: int = 1) -> None:
        self._threads = ThreadPoolExecutor(len(makers))
        self._process = process = _RayProcess(list(makers), gpus, ranks)
        ends = zip(makers, process.connections, strict=True)
        self.agents = [RemoteAgent(name, ranks, connection, process.loss) for name, connection in ends]
        try:
            made = zip(self.agents, makers.values(), strict=True)
            self.together([partial(agent.start, make) for agent, make in made])
        except BaseException:
            self.close()
            raise

    def together(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        """The results in the order given; the calls of all agents run at the same time. The first error ends it."""
        futures = [self._threads.submit(call) for call in calls]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()  # raises its error
        return [future.result() for future in futures]

    def statistics(self) -> Mapping[str, float]:
        """Bytes that were sent to each agent since the start."""
        return {f"bytes_sent/{agent.name}": float(agent.bytes_sent) for agent in self.agents}

    def close(self) -> None:
        """End all workers and Ray; calls that still wait raise :class:`hacrl_lab.errors.EngineError`."""
        self._process.close()
        self._threads.shutdown(cancel_futures=True)

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _variables(workers: int) -> dict[str, str]:
    """The environment of a worker: what can be imported here, and its threads."""
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return {"OMP_NUM_THREADS": threads_of_a_worker(workers), "PYTHONPATH": paths}


def threads_of_a_worker(workers: int) -> str:
    """How many threads each worker has, as its environment says it: those asked for, else a share of the cores."""
    return os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
