"""What is trained: the lab's own pair with one method, several seeds with each sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from hacrl_lab.config import MethodName, TrainingConfig
from hacrl_runs.cache import Cell
from hacrl_studies.common.arm_cells import own_pair_fingerprints
from hacrl_studies.common.arms import RunValues, given, run_cell, train
from hacrl_studies.common.options import StudyOptions

Sampler = Literal["transformers", "vllm"]
SAMPLERS: tuple[Sampler, ...] = ("transformers", "vllm")


@dataclass(frozen=True)
class Options(StudyOptions):
    """Train the lab's own pair with answers that transformers samples, and with vLLM's."""

    seeds: int = 3
    """Training seeds, from 0 on; all start from the same models."""
    steps: int = 20
    """Training steps."""
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = field(
        default_factory=partial(TrainingConfig, prompts_per_step=16)
    )
    method: MethodName = "hacpo"
    eval_prompts: int = 256
    """Problems in the evaluation after training."""
    eval_samples: int = 2
    """Answers to each of them."""
    agents: tuple[str, ...] = ()
    """Two or more models in place of the lab's own pair, each a local transformers folder or a hub id."""
    problems: str | None = None
    """JSON Lines file of problems in place of the quantity stories."""
    prompt_template: str | None = None
    """The prompt, for models in place of the lab's own; see ``hacrl-lab train --help``."""
    max_new_tokens: int = 64
    """Length limit of an answer, in each agent's own tokens."""

    def pair(self, sampler: Sampler, seed: int) -> RunValues:
        """One run, as options of the language pair."""
        return {
            "method": self.method,
            "compare": "none",
            "agents": self.agents,
            "problems": given(self.problems),
            "prompt_template": given(self.prompt_template),
            "max_new_tokens": self.max_new_tokens,
            "steps": self.steps,
            "training": self.training,
            "generation": sampler,
            "eval_prompts": self.eval_prompts,
            "eval_samples": self.eval_samples,
            "seed": seed,
            "device": "cpu",
        }


PUBLISHED = (Options(),)


def cells(options: Options) -> Mapping[tuple[Sampler, int], Cell]:
    """(sampler, seed) -> the arrays of :func:`hacrl_studies.common.arms.trained`; the run is kept."""
    built = own_pair_fingerprints(options.agents, "short")
    cache = Path(options.cache_dir)
    return {
        (sampler, seed): run_cell(
            f"curves_{sampler}", options.pair(sampler, seed), options.steps, {"built": built}, train, cache
        )
        for sampler in SAMPLERS
        for seed in range(options.seeds)
    }
