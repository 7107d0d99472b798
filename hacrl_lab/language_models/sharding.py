"""A model whose weights, gradients and optimiser state are divided among processes (FSDP2), one *rank* each.

All ranks run the same code on the same rollouts. They divide the rows of every pass and the prompts of every sampling,
and gather what came out, so that each of them knows everything that one process would know and decides alike.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import pad

from hacrl_lab.language_models.sampler import Generation

HERE = "127.0.0.1"
"""Ranks of an agent are on one machine."""
RANKS_WAIT = timedelta(hours=1)
"""How long a rank waits for the others of its agent, whose answers may be longer; one that died is noticed sooner."""


@dataclass(frozen=True)
class Ranks:
    """The processes of one agent, as this process sees them."""

    rank: int = 0
    """This process."""
    count: int = 1
    """Of the processes."""

    def share(self, size: int) -> Tensor:
        """The part of this rank among 0 … size − 1: every ``count``-th, so that lengths in order are divided evenly.

        All ranks have equally many, since they compute in step; what is too much is a repetition.

        >>> Ranks(1, 2).share(5)
        tensor([1, 3, 0])
        """
        each = -(-size // self.count)
        return torch.arange(self.rank, each * self.count, self.count) % size

    def gather(self, values: Tensor, size: int) -> Tensor:
        """All ranks' parts in the order that :meth:`share` took them from: (each, ...) → (size, ...)."""
        if self.count == 1:
            return values
        parts = [torch.empty_like(values) for _ in range(self.count)]
        dist.all_gather(parts, values.contiguous())
        return torch.stack(parts, 1).flatten(0, 1)[:size]

    def gather_log_probs(self, values: Tensor, size: int) -> Tensor:
        """:meth:`gather`, differentiable: gradients of all rows give every rank those of its own."""
        return values if self.count == 1 else _Gathered.apply(values, self, size)

    def gather_generation(self, part: Generation, size: int, pad_token: int) -> Generation:
        """The answers to all prompts from those to each rank's."""
        if self.count == 1:
            return part
        width = torch.tensor(part.tokens.shape[-1], device=part.tokens.device)
        dist.all_reduce(width, dist.ReduceOp.MAX)
        more = (0, int(width) - part.tokens.shape[-1])
        tokens, mask, log_probs = (
            self.gather(pad(values, more, value=fill), size)
            for values, fill in ((part.tokens, pad_token), (part.mask, False), (part.log_probs, 0.0))
        )
        return Generation(tokens, mask, self.gather(part.finished, size), log_probs)


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, ranks: Ranks, size: int) -> Tensor:
        ctx.ranks = ranks
        return ranks.gather(values, size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        ranks = ctx.ranks
        whole = pad(gradient, (0, 0, 0, -len(gradient) % ranks.count))  # what a share repeats has no gradient
        return whole[ranks.rank :: ranks.count] * ranks.count, None, None  # FSDP2 averages over ranks, a sum is meant


def free_port() -> int:
    """A port of this machine at which ranks can meet."""
    with socket.socket() as free:
        free.bind((HERE, 0))
        return free.getsockname()[1]


def meet(rank: int, count: int, port: int) -> None:
    """Make a group of this process and the agent's other ranks, which are on this machine."""
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    address = f"tcp://{HERE}:{port}"
    dist.init_process_group(backend, init_method=address, rank=rank, world_size=count, timeout=RANKS_WAIT)


def shard(model: Any, device: str, offload: bool) -> None:
    """Divide a model among all processes of the group: layer by layer, and what is outside of layers.

    Args:
        model: a causal language model, whole on every rank; nothing of it is trained yet.
        device: where each rank computes, as torch names it.
        offload: each rank's part lives in the host's memory, and a layer is on the device while it computes.
    """
    from torch.distributed.device_mesh import init_device_mesh  # here, since small agents have no use for it
    from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

    if not dist.is_initialized():  # one process, which offloads
        meet(0, 1, free_port())
    on_gpu = torch.device(device).type == "cuda"
    policy = CPUOffloadPolicy(pin_memory=on_gpu) if offload else OffloadPolicy()
    mesh = init_device_mesh(torch.device(device).type, (dist.get_world_size(),))
    for part in (*model.get_decoder().layers, _without_wrapper(model)):
        fully_shard(part, mesh=mesh, reshard_after_forward=True, offload_policy=policy)


def as_forward(model: Any, function: Any) -> Any:
    """``function(model, ...)`` with the first argument given; of a divided model it is a forward pass."""
    from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method

    model = _without_wrapper(model)
    divided = issubclass(type(model), FSDPModule)
    if not divided:
        return partial(function, model)
    name = function.__name__
    setattr(model, name, function.__get__(model))
    register_fsdp_forward_method(model, name)
    return getattr(model, name)


def _without_wrapper(model: Any) -> Any:
    """The causal language model inside of what peft wraps around it, which computes whether or not peft is asked."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def ranks_here() -> Ranks:
    """The ranks of the group that this process has joined; one if it has joined none."""
    return Ranks(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else Ranks()
