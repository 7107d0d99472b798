"""What is evaluated, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from hacrl_lab.config import flat
from hacrl_runs.settings import GenerationOptions, PromptOptions

NAMES_OF_PLACES = ("output_dir", "cache_dir")
"""Options that no result depends on."""


@dataclass(frozen=True)
class EvaluationGeneration(GenerationOptions):
    """How responses are sampled: at temperature 1 from the whole distribution, beside one greedy response."""

    max_new_tokens: int | None = 1024
    """Length limit of a response, in each model's own tokens."""


@dataclass(frozen=True)
class Options:
    """Evaluate language models: greedy accuracy, avg@k, best@k and pass@k, and a record of every response."""

    models: tuple[str, ...] = ()
    """Folders or hub ids of transformers models, folders of adapters, or run folders of llm_pair.py, which stand for
    all agents that they trained."""
    problems: tuple[str, ...] = ()
    """Sets of problems, each evaluated by itself: math500, math, gsm8k, aime2025, amc23, minerva, olympiad, or a file,
    a folder or a hub id OWNER/NAME:CONFIG@SPLIT."""
    question_column: str | None = None
    """Column of the questions, of sets without a name. Left out: question, problem, prompt or input."""
    answer_column: str | None = None
    """Column of the exact answers, of sets without a name. Left out: answer, solution, gold or target."""
    reward: str | None = None
    """A function of your own that rewards responses to the problems: PACKAGE.MODULE:FUNCTION or FILE.py:FUNCTION."""
    tasks: tuple[str, ...] = ()
    """Tasks of Reasoning Gym, each evaluated by itself: NAME:SETTING=VALUE,SETTING=VALUE. Questions are those that
    llm_pair.py never asks in training."""
    most_problems: int = 0
    """Problems of a set at most, the first ones; questions that are drawn of a task. 0: all, and 256 of a task."""
    samples: int = 4
    """Responses to each problem, beside the greedy one."""
    pass_at: tuple[int, ...] = ()
    """The k of pass@k. Left out: 2, 4, 8 ... up to the number of samples."""
    batch: int = 16
    """Problems that are answered together; what an interrupted evaluation has finished of them is kept."""
    seed: int = 0
    """Seed of the sampling."""
    prompt: Annotated[PromptOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PromptOptions)
    generation: Annotated[EvaluationGeneration, tyro.conf.OmitArgPrefixes] = field(default_factory=EvaluationGeneration)
    device: str = "auto"
    """Where the models live, as torch names it, one after the other; auto takes a GPU if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What models compute in."""
    output_dir: str = "runs/evaluate"
    """Folder for the page, its tables and the records."""
    cache_dir: str = "runs/cells"
    """Folder for what has been computed: the same command goes on where it was interrupted."""

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("batch", 1), ("most_problems", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be ≥ {least}, got {getattr(self, name)}")
        if not self.models:
            raise ValueError("models must be at least one")
        if not self.problems and not self.tasks:
            raise ValueError("problems or tasks must be at least one")
        if not (self.generation.max_new_tokens or 0) >= 1:
            raise ValueError(f"max_new_tokens must be ≥ 1, got {self.generation.max_new_tokens}")
        template = self.prompt.prompt_template
        if template is not None and "{question}" not in template:
            raise ValueError(f"prompt_template must hold {{question}}, got {template!r}")
        if wrong := [k for k in self.pass_at if not 1 <= k <= self.samples]:
            raise ValueError(f"pass_at must be in [1, {self.samples}], the number of samples, got {wrong[0]}")
        if self.reward is not None and not self.problems:
            raise ValueError("reward needs problems; tasks are rewarded by rules of their own")

    @property
    def ks(self) -> tuple[int, ...]:
        """The k of pass@k."""
        return self.pass_at or tuple(2**power for power in range(1, self.samples.bit_length()))

    def settings(self) -> dict[str, Any]:
        """Everything that results depend on, by the name of its option."""
        return {name: value for name, value in flat(self).items() if name not in NAMES_OF_PLACES}
