"""The options of the language-model pair; also what a run's ``config.json`` holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from hacrl_lab.answer_rules import AnswerRuleName
from hacrl_lab.config import MethodName, TrainingConfig, load_config
from hacrl_lab.errors import LabError

Size = Literal["tiny", "small", "base"]
Answers = Literal["short", "long"]
LEARNING_RATES = {"tiny": 2e-4, "small": 1e-4, "base": 3e-5}
LONG_LEARNING_RATE = 3e-4
OWN_MODELS_LEARNING_RATE = 1e-6  # the paper's, for models of billions of parameters
MAX_NEW_TOKENS = {"short": 64, "long": 256}
OWN_TEMPLATE = "{question}\n"


@dataclass(frozen=True)
class Options:
    """Train several different language models together with --method and, from the same start, with --compare."""

    method: MethodName = "hacpo"
    compare: str = "gspo"
    """A second method to set beside it, with the same number of prompts; 'none' leaves it out."""
    agents: tuple[str, ...] = ()
    """Two or more models, each a local transformers folder or a hub id. Empty: the lab's own pair."""
    size: Size = "tiny"
    """Size of the lab's own pair: about 0.6 + 0.4, 10 + 6 or 100 + 60 million parameters. Built on first use."""
    answers: Answers = "short"
    """What the lab's own pair writes: bare equations of about 20 tokens, or sentences of 128 to 256 (size tiny)."""
    problems: str | None = None
    """JSON Lines file of problems, {"question": ..., "answer": LaTeX}. Left out: the lab's own quantity stories."""
    tasks: tuple[str, ...] = ()
    """Tasks of Reasoning Gym in place of problems, each NAME:SETTING=VALUE,SETTING=VALUE*WEIGHT, for instance
    chain_sum:max_terms=3 gcd*2. Evaluation asks questions that training never does."""
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
    steps: int = 20
    """Training steps for each method."""
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = TrainingConfig(prompts_per_step=32)
    learning_rate: float | None = None
    """AdamW's learning rate. Left out: 2e-4, 1e-4 or 3e-5 for the own pair's sizes, 3e-4 for its long answers, 1e-6 for
    other models."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    max_new_tokens: int | None = None
    """Length limit of a response, in each agent's own tokens. Left out: 64, for long answers 256."""
    tokens_per_pass: int = 4096
    """Prompt and response tokens in one forward and backward pass, which bounds memory; 0: no bound."""
    eval_prompts: int = 256
    """Problems in the evaluation before and after training; the same for every agent and method."""
    eval_samples: int = 4
    """Responses to each of them."""
    checkpoint_every: int = 5
    """Steps between checkpoints; one is also written on Ctrl-C."""
    seed: int = 0
    """Seed of problems, sampling and mini-batches."""
    device: str = "auto"
    """Where the models live, as torch names it; auto takes a GPU if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What models compute in. Weights and the optimiser's moments are float32: in bfloat16 updates much smaller than a
    weight would be rounded away."""
    checkpointing: bool = False
    """Compute activations again in the backward pass, and logits in chunks: much less memory, a third more time."""
    lora_rank: int = 0
    """Rank of a LoRA adapter on all linear layers, which is then all that is trained; 0: all weights are."""
    generation: Literal["transformers", "vllm"] = "transformers"
    """What samples the answers; vllm is an extra, see docs/real_models.md."""
    rows_at_once: int = 0
    """Answers that are sampled side by side at most, which bounds memory; 0: all of a step (vLLM: 256)."""
    cache_gib: float = 1.0
    """Memory of vLLM's key-value cache for each agent, GiB."""
    engine: Literal["local", "ray"] = "local"
    """Where agents live: in this process, one after the other, or each in a process of its own, side by side; ray is an
    extra."""
    output_dir: str | None = None
    """Folder of the run. Left out: a new one under runs/llm_pair/."""
    resume: str | None = None
    """Folder of an earlier run to go on with, under its own settings; only --steps may be given beside it."""
    plan: bool = False
    """Print memory, rollouts, tokens and hours of the run and stop; no weights are loaded. Refuses what cannot fit."""

    def __post_init__(self) -> None:
        leasts = {
            "steps": 1,
            "checkpoint_every": 1,
            "eval_prompts": 2,
            "eval_samples": 1,
            "tokens_per_pass": 0,
            "seed": 0,
            "lora_rank": 0,
            "rows_at_once": 0,
        }
        for name, least in leasts.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be ≥ {least}, got {getattr(self, name)}")
        if self.answers == "long" and (self.size != "tiny" or self.agents):
            raise ValueError("answers 'long' are written by the lab's own pair of size 'tiny' only")
        if self.tasks and self.problems is not None:
            raise ValueError("tasks and problems exclude each other")
        if not self.cache_gib > 0:
            raise ValueError(f"cache_gib must be > 0, got {self.cache_gib}")
        if self.prompt_template is not None and "{question}" not in self.prompt_template:
            raise ValueError(f"prompt_template must hold {{question}}, got {self.prompt_template!r}")

    @property
    def methods(self) -> tuple[str, ...]:
        """What to train with, in order."""
        return (self.method,) if self.compare in ("none", self.method) else (self.compare, self.method)


def resumed(options: Options) -> Options:
    """The settings of the run that ``--resume`` names.

    Raises:
        LabError: no such run, one of an earlier format, or settings beside ``--resume`` that it would not heed.
    """
    assert options.resume is not None
    untouched = Options(resume=options.resume, steps=options.steps)
    if options != untouched:
        raise LabError("--resume goes on under the run's own settings; only --steps may be given beside it")
    folder = Path(options.resume)
    if not (folder / "config.json").is_file():
        raise LabError(f"--resume: {options.resume!r} holds no run (no config.json in it)")
    earlier = load_options(folder)
    steps = options.steps if options.steps != Options.steps else earlier.steps
    return replace(earlier, steps=steps, output_dir=str(folder))


def load_options(folder: Path) -> Options:
    """The options of a run from the ``config.json`` of its folder.

    Raises:
        LabError: the file cannot be read, has unknown or impossible settings, or is of the format before
            the algorithm's settings were nested.
    """
    path = folder / "config.json"
    try:
        keys = set(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        keys = set()  # load_config says what is wrong
    if "microbatch_prompts" in keys:
        raise LabError(
            f"{str(folder)!r} is a run of an earlier version, whose settings and checkpoints this one cannot read; "
            "start it anew in another --output-dir"
        )
    return load_config(Options, path)
