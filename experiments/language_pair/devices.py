"""The devices of a run: their memory by part and agent, and the refusal of what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psutil
import torch

from common.tables import markdown_table
from hacrl_lab.agents.costs import AgentMemory
from hacrl_lab.errors import LabError
from language_pair.options import Options

GIB = 2**30
REMEDIES = {
    "weights": "a smaller model",
    "AdamW's moments": "--lora-rank",
    "reference of the KL penalty": "--lora-rank",
    "vLLM": "--cache-gib",
    "gradients": "--lora-rank",
    "weights in bfloat16": "a smaller model",
    "logits": "--checkpointing, or a smaller --tokens-per-pass,",
    "activations": "--checkpointing, or a smaller --tokens-per-pass,",
    "sampling": "--rows-at-once",
}
"""What makes a part of the memory smaller."""


@dataclass(frozen=True)
class AgentParts:
    """An agent's memory by part, bytes."""

    kept: Mapping[str, int]
    """What stays from the first update on."""
    updating: Mapping[str, int]
    """What an update takes beside it."""
    sampling: int
    """What sampling takes beside it."""

    @property
    def passing(self) -> Mapping[str, int]:
        """The larger of what comes and goes."""
        return max(self.updating, {"sampling": self.sampling}, key=lambda one: sum(one.values()))


@dataclass(frozen=True)
class Device:
    """A device and the agents that live on it."""

    name: str
    size: int
    """Bytes of its memory."""
    processes: int
    """Bytes that are taken without any agent: by the processes of the run or, on a GPU, by whatever is on it."""
    agents: Mapping[str, AgentParts]
    side_by_side: bool
    """Whether the agents work at the same time."""

    @property
    def peak(self) -> int:
        """Bytes at most."""
        kept = sum(sum(agent.kept.values()) for agent in self.agents.values())
        passing = [sum(agent.passing.values()) for agent in self.agents.values()]
        return self.processes + kept + (sum(passing) if self.side_by_side else max(passing))


def agent_parts(options: Options, memory: AgentMemory, penalised: bool) -> AgentParts:
    """Which parts a run has.

    Args:
        options: resolved.
        memory: of the agent.
        penalised: whether a KL penalty compares with a copy of the model; an adapter is compared with what it changes.
    """
    kept = {
        "weights": memory.weights,
        "AdamW's moments": memory.moments,
        "reference of the KL penalty": memory.weights if penalised and options.lora_rank == 0 else 0,
    }
    if options.generation == "transformers":
        return AgentParts(kept, memory.updating, sum(memory.sampling.values()))
    kept["vLLM"] = memory.parameters * getattr(torch, options.dtype).itemsize + int(options.cache_gib * GIB)
    return AgentParts(kept, memory.updating, 0)


def devices_of(options: Options, processes: int, agents: Mapping[str, AgentParts]) -> list[Device]:
    """The devices of a run. Ray gives each agent a process beside that of the loop and, where there are GPUs, a GPU.

    Args:
        options: resolved.
        processes: what this process takes, see :func:`memory_taken`.
        agents: by name.
    """
    size = _size(options.device)
    if options.engine == "local":
        return [Device(options.device, size, processes, agents, side_by_side=False)]
    if options.device.startswith("cuda"):
        return [Device(f"GPU of {name}", size, processes, {name: one}, True) for name, one in agents.items()]
    return [Device(options.device, size, processes * (1 + len(agents)), agents, side_by_side=True)]


def memory_table(device: Device, memory: Mapping[str, AgentMemory]) -> str:
    """A device's memory by part and agent, and its peak."""
    agents = device.agents.values()
    rows = [["parameters", *(f"{memory[name].parameters:,}" for name in device.agents)]]
    rows.append(["parameters that are trained", *(f"{memory[name].trained:,}" for name in device.agents)])
    for kind in next(iter(agents)).kept:
        rows.append([kind, *(_gib(agent.kept[kind]) for agent in agents)])
    for kind in sorted({kind for agent in agents for kind in agent.updating}):
        rows.append([f"while updating: {kind}", *(_gib(agent.updating.get(kind, 0)) for agent in agents)])
    rows.append(["while sampling", *(_gib(agent.sampling) for agent in agents)])
    table = markdown_table([device.name, *device.agents], rows)
    how = "side by side" if device.side_by_side else "one at a time"
    return (
        f"{table}\n\nPeak {_gib(device.peak)} of {_gib(device.size)}: "
        f"{_gib(device.processes)} before there are agents, who work {how}."
    )


def refuse_what_does_not_fit(device: Device) -> None:
    """Name the largest part, and what makes it smaller.

    Raises:
        LabError: the peak is above the device's memory.
    """
    if device.peak <= device.size:
        return
    parts = {
        (name, kind): size
        for name, agent in device.agents.items()
        for kind, size in {**agent.kept, **agent.passing}.items()
    }
    (name, kind), size = max(parts.items(), key=lambda part: part[1])
    raise LabError(
        f"the run needs about {_gib(device.peak)} of memory and {device.name} has {_gib(device.size)}; the largest "
        f"part is {kind} of agent {name!r}, {_gib(size)}, and {REMEDIES[kind]} makes it smaller"
    )


def memory_taken(device: str) -> int:
    """Bytes in use before there are agents: of this process, or of a GPU."""
    if not device.startswith("cuda"):
        return psutil.Process().memory_info().rss
    free, size = torch.cuda.mem_get_info(device)
    return size - free


def _size(device: str) -> int:
    if not device.startswith("cuda"):
        return psutil.virtual_memory().total
    return torch.cuda.get_device_properties(device).total_memory


def _gib(size: float) -> str:
    return f"{size / GIB:.2f} GiB"
