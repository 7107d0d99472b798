"""What is trained: every arm with several learning rates on seeds for tuning, then with its best on the seeds.

An arm is a method, or a method and a schedule: ``hacpo`` or ``hacpo/mixed_2u``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from common.cache import Cell, computed
from common.options import ComparisonOptions, flat
from common.tuning import FIRST_SEED, Arrays, Sweep, tuned
from hacrl_lab.config import TrainingConfig
from hacrl_lab.interrupt import Interrupted
from hacrl_lab.metrics import read_metrics
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verifiers import MathVerifier
from language_pair.models import sources_of
from language_pair.options import Options as PairOptions
from language_pair.recipes import recipes
from language_pair.run import EVALUATION, EVALUATION_SEED, resolve, run_arm
from language_pair.worlds import make_world

REFERENCE = "gspo"
ARMS = (
    REFERENCE,
    "gspo_x2",
    "naive",
    "hacpo",
    "hacpo_released",
    "hacpo_ppo_clip_alpha0",
)
INITIAL = "initial"
TIMINGS = "timings.jsonl"
CURVE = "curve/"
"""Before the names of metrics among a cell's arrays."""


def arm_parts(arm: str, training: TrainingConfig) -> tuple[str, TrainingConfig]:
    """The method of an arm, and the training settings with the arm's schedule.

    >>> arm_parts("hacpo/mixed_2u", TrainingConfig())[1].schedule
    'mixed_2u'
    """
    method, _, schedule = arm.partition("/")
    return method, replace(training, schedule=schedule) if schedule else training  # type: ignore[arg-type]


@dataclass(frozen=True)
class Options(ComparisonOptions):
    """Train a pair of language models that write long answers with every method, each with its best learning rate."""

    seeds: int = 5
    """Training seeds, from 0 on; all start from the same models."""
    steps: int = 16
    """Training steps."""
    sweep: Annotated[Sweep, tyro.conf.OmitArgPrefixes] = field(default_factory=partial(Sweep, 0.6))
    arms: tuple[str, ...] = ARMS
    """What to train with, METHOD or METHOD/SCHEDULE; gspo must be among them."""
    learning_rate: float = 3e-4
    """AdamW's learning rate, of which multiples are tried."""
    eval_prompts: int = 256
    """Problems in the evaluation before and after training."""
    eval_samples: int = 2
    """Answers to each of them."""
    agents: tuple[str, ...] = ()
    """Two or more models in place of the lab's own pair, each a local transformers folder or a hub id."""
    problems: str | None = None
    """JSON Lines file of problems in place of the quantity stories."""
    prompt_template: str | None = None
    """The prompt, for models in place of the lab's own; see ``llm_pair.py --help``."""
    max_new_tokens: int = 256
    """Length limit of an answer, in each agent's own tokens."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if REFERENCE not in self.arms or len(self.arms) < 2 or len(set(self.arms)) < len(self.arms):
            raise ValueError(f"arms must be at least two different ones, {REFERENCE} among them, got {self.arms}")
        for arm in self.arms:
            method, training = arm_parts(arm, self.training)
            training.check(method, agents=max(2, len(self.agents)))
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
    initial = _cell(options, options.pair(REFERENCE, 0, 1.0), steps=0)
    shared = {**options.settings(), "built": _built(options.agents)}
    trained = {
        arm: Cell(f"long_pair-{arm.replace('/', '-')}", partial(_tuned, options, arm), {**shared, "arms": arm})
        for arm in options.arms
    }
    return {INITIAL: initial, **trained}


def mean_accuracy(arrays: Arrays) -> np.ndarray:
    """Mean over agents and evaluation problems of each seed: (S,)."""
    return arrays["accuracy"].mean((0, -1))


def _tuned(options: Options, arm: str) -> dict[str, np.ndarray]:
    """See :func:`common.tuning.tuned`; arrays of runs have an axis of seeds, after the agents if there are agents."""

    def train_seeds(seeds: Sequence[int], rate: float) -> dict[str, np.ndarray]:
        one_each = [_cell(options, options.pair(arm, seed, rate), options.steps) for seed in seeds]
        runs = [computed(cell, Path(options.cache_dir)) for cell in one_each]
        numbers = {key: np.stack([run[key] for run in runs]) for key in runs[0] if key not in ("accuracy", "agents")}
        return {**numbers, "accuracy": np.stack([run["accuracy"] for run in runs], axis=1)}

    return tuned(train_seeds, mean_accuracy, options.seeds, options.sweep)


def _cell(options: Options, pair: PairOptions, steps: int) -> Cell:
    """One run; an interrupted one goes on from its latest checkpoint."""
    settings = {**_chosen(pair), "steps": steps, "built": _built(pair.agents)}
    name = f"long_pair-{pair.method if steps else INITIAL}-{pair.seed}"
    folder = Cell(name, dict, settings).path(Path(options.cache_dir)).with_suffix("")
    return Cell(name, partial(train, pair, steps, folder), settings)


def _chosen(pair: PairOptions) -> dict[str, Any]:
    """The options that are not left at their defaults: a run is known by them, also when options are added.

    A default that is changed needs another ``RESULTS_VERSION``.
    """
    left = flat(PairOptions())
    return {name: value for name, value in flat(pair).items() if value != left[name]}


def _built(agents: Sequence[str]) -> dict[str, str]:
    """What the lab's own pair was made from, by name; nothing of other agents."""
    return {} if agents else {name: one.fingerprint() for name, one in recipes("tiny", "long").items()}


def train(pair: PairOptions, steps: int, folder: Path) -> dict[str, np.ndarray]:
    """Train and evaluate as ``llm_pair.py`` does; the seeds for tuning have evaluation problems of their own.

    Args:
        pair: method, learning rate, seed and settings.
        steps: of training, 0 for none.
        folder: of the run while it is not finished.

    Returns:
        ``agents``: names, (n,). ``accuracy``: (n, problems). ``topics``: those of each problem, joined by spaces.
        ``seconds``: of all steps. And with CURVE before its name every metric of training, (steps,).
    """
    resolved = resolve(pair)
    sources = sources_of(resolved)
    of_tuning = (1,) if pair.seed >= FIRST_SEED else ()
    with MathVerifier() as verifier:
        world = make_world(resolved, sources, verifier)
        prompts = world.sample_prompts(resolved.eval_prompts, RandomStream(EVALUATION_SEED, *of_tuning))
        try:
            run_arm(folder, resolved, steps, pair.method, sources, world, world, prompts)
        except Interrupted as stop:
            raise KeyboardInterrupt from stop  # which ends a study; the run goes on from its checkpoint
    evaluated = json.loads((folder / EVALUATION).read_text())
    arrays = {
        "agents": np.array(list(evaluated["accuracy"])),
        "accuracy": np.array(list(evaluated["accuracy"].values())),
        "topics": np.array([" ".join(topics) for topics in evaluated["topics"]]),
    }
    if steps > 0:
        arrays |= {f"{CURVE}{key}": np.array(values) for key, values in read_metrics(folder).items()}
        timings = (folder / TIMINGS).read_text().splitlines()
        arrays["seconds"] = np.array(sum(json.loads(line)["seconds"] for line in timings))
    shutil.rmtree(folder)
    return arrays
