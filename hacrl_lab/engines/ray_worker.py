"""What runs in the processes in which Ray keeps agents."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from typing import Any

from hacrl_lab.errors import LabError
from hacrl_lab.language_models.sharding import HERE, meet

Answer = tuple[bool, bytes]
"""Whether a call failed, and what it returned or raised, pickled."""


class Worker:
    """What runs in a worker's process: an agent, or a rank of one.

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

    def make(self, packed: bytes) -> Answer:
        """Meet the agent's other ranks at a port, if there are any, and make the agent; see :meth:`call`."""
        return _answer(lambda: self._make(*pickle.loads(packed)))

    def call(self, packed: bytes) -> Answer:
        """Call a method of the agent; what goes in and comes out is pickled, errors too.

        What comes out is the same on all ranks, and only the first returns it.
        """
        return _answer(lambda: self._call(*pickle.loads(packed)))

    def _make(self, make: Callable[[], Any], port: int) -> None:
        if self._ranks > 1:
            _meet(self._rank, self._ranks, port)
        self._agent = make()

    def _call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        result = getattr(self._agent, method)(*arguments)
        return result if self._rank == 0 else None


def _answer(call: Callable[[], Any]) -> Answer:
    """What a call returns, or what it raises, with its traceback where it is no sentence."""
    try:
        return False, pickle.dumps(call())
    except LabError as error:
        return True, pickle.dumps(error)
    except Exception as error:
        return True, _pickled(error)


def _pickled(error: Exception) -> bytes:
    text = "".join(traceback.format_exception(error))
    error.add_note(f"In the agent's process:\n{text}")
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)  # some errors cannot be made again
    except Exception:
        return pickle.dumps(RuntimeError(text))
    return packed


def _meet(rank: int, ranks: int, port: int) -> None:
    """Make a group of this process and the agent's other ranks, and tell vLLM of it in the way of torchrun."""
    variables = {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": 0, "MASTER_ADDR": HERE, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in variables.items()})
    meet(rank, ranks, port)
