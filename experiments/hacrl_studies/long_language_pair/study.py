"""What is trained: every arm with several learning rates on seeds for tuning, then with its best on the seeds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from hacrl_runs.cache import Cell
from hacrl_runs.own_pair.recipes import recipes
from hacrl_runs.settings import Options as PairOptions
from hacrl_studies.common.arms import INITIAL, REFERENCE, ArmOptions, arm_parts, chosen, run_cell, train, tuned_runs
from hacrl_studies.common.tuning import Sweep
from hacrl_studies.long_language_pair.gradients import cosines

GRADIENTS = "gradients"
GRADIENT_METHODS = (REFERENCE, "naive", "hacpo", "hacpo_ppo_clip_alpha0")
"""Those that make one update of all rollouts of a step."""
ARMS = (
    REFERENCE,
    "gspo_x2",
    "naive",
    "hacpo",
    "hacpo_released",
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
    """The prompt, for models in place of the lab's own; see ``llm_pair.py --help``."""
    max_new_tokens: int = 256
    """Length limit of an answer, in each agent's own tokens."""
    gradient_steps: int = 12
    """Steps of each method whose gradients are compared before training; 0 for none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if REFERENCE not in self.arms or len(self.arms) < 2 or len(set(self.arms)) < len(self.arms):
            raise ValueError(f"arms must be at least two different ones, {REFERENCE} among them, got {self.arms}")
        self.check_arms(agents=max(2, len(self.agents)))
        if self.gradient_steps == 1 or self.gradient_steps < 0:
            raise ValueError(f"gradient_steps must be 0 or ≥ 2, got {self.gradient_steps}")
        self.pair(REFERENCE, 0, 1.0)

    def pair(self, arm: str, seed: int, rate: float) -> PairOptions:
        """One run of an arm, as options of the language pair; ``rate`` is a multiple of the learning rate."""
        method, training = arm_parts(arm, self.training)
        return PairOptions(
            method=method,
            compare="none",
            answers="short" if self.agents else "long",
            agents=self.agents,
            problems=self.problems,
            prompt_template=self.prompt_template,
            steps=self.steps,
            training=training,
            learning_rate=self.learning_rate * rate,
            max_new_tokens=self.max_new_tokens,
            eval_prompts=self.eval_prompts,
            eval_samples=self.eval_samples,
            seed=seed,
            device="cpu",
        )


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """INITIAL -> the agents before training; arm -> its training with the learning rate that is best for it.

    A run of one seed with one learning rate is what is kept, so that an interrupted study goes on within an arm.
    """
    initial = run_of(options, options.pair(REFERENCE, 0, 1.0), steps=0)
    shared = {**options.settings(), "built": _built(options.agents)}
    trained = {
        arm: Cell(f"long_pair-{arm.replace('/', '-')}", partial(_tuned, options, arm), {**shared, "arms": arm})
        for arm in options.arms
    }
    return {INITIAL: initial, **trained, **_gradients(options)}


def _gradients(options: Options) -> dict[Hashable, Cell]:
    """GRADIENTS -> the arrays of :func:`hacrl_studies.long_language_pair.gradients.cosines`."""
    if options.gradient_steps == 0:
        return {}
    pair = options.pair(REFERENCE, 0, 1.0)
    settings = {**chosen(pair), "gradient_steps": options.gradient_steps, "built": _built(pair.agents)}
    compute = partial(cosines, pair, GRADIENT_METHODS, options.gradient_steps)
    return {GRADIENTS: Cell("long_pair-gradients", compute, settings)}


def _tuned(options: Options, arm: str) -> dict[str, np.ndarray]:
    """See :func:`hacrl_studies.common.arms.tuned_runs`."""

    def run(seed: int, rate: float) -> Cell:
        return run_of(options, options.pair(arm, seed, rate), options.steps)

    return tuned_runs(run, options.seeds, options.sweep, Path(options.cache_dir))


def run_of(options: Options, pair: PairOptions, steps: int) -> Cell:
    """The cell of one run, 0 steps for none."""
    return run_cell("long_pair", pair, steps, {"built": _built(pair.agents)}, train, Path(options.cache_dir))


def _built(agents: Sequence[str]) -> dict[str, str]:
    """What the lab's own pair was made from, by name; nothing of other agents."""
    return {} if agents else {name: one.fingerprint() for name, one in recipes("tiny", "long").items()}
