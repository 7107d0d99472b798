"""The sizes of the check of a GPU."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hacrl_runs.own_pair.recipes import Size


@dataclass(frozen=True)
class Options:
    """Measure the lab on one GPU, in ten minutes."""

    size: Size = "base"
    """Size of the lab's own pair with short answers."""
    pretrain_seconds: float = 120.0
    """Time for pre-training that pair; it makes as many of its updates as fit."""
    prompts: int = 64
    """Questions in a step."""
    group_size: int = 16
    """Answers to each of them by each model."""
    max_new_tokens: int = 64
    """Length limit of a short answer."""
    tokens_per_pass: int = 32768
    """Tokens in a forward and backward pass."""
    rounds: int = 8
    """Steps of GSPO, HACPO and two TRL trainers in turn, after one that does not count."""
    long_seconds: float = 90.0
    """Time for pre-training the pair with long answers, as far as it fits."""
    long_steps: int = 20
    """Training steps of HACPO and of GSPO with long answers."""
    long_prompts: int = 32
    """Questions in one of them, with eight answers each by each model."""
    minutes: float = 9.5
    """When these are over, nothing further is begun."""
    peak_tflops: float | None = None
    """Of the card, 10¹² operations a second in dtype. Left out: as measured by one large product."""
    product: int = 8192
    """Rows and columns of that product."""
    device: str = "cuda"
    """Where the models live, as torch names it."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """What models compute in."""
    output_dir: str = os.environ.get("OUT", "runs/gpu_check")
    """Folder for the page and results.json; by default $OUT, if there is one."""

    def __post_init__(self) -> None:
        for name in ("prompts", "group_size", "max_new_tokens", "rounds", "long_steps", "long_prompts", "product"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be ≥ 1, got {getattr(self, name)}")
        if self.prompts % 2 or self.long_prompts % 2:
            raise ValueError(f"a step has two updates: prompts must be even, got {self.prompts}, {self.long_prompts}")

    @property
    def folder(self) -> Path:
        """Where results go."""
        return Path(self.output_dir)
