"""What an agent of a process writes into a checkpoint: parameters and their optimiser's state, under the same names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from hacrl_lab.checkpoint import load_part, save_part
from hacrl_lab.errors import CheckpointError

STEM = "policy"
PARAMETER = "parameter"


def full_tensor(values: Tensor) -> Tensor:
    """A tensor in one piece; if FSDP2 has divided it among processes, all of them must ask for it."""
    return values.full_tensor() if hasattr(values, "full_tensor") else values  # type: ignore[operator]


def save_policy(folder: Path, parameters: Mapping[str, Tensor], optimizer: Optimizer, write: bool = True) -> None:
    """Write ``policy.safetensors`` with ``parameter/<name>`` and, for each kind of state, ``<kind>/<name>``.

    Args:
        folder: exists, and is empty.
        parameters: by name.
        optimizer: of these parameters.
        write: False in all but one of the processes among which the tensors are divided.
    """
    tensors = {f"{PARAMETER}/{name}": value for name, value in parameters.items()}
    for name, value in parameters.items():
        tensors |= {f"{kind}/{name}": state for kind, state in _state(optimizer, value).items()}
    pieces = full_tensors(tensors, write)
    if write:
        save_part(folder / STEM, pieces, {"optimizer": type(optimizer).__name__})


def full_tensors(tensors: Mapping[str, Tensor], keep: bool = True) -> dict[str, Tensor]:
    """Tensors by name in one piece and on the CPU, see :func:`full_tensor`; two names of one tensor stay names of one.

    Args:
        tensors: by name.
        keep: False in all but one of the processes among which they are divided, where none is returned.
    """
    pieces: dict[int, Tensor] = {}
    for value in tensors.values():
        if id(value) not in pieces:
            piece = full_tensor(value)
            pieces[id(value)] = piece.detach().cpu() if keep else torch.empty(0)
    return {name: pieces[id(value)] for name, value in tensors.items()} if keep else {}


@torch.no_grad()
def load_policy(folder: Path, parameters: Mapping[str, Tensor], optimizer: Optimizer) -> None:
    """Continue from :func:`save_policy`; nothing is changed unless everything fits.

    Raises:
        CheckpointError: files that cannot be read, or of other parameters or another kind of optimiser.
    """
    tensors, record = load_part(folder / STEM)
    saved = {key.removeprefix(f"{PARAMETER}/"): value for key, value in tensors.items() if key.startswith(PARAMETER)}
    shapes, expected = ({name: tuple(value.shape) for name, value in one.items()} for one in (saved, parameters))
    if shapes != expected or record.get("optimizer") != type(optimizer).__name__:
        raise CheckpointError(
            f"{str(folder)!r} holds another agent: {_described(shapes, record.get('optimizer'))}, "
            f"this run has {_described(expected, type(optimizer).__name__)}"
        )
    for name, value in parameters.items():
        value.copy_(_placed(PARAMETER, saved[name], value))
        state = {key.split("/", 1)[0]: one for key, one in tensors.items() if key.split("/", 1)[1] == name}
        del state[PARAMETER]
        optimizer.state[value] = {kind: _placed(kind, one, value) for kind, one in state.items()}  # none before a step


def _state(optimizer: Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    """The optimiser's tensors for one parameter: Adam's step, exp_avg and exp_avg_sq, for instance."""
    return {kind: state for kind, state in optimizer.state.get(parameter, {}).items() if isinstance(state, Tensor)}


def _placed(kind: str, state: Tensor, parameter: Tensor) -> Any:
    """Moments go where the parameter is, divided as it is; the step counter stays on the CPU, as in torch."""
    if kind == "step":
        return state
    if not hasattr(parameter, "full_tensor"):
        return state.to(parameter.device)
    from torch.distributed.tensor import distribute_tensor  # here, since small agents have no use for it

    divided: Any = parameter
    placed = distribute_tensor(state, divided.device_mesh, divided.placements, src_data_rank=None)
    return placed.to(parameter.device)  # which is the host, if it is offloaded


def _described(shapes: Mapping[str, tuple[int, ...]], optimizer: str | None) -> str:
    count = sum(torch.Size(shape).numel() for shape in shapes.values())
    return f"{len(shapes)} tensors with {count:,} parameters and {optimizer}"
