"""The options of the language-model pair; also what a run's ``config.json`` holds.

:class:`Options` has them all side by side; they are declared in groups, by which ``--help`` lists them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hacrl_lab.config import MethodName, TrainingConfig
from hacrl_lab.verification.answer_rules import AnswerRuleName
from hacrl_runs.own_pair.recipes import Answers, Size
from hacrl_runs.presets import PresetName

Logger = Literal["none", "wandb", "trackio"]
LEARNING_RATES = {"tiny": 2e-4, "small": 1e-4, "base": 3e-5}
LONG_LEARNING_RATE = 3e-4
OWN_MODELS_LEARNING_RATE = 1e-6  # the paper's, for models of billions of parameters
MAX_NEW_TOKENS = {"short": 64, "long": 256}
OWN_TEMPLATE = "{question}\n"


@dataclass(frozen=True)
class RunOptions:
    """What is run, and where it is kept."""

    preset: PresetName | None = None
    """Settings of the paper, set together; options beside it take precedence. 'paper' sets clip bounds, KL penalty,
    schedule, batch and lengths; the others also one of the paper's six pairs, its data and its α and δ; '-lora' at the
    end trains adapters, on one GPU."""
    method: MethodName = "hacpo"
    compare: str = "gspo"
    """A second method to set beside it, with the same number of prompts; 'none' leaves it out."""
    steps: int = 20
    """Training steps for each method."""
    seed: int = 0
    """Seed of problems, sampling and mini-batches."""
    checkpoint_every: int = 5
    """Steps between checkpoints; one is also written on Ctrl-C."""
    patience: int = 3
    """Stop after so many steps in a row from which nothing can be learned: all rewards equal, no response finished, or
    nothing of the others' rollouts inside the clip bounds. 0: only warn."""
    logger: Logger = "none"
    """A tracking service that is sent every metric as well, an extra of the same name."""
    push_to_hub: str | None = None
    """A user or organisation of the Hugging Face hub, to whom the trained agents are uploaded at the end, privately."""
    output_dir: str | None = None
    """Folder of the run: a new one, an empty one, or that of the same run. Left out: a new one under runs/llm_pair/."""
    resume: str | None = None
    """Folder of an earlier run to go on with, under its own settings; only --steps may be larger, and --patience,
    --logger, --push-to-hub, --engine and --ranks-per-agent others."""
    plan: bool = False
    """Print memory, rollouts, tokens and hours of the run and stop; no weights are loaded. Refuses what cannot fit."""
    plan_gpu_gib: float = 0.0
    """With --plan: for GPUs of so many GiB, which this machine need not have, without hours. 0: for this machine."""


@dataclass(frozen=True)
class ModelOptions:
    """Who learns."""

    agents: tuple[str, ...] = ()
    """Two or more models, each a local transformers folder or a hub id. Empty: the lab's own pair."""
    size: Size = "tiny"
    """Size of the lab's own pair: about 0.6 + 0.4, 10 + 6 or 100 + 60 million parameters. Built on first use."""
    answers: Answers = "short"
    """What the lab's own pair writes: bare equations of about 20 tokens, or sentences of 128 to 256 (size tiny)."""
    lora_rank: int = 0
    """Rank of a LoRA adapter on all linear layers, which is then all that is trained; 0: all weights are."""


@dataclass(frozen=True)
class ProblemOptions:
    """What is asked, and what counts as a right answer."""

    problems: str | None = None
    """Problems with questions and answers: a file (.jsonl, .json, .csv, .parquet), a folder, a hub id
    OWNER/NAME:CONFIG@SPLIT, or math or gsm8k. Left out: the lab's own quantity stories."""
    question_column: str | None = None
    """Column of the questions. Left out: question, problem, prompt or input, whichever there is."""
    answer_column: str | None = None
    """Column of the exact answers, or of solutions with #### or \\boxed{} before them. Left out: answer, solution, gold
    or target."""
    eval_problems: str | None = None
    """Problems of the evaluation, given as --problems are, or one of the paper's benchmarks. Left out: a fifth of
    --problems, chosen by the questions' text. Training never asks what the evaluation asks."""
    reward: str | None = None
    """A function of your own that rewards responses in place of comparing answers: PACKAGE.MODULE:FUNCTION or
    FILE.py:FUNCTION, called as TRL calls them; see docs/data.md."""
    tasks: tuple[str, ...] = ()
    """Tasks of Reasoning Gym in place of problems, each NAME:SETTING=VALUE,SETTING=VALUE*WEIGHT, for instance
    chain_sum:max_terms=3 gcd*2. Evaluation asks questions that training never does."""
    eval_prompts: int = 256
    """Problems in the evaluation before and after training; the same for every agent and method."""
    eval_samples: int = 4
    """Responses to each of them."""


@dataclass(frozen=True)
class PromptOptions:
    """How it is asked, and where in a response the answer is."""

    answer_rule: AnswerRuleName = "boxed"
    """What of a response is its answer: the last \\boxed{}, the last <answer> ... </answer>, the line after the last
    ####, the last number, or all of it; in a model that thinks, what follows its thinking."""
    prompt_template: str | None = None
    """The prompt; {question} is replaced. Put into the chat template of a model that has one. Left out: the question,
    and for models that are not the lab's own the request for an answer as --answer-rule finds it."""
    system_prompt: str | None = None
    """System message, for models with a chat template."""
    enable_thinking: bool = False
    """Told to chat templates: whether models that can think first should."""


@dataclass(frozen=True)
class OptimiserOptions:
    """How large an update is."""

    learning_rate: float | None = None
    """AdamW's learning rate. Left out: 2e-4, 1e-4 or 3e-5 for the own pair's sizes, 3e-4 for its long answers, 1e-6 for
    other models."""
    rate_factors: tuple[float, ...] = ()
    """Multiples of the learning rate, one for each agent. Left out: all agents have the same."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""


@dataclass(frozen=True)
class GenerationOptions:
    """How answers are sampled, always at temperature 1 from the whole distribution."""

    max_new_tokens: int | None = None
    """Length limit of a response, in each agent's own tokens. Left out: 64, for long answers 256."""
    generation: Literal["transformers", "vllm"] = "transformers"
    """What samples the answers; vllm is an extra, see docs/real_models.md."""
    rows_at_once: int = 0
    """Answers that are sampled side by side at most, which bounds memory; 0: all of a step (vLLM: 256)."""
    cache_gib: float = 1.0
    """Memory of vLLM's key-value cache for each agent, GiB."""


@dataclass(frozen=True)
class DeviceOptions:
    """Where it is computed, how exactly, and what saves memory."""

    device: str = "auto"
    """Where the models live, as torch names it; auto takes a GPU if there is one. One for all agents, or one for each
    of them with commas between: cuda:0,cuda:1."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What models compute in. Weights and the optimiser's moments are float32: in bfloat16 updates much smaller than a
    weight would be rounded away."""
    tokens_per_pass: int = 4096
    """Prompt and response tokens in one forward and backward pass, which bounds memory; 0: no bound."""
    checkpointing: bool = False
    """Compute activations again in the backward pass, and logits in chunks: much less memory, a third more time."""
    offload: bool = False
    """Keep weights, gradients and the optimiser's state in the host's memory, and a layer on the GPU only while it
    computes; needs --checkpointing."""
    engine: Literal["local", "ray"] = "local"
    """Where agents live: in this process, one after the other, or each in a process of its own, side by side; ray is an
    extra."""
    ranks_per_agent: int = 1
    """Processes among which each agent's weights, gradients and optimiser state are divided (FSDP2), on GPUs one of
    them each; more than one needs --engine ray and --checkpointing."""


@dataclass(frozen=True)
class Options(
    DeviceOptions,
    GenerationOptions,
    OptimiserOptions,
    PromptOptions,
    ProblemOptions,
    ModelOptions,
    RunOptions,
):
    """Train several different language models together with --method and, from the same start, with --compare."""

    training: TrainingConfig = TrainingConfig(prompts_per_step=32)

    def __post_init__(self) -> None:
        leasts = {
            "steps": 1,
            "checkpoint_every": 1,
            "patience": 0,
            "eval_prompts": 2,
            "eval_samples": 1,
            "tokens_per_pass": 0,
            "seed": 0,
            "lora_rank": 0,
            "rows_at_once": 0,
            "ranks_per_agent": 1,
        }
        for name, least in leasts.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be ≥ {least}, got {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm", "cache_gib"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be a number > 0, got {value}")
        if not 0 <= self.plan_gpu_gib < math.inf:
            raise ValueError(f"plan_gpu_gib must be a number ≥ 0, got {self.plan_gpu_gib}")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be ≥ 1, got {self.max_new_tokens}")
        for wrong, message in self._impossible():
            if wrong:
                raise ValueError(message)

    def _impossible(self) -> Iterator[tuple[bool, str]]:
        """Settings that exclude each other or have impossible values: whether it is so, and what to say."""
        others, factors = bool(self.agents), self.rate_factors
        yield (
            self.answers == "long" and (self.size != "tiny" or others),
            "answers must be 'short': only the lab's own pair of size 'tiny' writes long ones",
        )
        yield bool(self.tasks) and self.problems is not None, "tasks and --problems exclude each other"
        for name in ("question_column", "answer_column", "eval_problems", "reward"):
            yield getattr(self, name) is not None and self.problems is None, f"{name} needs --problems"
        yield (
            self.ranks_per_agent > 1 and not (self.engine == "ray" and self.checkpointing),
            "ranks_per_agent above 1 needs --engine ray and --checkpointing",
        )
        yield (
            self.engine == "ray" and "," in self.device,
            "device must be 'cuda', without numbers: --engine ray gives each process a GPU of its own",
        )
        yield self.offload and not self.checkpointing, "offload needs --checkpointing"
        yield (
            bool(factors)
            and (len(factors) != (len(self.agents) or 2) or not all(0 < one < math.inf for one in factors)),
            f"rate_factors must be one for each agent, all > 0, got {factors}",
        )
        yield (
            self.prompt_template is not None and "{question}" not in self.prompt_template,
            f"prompt_template must hold {{question}}, got {self.prompt_template!r}",
        )
        yield self.plan_gpu_gib > 0 and not self.plan, "plan_gpu_gib needs --plan"
        yield len(self.agents) == 1, "agents must be two or more models; one alone has nobody to share with"

    @property
    def methods(self) -> tuple[str, ...]:
        """What to train with, in order."""
        return (self.method,) if self.compare in ("none", self.method) else (self.compare, self.method)
