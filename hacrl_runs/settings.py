"""The settings of a run of language models: groups that every command nests, each declared once.

``--help`` lists them group by group; a run's ``config.yaml`` holds them under the groups' names. Only
:mod:`hacrl_runs.resolve` reads all of them; everything after it is handed the parts that it needs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from datetime import date
from typing import Annotated, Any, Literal, TypeVar

import tyro

from hacrl_lab.config import MethodName, TrainingConfig
from hacrl_lab.errors import SettingError
from hacrl_lab.learning_rates import ScheduleKind
from hacrl_lab.own_process import TIMEOUT
from hacrl_lab.sampling import Sampling
from hacrl_lab.verification.answer_rules import AnswerRuleName
from hacrl_runs.own_pair.recipes import Answers, Size

Logger = Literal["none", "wandb", "trackio"]
Settings = TypeVar("Settings")
Group = tyro.conf.OmitArgPrefixes
OWN_PAIR = 2
"""Agents of the lab's own pair."""


@dataclass(frozen=True)
class RunSettings:
    """What is run, how long, and where it is kept."""

    method: MethodName = "hacpo"
    compare: str = "gspo"
    """A second method to set beside it, with the same number of prompts; 'none' leaves it out."""
    steps: int = 20
    """Training steps for each method; each asks --prompts-per-step problems."""
    epochs: int = 0
    """Train for as many steps as it takes to ask each training problem so many times, in place of --steps; the last
    step is filled up with problems of the next epoch. Needs --problems, without weights. 0: as --steps says."""
    seed: int = 0
    """Seed of problems, sampling and mini-batches."""
    checkpoint_every: int = 5
    """Steps between checkpoints; one is also written on Ctrl-C."""
    keep_checkpoints: int = 2
    """How many checkpoints of each method are kept, the newest ones."""
    patience: int = 3
    """Stop after so many steps in a row from which nothing can be learned: all rewards equal, no response finished, or
    nothing of the others' rollouts inside the clip bounds. 0: only warn."""
    observers: tuple[str, ...] = ()
    """Observers of your own, FILE.py:CLASS or PACKAGE.MODULE:CLASS: each is made without arguments and told of every
    step, see docs/extending.md."""
    logger: Logger = "none"
    """A tracking service that is sent every metric as well, an extra of the same name."""
    push_to_hub: str | None = None
    """A user or organisation of the Hugging Face hub, to whom the trained agents are uploaded at the end, privately."""
    output_dir: str | None = None
    """Folder of the run: a new one, an empty one, or that of the same run. Left out: a new one under runs/llm_pair/."""

    def __post_init__(self) -> None:
        _at_least(self, steps=1, epochs=0, checkpoint_every=1, keep_checkpoints=1, patience=0, seed=0)

    @property
    def methods(self) -> tuple[str, ...]:
        """What to train with, in order."""
        return (self.method,) if self.compare in ("none", self.method) else (self.compare, self.method)


@dataclass(frozen=True)
class ModelSettings:
    """Who learns."""

    agents: tuple[str, ...] = ()
    """Two or more models, each a local transformers folder or a hub id, or BASE+ADAPTER, whose adapter, a folder of
    peft, is then what is trained. Empty: the lab's own pair."""
    size: Size = "tiny"
    """Size of the lab's own pair: about 0.6 + 0.4, 10 + 6 or 100 + 60 million parameters. Built on first use."""
    answers: Answers = "short"
    """What the lab's own pair writes: bare equations of about 20 tokens, or sentences of 128 to 256 (size tiny)."""
    lora_rank: int = 0
    """Rank of a LoRA adapter, which is then all that is trained; 0: all weights are. Agents with the same base then
    hold its weights once, unless --engine ray or --offload."""
    lora_alpha: int | None = None
    """Scale of the adapter's changes, alpha / rank. Left out: twice the rank."""
    lora_targets: tuple[str, ...] = ()
    """Layers that get an adapter, by the end of their names, for instance q_proj v_proj. Empty: all linear layers."""

    def __post_init__(self) -> None:
        _at_least(self, lora_rank=0)
        _refuse(
            (len(self.agents) == 1, "agents must be two or more models; one alone has nobody to share with"),
            (
                self.answers == "long" and (self.size != "tiny" or bool(self.agents)),
                "answers must be 'short': only the lab's own pair of size 'tiny' writes long ones",
            ),
            (
                self.lora_rank == 0 and (self.lora_alpha is not None or bool(self.lora_targets)),
                "lora_alpha and lora_targets need lora_rank",
            ),
            (self.lora_alpha is not None and self.lora_alpha < 1, f"lora_alpha must be ≥ 1, got {self.lora_alpha}"),
        )

    @property
    def count(self) -> int:
        """n, how many agents there are."""
        return len(self.agents) or OWN_PAIR


@dataclass(frozen=True)
class ProblemSettings:
    """What is asked, and what is rewarded."""

    problems: tuple[str, ...] = ()
    """Problems with questions and answers: files (.jsonl, .json, .csv, .parquet), folders, hub ids
    OWNER/NAME:CONFIG@SPLIT, or math or gsm8k. Several are mixed; SOURCE*WEIGHT sets how often each is drawn from. Left
    out: the lab's own quantity stories."""
    question_column: str | None = None
    """Column of the questions; what is nested in one, as prompt.0.content; or several, as '{Body} {Question}'. Left
    out: question, problem, prompt or input, whichever there is."""
    answer_column: str | None = None
    """Column of the exact answers, or of solutions with #### or \\boxed{} before them; what is nested in one, as
    reward_model.ground_truth. Left out: answer, solution, gold, target or another usual name. Not needed with --reward
    functions alone."""
    skip_unusable: bool = False
    """Leave out and count entries that are no problems, as always in data sets of a hub: without a question, or without
    an exact answer that can be compared with. Else one message lists all of them."""
    eval_problems: str | None = None
    """Problems of the evaluation, given as --problems are, or one of the paper's benchmarks. Left out: a fifth of
    --problems, chosen by the questions' text. Training never asks what the evaluation asks."""
    reward: tuple[str, ...] = ()
    """Functions of your own that reward responses, PACKAGE.MODULE:FUNCTION or FILE.py:FUNCTION, called as TRL calls
    them; the word answer stands for comparing answers. Several are added up, each with its own *WEIGHT. Left out: only
    answers are compared. See docs/data.md."""
    reward_timeout: float = TIMEOUT
    """Seconds that a call of your reward functions, or their import, may take; what takes longer ends the run."""
    trust_reward_in_process: bool = False
    """Call your reward functions in the process of the training, where they can hang, end or change it, for instance
    to debug them. Left out: all of them run in one process of their own."""
    tasks: tuple[str, ...] = ()
    """Tasks of Reasoning Gym in place of problems, each NAME:SETTING=VALUE,SETTING=VALUE*WEIGHT, for instance
    chain_sum:max_terms=3 gcd*2. Evaluation asks questions that training never does."""
    partial_credit: bool = False
    """Train on all that the tasks' own verifiers give, some of them for wrong answers or for none (docs/tasks.md). Left
    out: 1 for an answer with the full reward and 0 for any other, as evaluations count."""

    def __post_init__(self) -> None:
        _refuse((bool(self.tasks) and bool(self.problems), "tasks and problems exclude each other"))
        _refuse((self.partial_credit and not self.tasks, "partial_credit needs tasks"))
        for name in ("question_column", "answer_column", "skip_unusable", "eval_problems", "reward"):
            _refuse((getattr(self, name) not in (None, (), False) and not self.problems, f"{name} needs problems"))
        _refuse((self.trust_reward_in_process and not self.reward, "trust_reward_in_process needs reward"))
        _positive(self, "reward_timeout")


@dataclass(frozen=True)
class PromptSettings:
    """How it is asked, and where in a response the answer is."""

    answer_rule: AnswerRuleName = "boxed"
    """What of a response is its answer: the last \\boxed{}, the last <answer> ... </answer>, the line after the last
    ####, the last number, or all of it; in a model that thinks, what follows its thinking."""
    prompt_template: tuple[str, ...] = ()
    """The prompt, in which {question} is replaced; it is put into the chat template of a model that has one. One for
    all agents, or one for each. Left out: the question, and for models that are not the lab's own the request for an
    answer as --answer-rule finds it."""
    system_prompt: tuple[str, ...] = ()
    """System message, for models with a chat template. One for all agents, or one for each; an empty one is none."""
    enable_thinking: bool = False
    """Told to chat templates: whether models that can think first should."""
    template_date: str = "2026-01-01"
    """The day that chat templates take for today, YYYY-MM-DD. Some (Llama 3.2, gpt-oss) write it into every prompt; it
    is a setting, so that a run that is continued on another day asks the same."""

    def __post_init__(self) -> None:
        try:
            date.fromisoformat(self.template_date)
        except ValueError as error:
            raise SettingError(f"template_date must be a day, YYYY-MM-DD, got {self.template_date!r}") from error
        for template in self.prompt_template:
            _refuse(
                (
                    "{question}" not in template,
                    f"prompt_template must hold {{question}}, got {template!r}; for a question of several columns set "
                    "question_column, for instance to '{Body} {Question}'",
                )
            )

    def check_count(self, agents: int) -> None:
        """Refuse prompts that are neither one for all nor one for each.

        Raises:
            SettingError: another number of them.
        """
        for name in ("prompt_template", "system_prompt"):
            count = len(getattr(self, name))
            _refuse(
                (count not in (0, 1, agents), f"{name} must be one for all, or one for each of the {agents} models")
            )

    def of_agent(self, number: int) -> PromptSettings:
        """How one agent is asked: the same settings with at most one template and one system prompt."""
        own = {
            name: values[number : number + 1] if len(values) > 1 else values
            for name in ("prompt_template", "system_prompt")
            for values in [getattr(self, name)]
        }
        return dataclasses.replace(self, **own)


@dataclass(frozen=True)
class EvaluationSettings:
    """How good agents are: evaluations before and after training, and validations during it."""

    eval_prompts: int = 256
    """Problems in the evaluation before and after training; the same for every agent and method."""
    eval_samples: int = 4
    """Responses to each of them."""
    validation_every: int = 0
    """Evaluate every so many training steps on the validation share, which neither training nor the evaluation before
    and after it asks. 0: never."""
    validation_share: float = 0.1
    """Share of the training problems that is kept for it; needs --validation-every."""
    early_stopping: int = 0
    """Stop a method's training after so many validations in a row without a better accuracy, mean over the agents; what
    the agents are then is evaluated. 0: never."""

    def __post_init__(self) -> None:
        _at_least(self, eval_prompts=2, eval_samples=1, validation_every=0, early_stopping=0)
        _refuse(
            (not 0 < self.validation_share < 1, f"validation_share must be in (0, 1), got {self.validation_share}"),
            (self.early_stopping > 0 and self.validation_every == 0, "early_stopping needs validation_every"),
        )

    @property
    def share_for_validation(self) -> float:
        """Of the training problems; 0 for a run without validations."""
        return self.validation_share if self.validation_every > 0 else 0.0


@dataclass(frozen=True)
class OptimisationSettings:
    """How large an update is."""

    learning_rate: float | None = None
    """AdamW's learning rate. Left out: 2e-4, 1e-4 or 3e-5 for the own pair's sizes, 3e-4 for its long answers, 1e-6 for
    other models."""
    rate_factors: tuple[float, ...] = ()
    """Multiples of the learning rate, one for each agent. Left out: all agents have the same."""
    learning_rate_schedule: ScheduleKind = "constant"
    """How the learning rate changes after the warm-up: not at all, or down to 0 at the last step."""
    warmup_steps: int = 0
    """Training steps in which the learning rate grows from 0."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""

    def __post_init__(self) -> None:
        _at_least(self, warmup_steps=0)
        _positive(self, "learning_rate", "max_grad_norm")
        _refuse((not 0 <= self.weight_decay < math.inf, f"weight_decay must be a number ≥ 0, got {self.weight_decay}"))


@dataclass(frozen=True)
class GenerationSettings:
    """How answers are generated, and in how much memory."""

    max_new_tokens: int | None = None
    """Length limit of a response, in each agent's own tokens. Left out: 64, for long answers 256."""
    generation: Literal["grouped", "transformers", "vllm"] = "grouped"
    """What samples the answers; grouped reads a prompt once for all answers to it, transformers is its generate, vllm
    is an extra. See docs/real_models.md."""
    rows_at_once: int = 0
    """Answers that are sampled side by side at most, which bounds memory; 0: all of a step (vLLM: 256)."""
    cache_gib: float = 1.0
    """Memory of vLLM's key-value cache for each agent, GiB."""

    def __post_init__(self) -> None:
        _at_least(self, rows_at_once=0, max_new_tokens=1)
        _positive(self, "cache_gib")


@dataclass(frozen=True)
class DeviceSettings:
    """Where it is computed, and how exactly."""

    device: str = "auto"
    """Where the models live, as torch names it; auto takes a GPU if there is one. One for all agents, or one for each
    of them with commas between: cuda:0,cuda:1."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What models compute in. Weights and the optimiser's moments are float32: in bfloat16 updates much smaller than a
    weight would be rounded away."""


@dataclass(frozen=True)
class ScalingSettings:
    """What saves memory, and in which processes agents live."""

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

    def __post_init__(self) -> None:
        _at_least(self, tokens_per_pass=0, ranks_per_agent=1)
        _refuse(
            (
                self.ranks_per_agent > 1 and not (self.engine == "ray" and self.checkpointing),
                "ranks_per_agent above 1 needs engine = ray and checkpointing",
            ),
            (self.offload and not self.checkpointing, "offload needs checkpointing"),
        )


@dataclass(frozen=True)
class TrainSettings:
    """Train several different language models together with --method and, from the same start, with --compare."""

    run: Annotated[RunSettings, Group] = field(default_factory=RunSettings)
    models: Annotated[ModelSettings, Group] = field(default_factory=ModelSettings)
    problems: Annotated[ProblemSettings, Group] = field(default_factory=ProblemSettings)
    prompt: Annotated[PromptSettings, Group] = field(default_factory=PromptSettings)
    training: Annotated[TrainingConfig, Group] = TrainingConfig(prompts_per_step=32)
    optimisation: Annotated[OptimisationSettings, Group] = field(default_factory=OptimisationSettings)
    generation: Annotated[GenerationSettings, Group] = field(default_factory=GenerationSettings)
    evaluation: Annotated[EvaluationSettings, Group] = field(default_factory=EvaluationSettings)
    sampling: Annotated[Sampling, Group] = field(default_factory=Sampling)
    devices: Annotated[DeviceSettings, Group] = field(default_factory=DeviceSettings)
    scaling: Annotated[ScalingSettings, Group] = field(default_factory=ScalingSettings)

    def __post_init__(self) -> None:
        agents, factors = self.models.count, self.optimisation.rate_factors
        self.prompt.check_count(agents)
        _refuse(
            (
                bool(factors) and (len(factors) != agents or not all(0 < factor < math.inf for factor in factors)),
                f"rate_factors must be one for each agent, all > 0, got {factors}",
            ),
            (
                self.scaling.engine == "ray" and "," in self.devices.device,
                "device must be 'cuda', without numbers: with engine = ray each process has a GPU of its own",
            ),
            (
                self.run.epochs == 0 and self.optimisation.warmup_steps >= self.run.steps > 0,
                f"warmup_steps must be below steps = {self.run.steps}, got {self.optimisation.warmup_steps}",
            ),
            (self.run.epochs > 0 and not self.problems.problems, "epochs needs problems: others never end"),
        )


def changed(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """A copy in which some settings have other values.

    Args:
        settings: a dataclass, with dataclasses in it.
        values: by name, as on the command line, in whichever group the name is; or a group as a whole.

    Raises:
        TypeError: a name that is in none of them.
        SettingError: impossible values.

    >>> changed(TrainSettings(), {"steps": 3, "delta": 0.1}).training.objective.delta
    0.1
    """
    left = dict(values)
    copy = _changed(settings, left)
    if left:
        raise TypeError(f"{type(settings).__name__} has no settings {', '.join(left)}")
    return copy


def train_settings(**values: Any) -> TrainSettings:
    """The settings of a run, of which some are given by their names on the command line; see :func:`changed`."""
    return changed(TrainSettings(), values)


def _changed(settings: Any, values: dict[str, Any]) -> Any:
    own = {}
    for name, value in ((one.name, getattr(settings, one.name)) for one in dataclasses.fields(settings)):
        if name in values and not (is_dataclass(value) and not is_dataclass(values[name])):
            own[name] = values.pop(name)
        elif is_dataclass(value):
            own[name] = _changed(value, values)
    return dataclasses.replace(settings, **own)


def _at_least(settings: Any, **leasts: int) -> None:
    """Refuse numbers below their least value; None is a number that was left out."""
    for name, least in leasts.items():
        value = getattr(settings, name)
        _refuse((value is not None and value < least, f"{name} must be ≥ {least}, got {value}"))


def _positive(settings: Any, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        _refuse((value is not None and not 0 < value < math.inf, f"{name} must be a number > 0, got {value}"))


def _refuse(*cases: tuple[bool, str]) -> None:
    for wrong, message in cases:
        if wrong:
            raise SettingError(message)
