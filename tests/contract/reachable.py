"""Everything that can be reached from an object without importing anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from functools import partial
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor

LEAVES = (str, bytes, int, float, bool, complex, type(None), type, ModuleType, Tensor, np.ndarray, np.generic)
"""What holds nothing else; classes and modules are there for everybody."""


def reachable(start: Any) -> list[Any]:
    """The object itself and whatever its attributes, items, closures, defaults, bound objects and arguments lead to."""
    found: dict[int, Any] = {}
    waiting = [start]
    while waiting:
        one = waiting.pop()
        if id(one) not in found:
            found[id(one)] = one
            waiting.extend(_parts(one))
    return list(found.values())


def _parts(one: Any) -> Iterator[Any]:
    if isinstance(one, LEAVES):
        return
    if isinstance(one, Mapping):
        yield from one.keys()
        yield from one.values()
    elif isinstance(one, list | tuple | Set):
        yield from one
    elif isinstance(one, partial):
        yield from (one.func, one.args, one.keywords)
    elif isinstance(one, MethodType | BuiltinFunctionType):
        yield one.__self__
        yield getattr(one, "__func__", None)
    elif isinstance(one, FunctionType):
        yield from (one.__closure__, one.__defaults__, one.__kwdefaults__)
    elif isinstance(one, CellType):
        try:
            yield one.cell_contents
        except ValueError:  # an empty cell
            return
    yield from vars(one).values() if hasattr(one, "__dict__") else ()
    for kind in type(one).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            yield getattr(one, name, None)
