"""Agents in processes of their own, by Ray: they answer, score and update side by side, each on its own device.

A worker holds one agent: its model, its optimiser and what it generates with. Only prompts, rollouts and learner
batches cross between processes. Ray is an extra: ``pip install hacrl-lab[ray]``.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from torch import Tensor

from hacrl_lab.agents.base import Agent
from hacrl_lab.errors import EngineError, LabError
from hacrl_lab.extras import extra
from hacrl_lab.learner import LearnerBatch, UpdateResult
from hacrl_lab.rollouts import RolloutBatch
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
    """What runs in a worker's process."""

    def __init__(self) -> None:
        self._agent: Any = None

    def alive(self) -> bool:
        """Answers at once, in another thread than a call that is running."""
        return True

    def make(self, packed: bytes) -> bytes:
        """Make the agent; see :meth:`call`."""
        try:
            self._agent = pickle.loads(packed)()
        except LabError as error:
            return pickle.dumps(error)
        return pickle.dumps(None)

    def call(self, packed: bytes) -> bytes:
        """Call a method of the agent; what goes in and comes out is pickled, errors that are sentences too."""
        method, arguments = pickle.loads(packed)
        try:
            return pickle.dumps(getattr(self._agent, method)(*arguments))
        except LabError as error:
            return pickle.dumps(error)


class RemoteAgent:
    """An agent that lives in a Ray worker.

    Args:
        name: of the agent.
        worker: its handle.
    """

    def __init__(self, name: str, worker: Any) -> None:
        self.name = name
        self.bytes_sent = 0
        self._worker = worker

    def set_reference(self) -> None:
        """See :class:`hacrl_lab.agents.base.Agent`."""
        self._call("set_reference")

    def generate(self, prompts: Any, group_size: int, stream: RandomStream) -> RolloutBatch:
        """See :class:`hacrl_lab.agents.base.Agent`."""
        return self._call("generate", prompts, group_size, stream)

    def score(self, prompts: Any, rollouts: RolloutBatch, plan: UpdatePlan, learner: int) -> Tensor:
        """See :class:`hacrl_lab.agents.base.Agent`."""
        return self._call("score", prompts, rollouts, plan, learner)

    def update(self, batch: LearnerBatch) -> UpdateResult:
        """See :class:`hacrl_lab.agents.base.Agent`."""
        return self._call("update", batch)

    def save(self, folder: Path) -> None:
        """See :class:`hacrl_lab.agents.base.Agent`."""
        self._call("save", folder.absolute())

    def load(self, folder: Path) -> None:
        """See :class:`hacrl_lab.agents.base.Agent`."""
        self._call("load", folder.absolute())

    def save_pretrained(self, folder: Path) -> None:
        """Write the model as an ordinary checkpoint, if the agent is a language model."""
        self._call("save_pretrained", folder.absolute())

    def _call(self, method: str, *arguments: Any) -> Any:
        """Call a method and wait, as long as the worker gives signs of life.

        Raises:
            LabError: what the agent raised.
            EngineError: the worker died or gives no sign of life.
        """
        return self._wait(self._worker.call, (method, arguments))

    def start(self, make: MakeAgent) -> None:
        """Make the agent in its worker; see :meth:`_call`."""
        self._wait(self._worker.make, make, START)

    def _wait(self, method: Any, argument: Any, patience: float = SIGN_OF_LIFE) -> Any:
        ray = extra("ray", "ray")
        packed = pickle.dumps(argument)
        self.bytes_sent += len(packed)
        try:
            answer = method.remote(packed)
            while not ray.wait([answer], timeout=LOOK_EVERY)[0]:
                ray.get(self._worker.alive.remote(), timeout=patience)
            result = pickle.loads(ray.get(answer))
        except ray.exceptions.GetTimeoutError as error:
            ray.kill(self._worker)
            raise EngineError(
                f"the worker of agent {self.name!r} gave no sign of life for {patience:.0f} s and was ended; "
                "the run can be resumed from its last checkpoint"
            ) from error
        except ray.exceptions.RayActorError as error:
            raise EngineError(
                f"the worker of agent {self.name!r} died; the run can be resumed from its last checkpoint"
            ) from error
        if isinstance(result, LabError):
            raise result
        return result


class RayEngine:
    """Starts a worker for each agent, and runs the agents' calls side by side. Use as a context manager.

    Args:
        makers: agent name -> what makes the agent.
        gpus: GPUs of each worker; a share of one where workers have to share it.

    Raises:
        LabError: Ray is not installed, or what the making of an agent raised.
    """

    def __init__(self, makers: Mapping[str, MakeAgent], gpus: float = 0) -> None:
        self._ray = ray = extra("ray", "ray")
        self._threads = ThreadPoolExecutor(len(makers))
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)  # short: it holds sockets
        try:
            ray.init(
                num_cpus=len(makers),
                include_dashboard=False,
                configure_logging=False,
                log_to_driver=False,
                _temp_dir=self._folder.name,
            )
            environment = {"env_vars": _variables(len(makers))}
            worker = ray.remote(num_cpus=1, num_gpus=gpus, max_concurrency=2, runtime_env=environment)(_Worker)
            self.agents = [RemoteAgent(name, worker.remote()) for name in makers]
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
        """End all workers and Ray."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._ray.shutdown()
        self._folder.cleanup()

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _variables(workers: int) -> dict[str, str]:
    """The environment of a worker: what can be imported here, and a share of the threads if none is asked for."""
    share = str(max(1, (os.cpu_count() or 1) // workers))
    paths = os.pathsep.join(path for path in sys.path if path)
    return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", share), "PYTHONPATH": paths}
