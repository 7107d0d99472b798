"""The devices of a run: their memory by part and agent, and the refusal of what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import psutil
import torch

from hacrl_lab.errors import LabError
from hacrl_lab.language_models.causal_lm import CausalLMSettings
from hacrl_lab.language_models.costs import GRADIENTS, AgentMemory
from hacrl_runs.tables import markdown_table

GIB = 2**30
CUDA_CONTEXT = GIB // 2
"""About what a process has on a GPU before it does anything; where there is a GPU, it is measured."""
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
        return max(self.updating, {"sampling": self.sampling}, key=lambda parts: sum(parts.values()))


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


def agent_parts(settings: CausalLMSettings, memory: AgentMemory, penalised: bool) -> AgentParts:
    """Which parts an agent has: on a GPU those of one rank, on a CPU those of all ranks, which share its memory.

    Args:
        settings: of the agent.
        memory: of the agent.
        penalised: whether a KL penalty compares with a copy of what is trained.
    """
    on_gpu, ranks = settings.device.startswith("cuda"), settings.ranks
    share, copies = (ranks, 1) if on_gpu else (1, ranks)  # of what is divided, and of what every rank has
    kept = {
        "weights": memory.weights // share,
        "AdamW's moments": memory.moments // share,
        "reference of the KL penalty": memory.moments // 2 // share if penalised else 0,
    }
    updating = {kind: size // share if kind == GRADIENTS else size * copies for kind, size in memory.updating.items()}
    if on_gpu and settings.offload:
        kept, updating = dict.fromkeys(kept, 0), {**updating, GRADIENTS: 0}
    if settings.generation != "vllm":
        return AgentParts(kept, updating, sum(memory.sampling.values()) * copies)
    its_weights = memory.parameters * getattr(torch, settings.compute_dtype).itemsize
    kept["vLLM"] = (its_weights + int(settings.cache_gib * GIB)) * copies
    return AgentParts(kept, updating, 0)


def without_base(parts: AgentParts, memory: AgentMemory) -> AgentParts:
    """The parts of an agent that has base and engine together with another: of the weights, its adapter is left.

    Args:
        parts: of an agent with a base of its own.
        memory: of the agent.
    """
    left = {"weights": memory.moments // 2, "vLLM": 0}
    return replace(parts, kept={kind: left.get(kind, size) for kind, size in parts.kept.items()})


def devices_of(
    agents: Mapping[str, AgentParts], settings: Mapping[str, CausalLMSettings], engine: str, gpu_gib: float
) -> list[Device]:
    """The devices of a run. Ray gives each rank a process beside that of the loop and, where there are GPUs, a GPU.

    Args:
        agents: their memory, by name.
        settings: theirs, by name.
        engine: local or ray.
        gpu_gib: plan for GPUs of so many GiB; 0: for the devices of this machine.
    """
    names = {name: one.device for name, one in settings.items()}
    if engine == "local":
        by_device = {
            device: {name: parts for name, parts in agents.items() if names[name] == device}
            for device in names.values()
        }
        return [
            Device(device, *_sizes(device, gpu_gib), there, side_by_side=False) for device, there in by_device.items()
        ]
    device, ranks = next((one.device, one.ranks) for one in settings.values())
    size, taken = _sizes(device, gpu_gib)
    if device.startswith("cuda"):
        return [Device(f"each GPU of {name}", size, taken, {name: parts}, True) for name, parts in agents.items()]
    processes = 1 + len(agents) * ranks
    return [Device(device, size, taken * processes, agents, side_by_side=True)]


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


def _sizes(device: str, gpu_gib: float) -> tuple[int, int]:
    """Bytes of a device's memory, and of them in use before there are agents."""
    if gpu_gib > 0:
        return int(gpu_gib * GIB), CUDA_CONTEXT
    return _size(device), _taken(device)


def _taken(device: str) -> int:
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
