"""What a language model's work costs, before its weights are loaded: memory without values, seconds of a few layers.

Memory: the agent's own passes, optimiser and sampler run on torch's fake tensors, which have shapes and no values,
while :class:`~hacrl_lab.language_models.live_bytes.LiveBytes` counts what is alive. Nothing is assumed about a model's
inside.
Each kind of memory counts with its own largest size, though these are not all at the same time: what one kind has freed
is in pieces that another can often not use.

Time: the same pieces of work run on the real device, by models of one layer and of a few layers with random weights;
seconds grow linearly with layers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from tqdm.auto import tqdm
from transformers import DynamicCache

from hacrl_lab.errors import ModelLoadError, first_line
from hacrl_lab.language_models.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.language_models.live_bytes import LiveBytes
from hacrl_lab.language_models.loading import agent_without_values, layers_of, untrained_agent
from hacrl_lab.language_models.sampler import SamplingSettings
from hacrl_lab.language_models.transformers_sampler import TransformersSampler
from hacrl_lab.rollouts import EncodedRollouts, RolloutBatch
from hacrl_lab.worlds import TextPrompts

GRADIENTS, COPIES, LOGITS, ACTIVATIONS = "gradients", "weights in bfloat16", "logits", "activations"
"""Kinds of memory; keys and values, while answers are sampled, are among the activations."""
TIMED_LAYERS = 4
"""Layers of the larger of the two models that are timed."""
TIMED_TOKENS = 6
"""Tokens that are sampled at a time when sampling is timed."""
REPEATS = 3
"""How often everything is timed; the median counts."""


@dataclass(frozen=True)
class Work:
    """The pieces that an agent's work in a run is made of. All responses are as long as they may be."""

    prompts: TextPrompts
    """Of one update."""
    group_size: int
    """Rollouts for each of them that come from one sampler."""
    longest: str
    """The question that is longest."""
    side_by_side: Sequence[int]
    """How many answers are sampled at the same time, in every kind of batch that there is."""


@dataclass(frozen=True)
class AgentMemory:
    """Bytes on the agent's device."""

    parameters: int
    """How many numbers the weights are."""
    trained: int
    """How many of them are trained."""
    weights: int
    moments: int
    """AdamW's, of what is trained; made by the first update."""
    updating: Mapping[str, int]
    """What an update takes beside these, by kind, each when it takes most."""
    sampling: Mapping[str, int]
    """The same of transformers' sampling."""


@dataclass(frozen=True)
class AgentSeconds:
    """Seconds on the agent's device."""

    scored_row: float
    """Log-probabilities of one rollout, in a full pass."""
    learned_row: float
    """The same with the backward pass."""
    optimizer_step: float
    answers: Mapping[int, float]
    """So many answers, sampled side by side by transformers."""


def agent_memory(source: str, settings: CausalLMSettings, work: Work) -> AgentMemory:
    """What an agent takes on its device, found without loading or making its weights.

    Args:
        source, settings: see :func:`hacrl_lab.language_models.loading.load_agent`.
        work: what it does.

    Raises:
        ModelLoadError: the configuration or the tokenizer cannot be loaded, or torch cannot compute its layers without
            values, as those of many mixtures of experts.
    """
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)  # which writes tracebacks
    try:
        return _agent_memory(source, settings, work)
    except RuntimeError as error:
        raise ModelLoadError(
            f"the memory of {source!r} cannot be planned, since torch cannot compute its layers without values "
            f"({first_line(error)}); measure it in a run of few steps"
        ) from error


def _agent_memory(source: str, settings: CausalLMSettings, work: Work) -> AgentMemory:
    on_gpu = settings.device.startswith("cuda")
    if on_gpu and not torch.cuda.is_available():  # tensors have the same sizes on a device that is not here
        settings = replace(settings, device="cpu")
    agent = agent_without_values(source, source, settings)
    for group in agent.optimizer.param_groups:  # all at once on a GPU, with more memory; fake tensors would not
        group["foreach"] = on_gpu
    trained = sum(_bytes(agent.trained().values()))
    moments = 2 * trained
    updating = dict(updating_peaks(agent, work))
    updating[GRADIENTS] = updating.get(GRADIENTS, 0) - moments
    weights = list(agent.model.parameters())
    return AgentMemory(
        parameters=sum(one.numel() for one in weights),
        trained=sum(one.numel() for one in agent.trained().values()),
        weights=sum(_bytes([*weights, *agent.model.buffers()])),
        moments=moments,
        updating=updating,
        sampling=max(
            (sampling_peaks(agent, work, rows) for rows in work.side_by_side), key=lambda peaks: sum(peaks.values())
        ),
    )


def agent_seconds(source: str, settings: CausalLMSettings, work: Work) -> AgentSeconds:
    """How long an agent takes, from models of one and of a few of its layers; see :func:`agent_memory`.

    Raises:
        ModelLoadError: the model cannot have so few layers, as where the first one has no attention.
    """
    all_layers = layers_of(source)
    layers = 1, min(TIMED_LAYERS, all_layers)
    try:
        first, second = (_timed(untrained_agent(source, source, settings, count), work) for count in layers)
    except ValueError as error:
        raise ModelLoadError(
            f"the time of {source!r} cannot be planned, since it cannot have so few layers ({first_line(error)}); "
            "measure it in a run of few steps"
        ) from error
    return with_layers(all_layers, dict(zip(layers, (first, second), strict=True)))


def with_layers(all_layers: int, timed: Mapping[int, AgentSeconds]) -> AgentSeconds:
    """Seconds of a model from those of shorter ones, on a line through the shortest and the longest.

    Args:
        all_layers: how many layers the model has.
        timed: by layers.
    """
    few, more = min(timed), max(timed)
    share = (all_layers - few) / max(1, more - few)

    def line(value: Callable[[AgentSeconds], float]) -> float:
        start, end = value(timed[few]), value(timed[more])
        return start + share * max(0.0, end - start)

    return AgentSeconds(
        line(lambda seconds: seconds.scored_row),
        line(lambda seconds: seconds.learned_row),
        line(lambda seconds: seconds.optimizer_step),
        {rows: line(lambda seconds, rows=rows: seconds.answers[rows]) for rows in timed[few].answers},
    )


def updating_peaks(agent: CausalLMAgent, work: Work) -> Mapping[str, int]:
    """Bytes by kind that two passes and their optimiser step take at most, AdamW's moments among the gradients.

    A step before them makes the moments, and the second pass finds the gradients of the first.

    Args:
        agent: with values or, from :func:`hacrl_lab.language_models.loading.agent_without_values`, without.
        work: what it does.
    """
    encoded, passes = _passes(agent, work)
    with _NumbersAreOne(), LiveBytes(_kinds(agent)) as live:
        agent.apply_gradients(empty="step")
        for rows in passes[:2]:
            _learn(agent, encoded, rows)
        agent.apply_gradients()
    return live.peaks


def sampling_peaks(agent: CausalLMAgent, work: Work, rows: int) -> Mapping[str, int]:
    """Bytes by kind that sampling takes at most: the larger of the prompts' pass and the last token's.

    Args:
        agent, work: see :func:`updating_peaks`.
        rows: answers side by side.
    """
    ids = _longest_prompt(agent, work)
    whole = _and_random(agent, ids, agent.settings.max_new_tokens - 1)
    with torch.no_grad(), _NumbersAreOne(), LiveBytes(_kinds(agent)) as live, agent.computing():
        _sample(agent, ids.expand(rows, -1), 1)
        reading = live.peaks.copy()
        cache = _cache(agent, whole, rows)
        live.forget_peaks()
        _sample(agent, whole.expand(rows, -1), 1, cache)
    return max(reading, live.peaks, key=lambda peaks: sum(peaks.values()))


class _NumbersAreOne(TorchDispatchMode):
    """A number that is read from a tensor without values is 1: finite, true and no reason to stop."""

    def __torch_dispatch__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and isinstance(args[0], FakeTensor):
            return 1
        return func(*args, **(kwargs or {}))


def _kinds(agent: CausalLMAgent) -> Callable[[Tensor], str]:
    """What a new tensor is, by its shape."""
    shapes = {one.shape for one in agent.model.parameters()}

    def kind(tensor: Tensor) -> str:
        if tensor.shape in shapes:
            return GRADIENTS if tensor.dtype == torch.float32 else COPIES
        return LOGITS if tensor.shape[-1:] == (agent.model.config.vocab_size,) else ACTIVATIONS

    return kind


def _timed(agent: CausalLMAgent, work: Work) -> AgentSeconds:
    encoded, passes = _passes(agent, work)
    rows = passes[0]

    def score() -> None:
        with torch.no_grad():
            agent.token_log_probs(encoded, rows)

    return AgentSeconds(
        _seconds(agent, score) / len(rows),
        _seconds(agent, lambda: _learn(agent, encoded, rows)) / len(rows),
        _seconds(agent, lambda: agent.apply_gradients(empty="step")),
        {count: _answer_seconds(agent, work, count) for count in work.side_by_side},
    )


def _answer_seconds(agent: CausalLMAgent, work: Work, rows: int) -> float:
    """Reading the prompts, and all tokens at the speed of those in the middle."""
    ids, tokens = _longest_prompt(agent, work), agent.settings.max_new_tokens
    middle = _and_random(agent, ids, tokens // 2)
    with torch.no_grad(), agent.computing():
        caches = [_cache(agent, middle, rows) for _ in range(REPEATS + 1)]
        reading = _seconds(agent, lambda: _sample(agent, ids.expand(rows, -1), 1))
        going_on = _seconds(agent, lambda: _sample(agent, middle.expand(rows, -1), TIMED_TOKENS, caches.pop()))
    return reading + tokens * going_on / TIMED_TOKENS


def _seconds(agent: CausalLMAgent, call: Callable[[], Any]) -> float:
    """The median of some calls after a first one."""
    call()
    found = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        if agent.settings.device.startswith("cuda"):
            torch.cuda.synchronize(agent.settings.device)
        found.append(time.perf_counter() - started)
    return median(found)


def _learn(agent: CausalLMAgent, encoded: EncodedRollouts, rows: Tensor) -> None:
    """A forward and a backward pass."""
    log_probs = agent.token_log_probs(encoded, rows)
    log_probs.backward(torch.ones_like(log_probs))


def _passes(agent: CausalLMAgent, work: Work) -> tuple[EncodedRollouts, list[Tensor]]:
    """Random responses of full length and the passes of an update over them, the largest first."""
    shape = (len(work.prompts.questions), work.group_size, agent.settings.max_new_tokens)
    tokens = _random(agent, *shape)
    mask = torch.ones(shape, dtype=torch.bool)
    encoded = agent.encode(work.prompts, [RolloutBatch(agent.name, None, mask[..., 0], tokens, mask)])
    rows = encoded.rows()
    return encoded, [rows[some] for some in agent.passes(encoded, [rows])]


def _longest_prompt(agent: CausalLMAgent, work: Work) -> Tensor:
    ids, _ = agent.codec.prompts([work.longest])
    return ids.to(agent.settings.device)


def _and_random(agent: CausalLMAgent, ids: Tensor, count: int) -> Tensor:
    """A row and further tokens after it: (1, L) -> (1, L + count)."""
    return torch.cat([ids, _random(agent, 1, count).to(ids.device)], -1)


def _random(agent: CausalLMAgent, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(agent.model.config.vocab_size, shape, generator=generator)


def _cache(agent: CausalLMAgent, ids: Tensor, rows: int) -> DynamicCache:
    """Keys and values, or states, of all tokens of a row but its last, for so many equal rows."""
    cache = DynamicCache(config=agent.model.config)
    agent.model(input_ids=ids[:, :-1], past_key_values=cache, logits_to_keep=1)
    first: Any = torch.zeros(rows, dtype=torch.int64, device=ids.device)
    cache.reorder_cache(first)  # layers of every kind have it
    return cache


def _sample(agent: CausalLMAgent, ids: Tensor, count: int, cache: DynamicCache | None = None) -> None:
    settings = SamplingSettings(count, (), agent.codec.pad_token, agent.name)
    sampler = TransformersSampler(agent.model)
    sampler.sample_rows(ids, torch.ones_like(ids), settings, tqdm(disable=True), cache)


def _bytes(tensors: Any) -> list[int]:
    return [tensor.numel() * tensor.element_size() for tensor in tensors]
