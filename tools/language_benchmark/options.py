"""What the benchmark compares, and under which settings; the same for both sides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from hacrl_lab.config import flat
from hacrl_runs.own_pair.recipes import Size
from language_benchmark.workloads import WORKLOADS, Sizes, Workload, WorkloadName

TRL = "trl"
"""The side that is compared with."""


@dataclass(frozen=True)
class Options:
    """Time of a step of two agents that train together, beside one TRL trainer for each of them."""

    workload: WorkloadName = "short"
    """Which models answer what: the lab's own pair, its pair with long answers, or two SmolLM2 on sums of Reasoning
    Gym. It decides whatever of the following is left out."""
    methods: tuple[str, ...] = ("gspo", "hacpo")
    """What the agents are trained with here, each a side of its own; TRL's trainers do GSPO."""
    rounds: int = 8
    """Steps of every side that count, after one that does not."""
    agents: tuple[str, ...] = ()
    """Two models, each a local transformers folder or a hub id, in place of the workload's."""
    size: Size = "tiny"
    """Size of the lab's own pair."""
    problems: str | None = None
    """JSON Lines file of problems, {"question": ..., "answer": LaTeX}, in place of the workload's."""
    prompt_template: str | None = None
    """The prompt; {question} is replaced. Left out: the question, for other models with a request for \\boxed{}."""
    prompts: int | None = None
    """Questions in a step."""
    group_size: int | None = None
    """Answers to each of them by each model."""
    minibatches: int = 2
    """Optimiser updates of each model in a step."""
    max_new_tokens: int | None = None
    """Length limit of an answer."""
    learning_rate: float = 1e-7
    """AdamW's; so small that answers stay as long as they are."""
    tokens_per_pass: int | None = None
    """Tokens in a forward and backward pass here; 0: no bound."""
    generation: Literal["transformers", "grouped"] | None = None
    """What samples here. Left out: as in a run."""
    trl_passes: int | None = None
    """Forward and backward passes in an update of TRL (gradient_accumulation_steps)."""
    trl_variants: tuple[str, ...] = ()
    """Further sides: TRL with other settings of its GRPOConfig, each NAME=VALUE,NAME=VALUE."""
    seed: int = 0
    """Seed of questions and sampling."""
    device: str = "cpu"
    """Where the models live, as torch names it."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What models compute in; weights and the optimiser's moments are float32."""
    output_dir: str | None = None
    """Folder for the page and the CSV files; by default the workload's in runs/benchmark_llm."""
    publish: bool = False
    """Write to the workload's folder in results/benchmark_llm, which is part of the repository."""

    def __post_init__(self) -> None:
        sizes = self.sizes
        for name, value in (("rounds", self.rounds), ("trl_passes", sizes.trl_passes)):
            if value < 1:
                raise ValueError(f"{name} must be ≥ 1, got {value}")
        if sizes.prompts % self.minibatches or self.rows_of_an_update % sizes.trl_passes:
            raise ValueError(
                "minibatches must divide prompts, and trl_passes the answers of an update, got "
                f"{sizes.prompts} prompts × {sizes.group_size}, {self.minibatches} and {sizes.trl_passes}"
            )
        if self.publish and self.output_dir is not None:
            raise ValueError(f"publish writes to results/benchmark_llm; output_dir is given too ({self.output_dir})")
        for variant in self.trl_variants:
            trl_settings(variant)

    @property
    def its_workload(self) -> Workload:
        """The workload."""
        return WORKLOADS[self.workload]

    @property
    def sizes(self) -> Sizes:
        """Those that are given, and else the workload's."""
        given = {name: getattr(self, name) for name in vars(self.its_workload.sizes)}
        return Sizes(
            **{**vars(self.its_workload.sizes), **{name: one for name, one in given.items() if one is not None}}
        )

    @property
    def rows_of_an_update(self) -> int:
        """A model's answers in one of its updates, as long as it learns from its own only."""
        return self.sizes.prompts * self.sizes.group_size // self.minibatches

    @property
    def folder(self) -> Path:
        """Where results go."""
        workload = "others" if self.agents else self.workload
        return Path(self.output_dir or f"{'results' if self.publish else 'runs'}/benchmark_llm/{workload}")

    def settings(self) -> dict[str, Any]:
        """Everything that results depend on, by the name of its option."""
        return {name: value for name, value in flat(self).items() if name not in ("output_dir", "publish")}


def trl_settings(variant: str) -> dict[str, Any]:
    """The settings that a variant of TRL has of its own, by their names.

    Raises:
        ValueError: not of the form NAME=VALUE,NAME=VALUE.

    >>> trl_settings("bf16=true,optim=adamw_torch")
    {'bf16': True, 'optim': 'adamw_torch'}
    """
    pairs = [part.partition("=") for part in variant.split(",")]
    if not all(name and equals for name, equals, _ in pairs):
        raise ValueError(f"trl_variants must be NAME=VALUE,NAME=VALUE each, got {variant!r}")
    return {name: yaml.safe_load(value) for name, _, value in pairs}
