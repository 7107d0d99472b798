"""The workloads of the benchmark: which models answer what, in which sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from hacrl_lab.cache_folder import cache_folder
from hacrl_lab.verification.answer_rules import AnswerRuleName
from hacrl_runs.own_pair.recipes import Answers
from smollm2 import write_model

WorkloadName = Literal["short", "long", "smollm2"]


@dataclass(frozen=True)
class Sizes:
    """How large a step is, and how it is cut into passes."""

    prompts: int
    """Questions in a step."""
    group_size: int
    """Answers to each of them by each model."""
    max_new_tokens: int
    """Length limit of an answer."""
    tokens_per_pass: int
    """Tokens in a forward and backward pass here; 0: no bound."""
    trl_passes: int
    """Forward and backward passes in an update of TRL (gradient_accumulation_steps)."""


@dataclass(frozen=True)
class Workload:
    """One of them."""

    models: str
    """What the two models are."""
    sizes: Sizes
    """Of a step there, the fastest passes of each side (experiments/LOG.md)."""
    answers: Answers = "short"
    """What the lab's own pair writes."""
    tasks: tuple[str, ...] = ()
    """Of Reasoning Gym; none: the lab's own quantity stories."""
    answer_rule: AnswerRuleName = "boxed"
    """What of a response is its answer."""
    prompt_template: tuple[str, ...] = ()
    """Of the task; none: as in a run."""
    smollm2: bool = False
    """Both models are SmolLM2, in place of the lab's own pair."""

    def agents(self) -> tuple[str, ...]:
        """Folders of the two models, which are written first if they are not there; none for the lab's own pair."""
        if not self.smollm2:
            return ()
        folder = cache_folder() / "smollm2"
        write_model(folder)
        return str(folder), str(folder)


WORKLOADS: Mapping[WorkloadName, Workload] = {
    "short": Workload("the lab's own pair of size $size", Sizes(32, 8, 64, 4096, 1)),
    "long": Workload("the lab's own pair that writes long answers", Sizes(16, 8, 256, 4096, 1), answers="long"),
    "smollm2": Workload(
        "two SmolLM2 of 135 million parameters",
        Sizes(2, 8, 24, 2048, 1),
        tasks=("chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1",),  # some answers are right
        answer_rule="last_number",
        prompt_template=("{question}",),
        smollm2=True,
    ),
}
"""By name."""

assert set(WORKLOADS) == set(get_args(WorkloadName))
