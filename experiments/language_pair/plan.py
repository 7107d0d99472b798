"""What a run would take, before its weights are loaded: memory of every device, rollouts, tokens, hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil
import torch

from common.tables import markdown_table
from hacrl_envs.reasoning import PARTS
from hacrl_lab.agents.costs import GRADIENTS, AgentMemory, AgentSeconds, Work, agent_memory, agent_seconds
from hacrl_lab.agents.loading import load_codec
from hacrl_lab.agents.prompting import TextCodec
from hacrl_lab.answer_rules import ANSWER_RULES
from hacrl_lab.errors import LabError
from hacrl_lab.generation.vllm import EngineSettings
from hacrl_lab.methods import get_method
from hacrl_lab.seeding import RandomStream, StepStream
from hacrl_lab.verifiers import MathVerifier
from hacrl_lab.worlds import TextPrompts
from language_pair.models import settings_of, sources_of
from language_pair.options import Options
from language_pair.run import EVALUATION_SEED, prepare
from language_pair.worlds import make_world

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


@dataclass(frozen=True)
class Amount:
    """What one agent does in one part of a run."""

    rollouts: int
    tokens: int
    """That it samples, at most."""
    seconds: float


def plan(options: Options) -> None:
    """Print memory, then rollouts, tokens and hours. Responses are taken to be as long as they may be.

    Args:
        options: as for a run. The lab's own pair is built if it is not there yet, as a run would.

    Raises:
        LabError: what a run would raise before training, or the run cannot fit into a device's memory.
    """
    options = prepare(options)
    sources = sources_of(options)
    settings = settings_of(options, sources)
    work = _work(options, sources)
    memory = {name: agent_memory(sources[name], settings[name], one) for name, one in work.items()}
    parts = {name: _parts(options, one) for name, one in memory.items()}
    devices = _devices(options, parts, {name: one.device for name, one in settings.items()})
    print("\n\n".join(_memory_table(device, memory) for device in devices), end="\n\n", flush=True)
    for device in devices:
        _refuse_too_large(device)
    seconds = {name: agent_seconds(sources[name], settings[name], one) for name, one in work.items()}
    print(_work_table(options, seconds))


def _prompts(options: Options, sources: Mapping[str, str]) -> tuple[TextPrompts, TextPrompts]:
    """The prompts of the run's first step and of its evaluation."""
    with MathVerifier(answer_rule=ANSWER_RULES[options.answer_rule]) as verifier:
        training, test = (make_world(options, sources, verifier, part) for part in PARTS)
        return (
            training.sample_prompts(
                options.training.prompts_per_step, RandomStream(options.seed, 0, StepStream.PROMPTS)
            ),
            test.sample_prompts(options.eval_prompts, RandomStream(EVALUATION_SEED)),
        )


def _work(options: Options, sources: Mapping[str, str]) -> dict[str, Work]:
    """By agent, its largest pieces of work: the longest prompts that there are, in the largest update."""
    asked, tested = _prompts(options, sources)
    methods = [get_method(method) for method in options.methods]
    updates = [update for method in methods for update in options.training.plan(method, len(sources))]
    prompts = max(len(update.prompts) for update in updates)
    group_size = options.training.group_size * max(method.rollout_factor for method in methods)
    side_by_side = tuple(sorted({min(answers, _rows(options)) for answers in _answers(options).values()}))
    found = {}
    for name, settings in settings_of(options, sources).items():
        codec = load_codec(sources[name], name, settings)
        longest = _longest_first(codec, asked.questions)[:prompts]
        [first, *_] = _longest_first(codec, [longest[0], *tested.questions])
        found[name] = Work(TextPrompts(longest, [()] * prompts), group_size, first, side_by_side)
    return found


def _longest_first(codec: TextCodec, questions: Sequence[str]) -> list[str]:
    lengths = codec.prompts(questions)[1].sum(-1)
    return [questions[int(place)] for place in lengths.argsort(descending=True, stable=True)]


def _answers(options: Options) -> dict[str, int]:
    """How many answers an agent gives in a step of each method, and in an evaluation."""
    training = options.training
    asked = training.prompts_per_step * training.group_size
    steps = {method: asked * get_method(method).rollout_factor for method in options.methods}
    return {**steps, "evaluation": options.eval_prompts * options.eval_samples}


def _rows(options: Options) -> int:
    """Answers that are sampled side by side at most."""
    unbounded = EngineSettings.rows if options.generation == "vllm" else max(_answers(options).values())
    return options.rows_at_once or unbounded


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


def _penalised(options: Options, method: str) -> bool:
    return get_method(method).settings(options.training.objective).kl_weight > 0


def _parts(options: Options, memory: AgentMemory) -> AgentParts:
    """On a GPU those of one rank; on a CPU those of all ranks, which share its memory."""
    on_gpu, ranks = options.device.startswith("cuda"), options.ranks_per_agent
    rank, copies = (ranks, 1) if on_gpu else (1, ranks)  # what is divided, and what every rank has
    copied = options.lora_rank == 0 and any(_penalised(options, method) for method in options.methods)
    kept = {
        "weights": memory.weights // rank,
        "AdamW's moments": memory.moments // rank,
        "reference of the KL penalty": memory.weights // rank if copied else 0,
    }
    updating = {kind: size // rank if kind == GRADIENTS else size * copies for kind, size in memory.updating.items()}
    if on_gpu and options.offload:
        kept, updating = dict.fromkeys(kept, 0), {**updating, GRADIENTS: 0}
    if options.generation == "transformers":
        return AgentParts(kept, updating, sum(memory.sampling.values()) * copies)
    its_weights = memory.parameters * getattr(torch, options.dtype).itemsize
    kept["vLLM"] = (its_weights + int(options.cache_gib * GIB)) * copies
    return AgentParts(kept, updating, 0)


def _devices(options: Options, agents: Mapping[str, AgentParts], places: Mapping[str, str]) -> list[Device]:
    """Ray gives each rank a process of its own, beside that of the loop, and on GPUs a device of its own.

    Args:
        options: of the run.
        agents: what they need, by name.
        places: their devices, by name.
    """
    if options.engine == "local":
        together = {
            place: {name: agents[name] for name in agents if places[name] == place} for place in places.values()
        }
        return [Device(place, _size(place), _taken(place), some, False) for place, some in together.items()]
    size, taken = _size(options.device), _taken(options.device)
    if options.device.startswith("cuda"):
        return [Device(f"each GPU of {name}", size, taken, {name: one}, True) for name, one in agents.items()]
    processes = 1 + len(agents) * options.ranks_per_agent
    return [Device(options.device, size, taken * processes, agents, side_by_side=True)]


def _memory_table(device: Device, memory: Mapping[str, AgentMemory]) -> str:
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


def _refuse_too_large(device: Device) -> None:
    if device.peak <= device.size:
        return
    parts = {
        (name, kind): size for name, one in device.agents.items() for kind, size in {**one.kept, **one.passing}.items()
    }
    (name, kind), size = max(parts.items(), key=lambda part: part[1])
    raise LabError(
        f"the run needs up to {_gib(device.peak)} of memory and {device.name} has {_gib(device.size)}; the largest "
        f"part is {kind} of agent {name!r}, {_gib(size)}, and {REMEDIES[kind]} makes it smaller"
    )


def _work_table(options: Options, seconds: Mapping[str, AgentSeconds]) -> str:
    arms = [*options.methods, "evaluation"]
    amounts = {name: [_amount(options, arm, one, len(seconds)) for arm in arms] for name, one in seconds.items()}
    rows = [
        [name, arm, f"{amount.rollouts:,}", f"{amount.tokens:,}", _duration(amount.seconds)]
        for name, its in amounts.items()
        for arm, amount in zip(arms, its, strict=True)
    ]
    alone = [sum(amount.seconds for amount in its) for its in amounts.values()]
    total = max(alone) if options.engine == "ray" else sum(alone)
    notes = [f"{_duration(total)} at most, without verification, checkpoints and loading."]
    if options.generation == "vllm":
        notes.append("Sampling is counted at the speed of transformers; vLLM was not timed and is faster.")
    header = ["agent", "part of the run", "rollouts", "tokens at most", "time at most"]
    return f"{markdown_table(header, rows)}\n\n{' '.join(notes)}"


def _amount(options: Options, arm: str, seconds: AgentSeconds, agents: int) -> Amount:
    """What an agent does for one method, or for the evaluations of them all and of the start."""
    assert options.max_new_tokens is not None
    answers = _answers(options)[arm]
    rows = min(answers, _rows(options))
    answering = seconds.answers[rows] * answers / rows
    if arm == "evaluation":
        times, whole = 1 + len(options.methods), answering
    else:
        times, whole = options.steps, answering + _learning(options, arm, answers, seconds, agents)
    return Amount(times * answers, times * answers * options.max_new_tokens, times * whole)


def _learning(options: Options, method: str, answers: int, seconds: AgentSeconds, agents: int) -> float:
    """Seconds of scoring and of updates in a step in which every rollout has a gradient."""
    chosen = get_method(method)
    scored = answers * (2 if _penalised(options, method) else 1)
    learned = answers * len(chosen.pool(0, agents))
    updates = len(options.training.plan(chosen, agents))
    return scored * seconds.scored_row + learned * seconds.learned_row + updates * seconds.optimizer_step


def _gib(size: float) -> str:
    return f"{size / GIB:.2f} GiB"


def _duration(seconds: float) -> str:
    """In the unit that reads best."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
