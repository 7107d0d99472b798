"""What is trained: every arm with several learning rates on seeds for tuning, then with its best on the seeds."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from hacrl_lab.errors import SettingError
from hacrl_runs.cache import Cell
from hacrl_studies.common.arm_cells import arm_cells, arm_run, own_pair_fingerprints
from hacrl_studies.common.arms import REFERENCE, ArmOptions, RunValues, given, run_cell, run_key, train
from hacrl_studies.common.tuning import Sweep
from hacrl_studies.long_language_pair.gradients import cosines

STUDY = "long_pair"
"""The beginning of its cells' names."""
GRADIENTS = "gradients"
GRADIENT_METHODS = (REFERENCE, "naive", "hacpo", "hacpo_ppo_clip_alpha0")
"""Those that make one update of all rollouts of a step."""
ARMS = (
    REFERENCE,
    "gspo_x2",
    "naive",
    "hacpo",
    "hacpo_released",
    "shares_nothing_released",
    "hacpo_ppo_clip_alpha0",
)


@dataclass(frozen=True)
class Options(ArmOptions):
    """Train a pair of language models that write long answers with every method, each with its best learning rate."""

    seeds: int = 5
    """Training seeds, from 0 on; all start from the same models."""
    steps: int = 16
    """Training steps."""
    sweep: Annotated[Sweep, tyro.conf.OmitArgPrefixes] = field(default_factory=partial(Sweep, 0.6))
    arms: tuple[str, ...] = ARMS
    """What to train with, METHOD or METHOD/SCHEDULE; gspo must be among them."""
    agents: tuple[str, ...] = ()
    """Two or more models in place of the lab's own pair, each a local transformers folder or a hub id."""
    problems: str | None = None
    """JSON Lines file of problems in place of the quantity stories."""
    prompt_template: str | None = None
    """The prompt, for models in place of the lab's own; see ``hacrl-lab train --help``."""
    max_new_tokens: int = 256
    """Length limit of an answer, in each agent's own tokens."""
    gradient_steps: int = 12
    """Steps of each method whose gradients are compared before training; 0 for none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if REFERENCE not in self.arms or len(self.arms) < 2 or len(set(self.arms)) < len(self.arms):
            raise SettingError(f"arms must be at least two different ones, {REFERENCE} among them, got {self.arms}")
        self.check_arms(agents=max(2, len(self.agents)))
        if self.gradient_steps == 1 or self.gradient_steps < 0:
            raise SettingError(f"gradient_steps must be 0 or ≥ 2, got {self.gradient_steps}")
        run_key(self.pair(REFERENCE, 0, 1.0))  # refuses what no run can have

    def pair(self, arm: str, seed: int, rate: float) -> RunValues:
        """One run, see :func:`hacrl_studies.common.arm_cells.arm_run`."""
        pair = {
            "answers": "short" if self.agents else "long",
            "agents": self.agents,
            "problems": given(self.problems),
            "prompt_template": given(self.prompt_template),
            "max_new_tokens": self.max_new_tokens,
            "generation": "transformers",  # as recorded
        }
        return arm_run(self, pair, arm, seed, rate)


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """INITIAL and every arm -> see :func:`hacrl_studies.common.arm_cells.arm_cells`; GRADIENTS."""
    settings = {**options.settings(), "built": own_pair_fingerprints(options.agents, "long")}
    return {**arm_cells(options, STUDY, options.pair, partial(run_of, options), settings), **_gradients(options)}


def _gradients(options: Options) -> dict[Hashable, Cell]:
    """GRADIENTS -> the arrays of :func:`hacrl_studies.long_language_pair.gradients.cosines`."""
    if options.gradient_steps == 0:
        return {}
    pair = options.pair(REFERENCE, 0, 1.0)
    settings = {
        **run_key(pair),
        "gradient_steps": options.gradient_steps,
        "built": own_pair_fingerprints(pair["agents"], "long"),
    }
    compute = partial(cosines, pair, GRADIENT_METHODS, options.gradient_steps)
    return {GRADIENTS: Cell(f"{STUDY}-gradients", compute, settings)}


def run_of(options: Options, pair: RunValues, steps: int) -> Cell:
    """The cell of one run, 0 steps for none."""
    built = own_pair_fingerprints(pair["agents"], "long")
    return run_cell(STUDY, pair, steps, {"built": built}, train, Path(options.cache_dir))
