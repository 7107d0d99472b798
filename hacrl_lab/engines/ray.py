"""Agents in processes of their own, by Ray: they answer, score and update side by side, each on its own device.

A worker holds one agent: its model, its optimiser and what it generates with; or a rank of an agent whose model is
divided among several workers. Only prompts, rollouts and learner batches cross between agents, and to all ranks of an
agent crosses the same. Ray is an extra: ``pip install hacrl-lab[ray]``.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from torch import Tensor

from hacrl_lab.agent import Agent
from hacrl_lab.errors import EngineError, LabError
from hacrl_lab.extras import extra
from hacrl_lab.interrupt import signals_kept
from hacrl_lab.language_models.sharding import HERE, free_port, meet
from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.sampling import Sampling
from hacrl_lab.schedules import UpdatePlan
from hacrl_lab.seeding import RandomStream

Result = TypeVar("Result")
MakeAgent = Callable[[], Agent]
"""Makes an agent, in the process where it will live; can be pickled."""

LOOK_EVERY = 5.0
"""Seconds between two looks at a worker that is busy."""
SIGN_OF_LIFE = 30.0
"""Seconds that a worker may take to answer that it is alive; it answers while it computes."""
START = 300.0
"""The same for its first answer, before which it imports what it needs."""


class _Worker:
    """What runs in a worker's process.

    Args:
        rank: of the agent's ranks.
        ranks: number of them.
    """

    def __init__(self, rank: int, ranks: int) -> None:
        self._rank, self._ranks = rank, ranks
        self._agent: Any = None

    def alive(self) -> bool:
        """Answers at once, in another thread than a call that is running."""
        return True

    def make(self, packed: bytes) -> bytes:
        """Meet the agent's other ranks at a port, if there are any, and make the agent; see :meth:`call`."""
        make, port = pickle.loads(packed)
        try:
            if self._ranks > 1:
                _meet(self._rank, self._ranks, port)
            self._agent = make()
        except LabError as error:
            return pickle.dumps(error)
        return pickle.dumps(None)

    def call(self, packed: bytes) -> bytes:
        """Call a method of the agent; what goes in and comes out is pickled, errors that are sentences too.

        What comes out is the same on all ranks, and only the first returns it.
        """
        method, arguments = pickle.loads(packed)
        try:
            result = getattr(self._agent, method)(*arguments)
            return pickle.dumps(result if self._rank == 0 else None)
        except LabError as error:
            return pickle.dumps(error)


def _meet(rank: int, ranks: int, port: int) -> None:
    """Make a group of this process and the agent's other ranks, and tell vLLM of it in the way of torchrun."""
    variables = {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": 0, "MASTER_ADDR": HERE, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in variables.items()})
    meet(rank, ranks, port)


class RemoteAgent:
    """An agent that lives in Ray workers, one for each of its ranks; all of them make every call.

    Args:
        name: of the agent.
        workers: their handles.
    """

    def __init__(self, name: str, workers: Sequence[Any]) -> None:
        self.name = name
        self.bytes_sent = 0
        self._workers = list(workers)

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

    def _call(self, method: str, *arguments: Any) -> Any:
        """Call a method on all ranks and wait, as long as the workers give signs of life; returns the first rank's.

        Raises:
            LabError: what the agent raised.
            EngineError: a worker died or gives no sign of life.
        """
        return self._on_all("call", (method, arguments))[0]

    def start(self, make: MakeAgent) -> None:
        """Make the agent in its workers; see :meth:`_call`."""
        self._on_all("make", (make, free_port()), START)

    def kill(self) -> None:
        """End the workers at once; calls that wait for them raise :class:`hacrl_lab.errors.EngineError`."""
        ray = extra("ray", "ray")
        for worker in self._workers:
            ray.kill(worker)

    def _on_all(self, method: str, argument: Any, patience: float = SIGN_OF_LIFE) -> list[Any]:
        """What a method of every worker returns for the same argument; the first error ends the waiting."""
        ray = extra("ray", "ray")
        packed = pickle.dumps(argument)
        self.bytes_sent += len(packed) * len(self._workers)
        results: dict[Any, Any] = {}
        try:
            sent = ray.put(packed)
            answers = [getattr(worker, method).remote(sent) for worker in self._workers]
            while waiting := [answer for answer in answers if answer not in results]:
                come, _ = ray.wait(waiting, timeout=LOOK_EVERY)
                results |= {answer: _opened(ray.get(answer)) for answer in come}
                if not come:
                    ray.get([worker.alive.remote() for worker in self._workers], timeout=patience)
        except ray.exceptions.GetTimeoutError as error:
            self.kill()
            raise EngineError(
                f"a worker of agent {self.name!r} gave no sign of life for {patience:.0f} s and was ended; "
                "the run can be resumed from its last checkpoint"
            ) from error
        except ray.exceptions.RayActorError as error:
            raise EngineError(
                f"a worker of agent {self.name!r} died; the run can be resumed from its last checkpoint"
            ) from error
        return [results[answer] for answer in answers]


def _opened(packed: bytes) -> Any:
    """What a worker returned; raises what it raised."""
    result = pickle.loads(packed)
    if isinstance(result, LabError):
        raise result
    return result


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
        self._ray = ray = extra("ray", "ray")
        self._threads = ThreadPoolExecutor(len(makers))
        self._calls: Sequence[Future[Any]] = ()  # the latest ones
        self.agents: list[RemoteAgent] = []
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)  # short: it holds sockets
        try:
            with signals_kept():
                ray.init(
                    num_cpus=len(makers) * ranks,
                    include_dashboard=False,
                    configure_logging=False,
                    log_to_driver=False,
                    _temp_dir=self._folder.name,
                )
            variables = _variables(len(makers) * ranks)
            self.agents = [RemoteAgent(name, self._workers(gpus, ranks, variables)) for name in makers]
            made = zip(self.agents, makers.values(), strict=True)
            self.together([partial(agent.start, make) for agent, make in made])
        except BaseException:
            self.close()
            raise

    def _workers(self, gpus: float, ranks: int, variables: Mapping[str, str]) -> list[Any]:
        """An agent's workers in one placement group, so that no agent waits for what another half has."""
        bundle = {"CPU": 1.0} | ({"GPU": gpus} if gpus > 0 else {})
        group = self._ray.util.placement_group([bundle] * ranks)
        if not group.wait(START):
            raise LabError(f"there are not {gpus * ranks:g} free GPUs for the {ranks} ranks of an agent")
        strategies = extra("ray.util.scheduling_strategies", "ray")
        worker = self._ray.remote(_Worker).options(
            num_cpus=1,
            num_gpus=gpus,
            max_concurrency=2,
            runtime_env={"env_vars": variables},
            scheduling_strategy=strategies.PlacementGroupSchedulingStrategy(group),
        )
        return [worker.remote(rank, ranks) for rank in range(ranks)]

    def together(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        """The results in the order given; the calls of all agents run at the same time. The first error ends it."""
        self._calls = futures = [self._threads.submit(call) for call in calls]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()  # raises its error
        return [future.result() for future in futures]

    def statistics(self) -> Mapping[str, float]:
        """Bytes that were sent to each agent since the start."""
        return {f"bytes_sent/{agent.name}": float(agent.bytes_sent) for agent in self.agents}

    def close(self) -> None:
        """End all workers and Ray, and before it the calls that still wait, which would start another Ray after it."""
        try:
            if not all(call.done() for call in self._calls):
                for agent in self.agents:
                    agent.kill()
            self._threads.shutdown(cancel_futures=True)
        finally:
            self._ray.shutdown()
            self._folder.cleanup()

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _variables(workers: int) -> dict[str, str]:
    """The environment of a worker: what can be imported here, and its threads."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return {"OMP_NUM_THREADS": threads_of_a_worker(workers), "PYTHONPATH": paths}


def threads_of_a_worker(workers: int) -> str:
    """How many threads each worker has, as its environment says it: those asked for, else a share of the cores."""
    return os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
