"""Counts the memory of tensors while operations make and free them."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make within the block and that are still alive.

    Tensors without values, of torch's ``FakeTensorMode``, count as if they had them.

    Args:
        kind: what a new tensor counts as.
    """

    def __init__(self, kind: Callable[[Tensor], str] = lambda tensor: "tensors") -> None:
        super().__init__()
        self.peaks: Counter[str] = Counter()
        """Bytes of each kind when they were most, which need not be at the same time."""
        self.peak = 0
        """Bytes of all kinds when they were most."""
        self._kind = kind
        self._live: Counter[str] = Counter()
        self._watched: dict[int, Any] = {}

    def forget_peaks(self) -> None:
        """Count the peaks anew from what is alive."""
        self.peaks, self.peak = self._live.copy(), self._live.total()

    def __torch_dispatch__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the operation and watch the memory of its results, unless they are views of its arguments."""
        results = func(*args, **(kwargs or {}))
        given = {tensor.untyped_storage()._cdata for tensor in _tensors((args, kwargs))}
        for tensor in _tensors(results):
            if tensor.untyped_storage()._cdata not in given:
                self._watch(tensor)
        return results

    def _watch(self, tensor: Tensor) -> None:
        storage, kind = tensor.untyped_storage(), self._kind(tensor)
        key, size = storage._cdata, storage.nbytes()
        if key not in self._watched:
            self._watched[key] = weakref.ref(storage, lambda _: self._forget(key, kind, size))
            self._live[kind] += size
            self.peaks |= self._live  # the larger of each
            self.peak = max(self.peak, self._live.total())

    def _forget(self, key: int, kind: str, size: int) -> None:
        del self._watched[key]
        self._live[kind] -= size


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]
