"""What the benchmark compares, and under which settings; the same for both sides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hacrl_lab.config import flat
from hacrl_runs.settings import Size

TRL = "trl"
"""The side that is compared with."""


@dataclass(frozen=True)
class Options:
    """Time of a step of two agents that train together, beside one TRL trainer for each of them."""

    methods: tuple[str, ...] = ("gspo", "hacpo")
    """What the agents are trained with here, each a side of its own; TRL's trainers do GSPO."""
    rounds: int = 8
    """Steps of every side that count, after one that does not."""
    agents: tuple[str, ...] = ()
    """Two models, each a local transformers folder or a hub id. Empty: the lab's own pair."""
    size: Size = "tiny"
    """Size of the lab's own pair."""
    problems: str | None = None
    """JSON Lines file of problems, {"question": ..., "answer": LaTeX}. Left out: the lab's own quantity stories."""
    prompt_template: str | None = None
    """The prompt; {question} is replaced. Left out: the question, for other models with a request for \\boxed{}."""
    prompts: int = 32
    """Questions in a step."""
    group_size: int = 8
    """Answers to each of them by each model."""
    minibatches: int = 2
    """Optimiser updates of each model in a step."""
    max_new_tokens: int | None = None
    """Length limit of an answer. Left out: 64."""
    learning_rate: float = 1e-7
    """AdamW's; so small that answers stay as long as they are."""
    tokens_per_pass: int = 4096
    """Tokens in a forward and backward pass here; 0: no bound."""
    trl_passes: int = 1
    """Forward and backward passes in an update of TRL (gradient_accumulation_steps)."""
    seed: int = 0
    """Seed of questions and sampling."""
    device: str = "cpu"
    """Where the models live, as torch names it."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What models compute in; weights and the optimiser's moments are float32."""
    output_dir: str | None = None
    """Folder for the page and the CSV file; by default runs/benchmark_llm."""
    publish: bool = False
    """Write to results/benchmark_llm, which is part of the repository."""

    def __post_init__(self) -> None:
        for name in ("rounds", "trl_passes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be ≥ 1, got {getattr(self, name)}")
        if self.prompts % self.minibatches or self.rows_of_an_update % self.trl_passes:
            raise ValueError(
                "minibatches must divide prompts, and trl_passes the answers of an update, got "
                f"{self.prompts} prompts × {self.group_size}, {self.minibatches} and {self.trl_passes}"
            )
        if self.publish and self.output_dir is not None:
            raise ValueError(f"publish writes to results/benchmark_llm; output_dir is given too ({self.output_dir})")

    @property
    def rows_of_an_update(self) -> int:
        """A model's answers in one of its updates, as long as it learns from its own only."""
        return self.prompts * self.group_size // self.minibatches

    @property
    def folder(self) -> Path:
        """Where results go."""
        return Path(self.output_dir or f"{'results' if self.publish else 'runs'}/benchmark_llm")

    def settings(self) -> dict[str, Any]:
        """Everything that results depend on, by the name of its option."""
        return {name: value for name, value in flat(self).items() if name not in ("output_dir", "publish")}
