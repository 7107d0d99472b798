"""What is trained: every arm with several learning rates on a seed for tuning, then with its best on the seeds.

An arm is a method, or a method and a schedule: ``hacpo`` or ``hacpo/mixed_2u``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from common.cache import Cell, computed
from common.options import StudyOptions
from hacrl_lab.config import TrainingConfig
from hacrl_lab.metrics import read_metrics
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verifiers import MathVerifier
from language_pair.models import sources_of
from language_pair.options import Options as PairOptions
from language_pair.recipes import recipes
from language_pair.run import EVALUATION, EVALUATION_SEED, make_world, resolve, run_arm

REFERENCE = "gspo"
ARMS = (
    REFERENCE,
    "gspo_x2",
    "naive",
    "naive/mixed_2u",
    "hacpo",
    "hacpo/mixed_2u",
    "hacpo_released",
    "hacpo_ppo_clip_alpha0",
)
INITIAL = "initial"
TUNING_SEED = 1000
"""Of the runs that choose learning rates; no reported run has it, nor do they have the reported runs' problems."""
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
class Options(StudyOptions):
    """Train a pair of language models that write long answers with every method, each with its best learning rate."""

    seeds: int = 5
    """Training seeds, from 0 on; all start from the same models."""
    steps: int = 16
    """Training steps."""
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = TrainingConfig()
    arms: tuple[str, ...] = ARMS
    """What to train with, METHOD or METHOD/SCHEDULE; gspo must be among them."""
    learning_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3)
    """Which AdamW learning rates are tried for each arm."""
    eval_prompts: int = 256
    """Problems in the evaluation before and after training."""
    eval_samples: int = 2
    """Answers to each of them."""
    agents: tuple[str, ...] = ()
    """Two or more models in place of the lab's own pair, each a local transformers folder or a hub id."""
    problems: str | None = None
    """JSON Lines file of problems in place of the quantity stories."""
    max_new_tokens: int = 256
    """Length limit of an answer, in each agent's own tokens."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if REFERENCE not in self.arms or len(self.arms) < 2 or len(set(self.arms)) < len(self.arms):
            raise ValueError(f"arms must be at least two different ones, {REFERENCE} among them, got {self.arms}")
        for arm in self.arms:
            method, training = arm_parts(arm, self.training)
            training.check(method, agents=max(2, len(self.agents)))
        if not self.learning_rates or len(set(self.learning_rates)) < len(self.learning_rates):
            raise ValueError(f"learning_rates must be at least one and different, got {self.learning_rates}")
        self.pair(REFERENCE, 0)

    def pair(self, arm: str, seed: int, learning_rate: float | None = None) -> PairOptions:
        """One run of an arm, as options of the language pair."""
        method, training = arm_parts(arm, self.training)
        return PairOptions(
            method=method,
            compare="none",
            answers="short" if self.agents else "long",
            agents=self.agents,
            problems=self.problems,
            steps=self.steps,
            training=training,
            learning_rate=learning_rate,
            max_new_tokens=self.max_new_tokens,
            eval_prompts=self.eval_prompts,
            eval_samples=self.eval_samples,
            seed=seed,
            device="cpu",
        )


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """INITIAL -> the agents before training; ("rate", arm, rate) -> a run that tunes; (arm, seed) -> a run."""
    found: dict[Hashable, Cell] = {INITIAL: _cell(options, options.pair(REFERENCE, 0), steps=0)}
    for arm in options.arms:
        found |= {("rate", arm, rate): cell for rate, cell in _tuning(options, arm).items()}
    found |= {(arm, seed): _tuned(options, arm, seed) for seed in range(options.seeds) for arm in options.arms}
    return found


def mean_accuracy(arrays: Mapping[str, Any]) -> float:
    """Over agents and evaluation problems."""
    return float(arrays["accuracy"].mean())


def _tuning(options: Options, arm: str) -> dict[float, Cell]:
    """By learning rate a run with the seed for tuning."""
    return {
        rate: _cell(options, options.pair(arm, TUNING_SEED, rate), options.steps) for rate in options.learning_rates
    }


def _tuned(options: Options, arm: str, seed: int) -> Cell:
    """A run with the learning rate that was best when tuning; kept as the run with that rate."""

    def compute() -> dict[str, Any]:
        cache = Path(options.cache_dir)
        by_rate = {rate: mean_accuracy(computed(cell, cache)) for rate, cell in _tuning(options, arm).items()}
        best = max(by_rate, key=by_rate.__getitem__)
        run = _cell(options, options.pair(arm, seed, best), options.steps)
        return {**computed(run, cache), "learning_rate": np.array(best)}

    return Cell(f"{arm}-{seed}", compute)


def _cell(options: Options, pair: PairOptions, steps: int) -> Cell:
    """One run; an interrupted one goes on from its latest checkpoint."""
    built = {} if pair.agents else {name: one.fingerprint() for name, one in recipes(pair.size, pair.answers).items()}
    settings = {**asdict(pair), "steps": steps, "built": built}
    name = f"long_pair-{pair.method if steps else INITIAL}-{pair.seed}"
    folder = Cell(name, dict, settings).path(Path(options.cache_dir)).with_suffix("")
    return Cell(name, partial(train, pair, steps, folder), settings)


def train(pair: PairOptions, steps: int, folder: Path) -> dict[str, np.ndarray]:
    """Train and evaluate as ``llm_pair.py`` does.

    Args:
        pair: method, learning rate, seed and settings.
        steps: of training, 0 for none.
        folder: of the run while it is not finished.

    Returns:
        ``agents``: names (n,). ``accuracy``: (n, problems). ``topics``: those of each problem, joined by spaces.
        ``seconds``: of all steps. And with CURVE before its name every metric of training, (steps,).
    """
    resolved = resolve(pair)
    sources = sources_of(resolved)
    stream = RandomStream(EVALUATION_SEED, 1) if pair.seed == TUNING_SEED else RandomStream(EVALUATION_SEED)
    with MathVerifier() as verifier:
        world = make_world(resolved, sources, verifier)
        prompts = world.sample_prompts(resolved.eval_prompts, stream)
        run_arm(folder, resolved, steps, pair.method, sources, world, prompts)
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
