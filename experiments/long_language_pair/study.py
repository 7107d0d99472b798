"""What is trained: every method with several learning rates on a seed for tuning, then with its best on the seeds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from common.cache import Cell, computed
from common.cli import check_methods
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
METHODS = (REFERENCE, "gspo_x2", "naive", "hacpo", "hacpo_ppo_clip_alpha0")
INITIAL = "initial"
TUNING_SEED = 1000
"""Of the runs that choose learning rates; no reported run has it, nor do they have the reported runs' problems."""
TIMINGS = "timings.jsonl"
CURVE = "curve/"
"""Before the names of metrics among a cell's arrays."""


@dataclass(frozen=True)
class Options(StudyOptions):
    """Train a pair of language models with every method; long answers, one learning rate for each method."""

    seeds: int = 5
    """Training seeds, from 0 on; all start from the same models."""
    steps: int = 16
    """Training steps."""
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = TrainingConfig()
    methods: tuple[str, ...] = METHODS
    """What to train with; gspo must be among them."""
    learning_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3)
    """Which AdamW learning rates are tried for each method."""
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
        check_methods(self.methods, self.training, least=2)
        if REFERENCE not in self.methods:
            raise ValueError(f"methods must contain {REFERENCE}, got {', '.join(self.methods)}")
        if not self.learning_rates or len(set(self.learning_rates)) < len(self.learning_rates):
            raise ValueError(f"learning_rates must be at least one and different, got {self.learning_rates}")
        self.pair(0)

    def pair(self, seed: int, learning_rate: float | None = None) -> PairOptions:
        """The same as options of the language pair."""
        return PairOptions(
            answers="short" if self.agents else "long",
            agents=self.agents,
            problems=self.problems,
            steps=self.steps,
            training=self.training,
            learning_rate=learning_rate,
            max_new_tokens=self.max_new_tokens,
            eval_prompts=self.eval_prompts,
            eval_samples=self.eval_samples,
            seed=seed,
            device="cpu",
        )


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """INITIAL -> the agents before training; ("rate", method, rate) -> a run that tunes; (method, seed) -> a run."""
    found: dict[Hashable, Cell] = {INITIAL: _cell(options, INITIAL, options.pair(0), steps=0)}
    for method in options.methods:
        found |= {("rate", method, rate): cell for rate, cell in _tuning(options, method).items()}
    for method in options.methods:
        found |= {(method, seed): _tuned(options, method, seed) for seed in range(options.seeds)}
    return found


def mean_accuracy(arrays: Mapping[str, Any]) -> float:
    """Over agents and evaluation problems."""
    return float(arrays["accuracy"].mean())


def _tuning(options: Options, method: str) -> dict[float, Cell]:
    """By learning rate a run with the seed for tuning."""
    return {
        rate: _cell(options, method, options.pair(TUNING_SEED, rate), options.steps) for rate in options.learning_rates
    }


def _tuned(options: Options, method: str, seed: int) -> Cell:
    """A run with the learning rate that was best when tuning; kept as the run with that rate."""

    def compute() -> dict[str, Any]:
        cache = Path(options.cache_dir)
        by_rate = {rate: mean_accuracy(computed(cell, cache)) for rate, cell in _tuning(options, method).items()}
        best = max(by_rate, key=by_rate.__getitem__)
        run = _cell(options, method, options.pair(seed, best), options.steps)
        return {**computed(run, cache), "learning_rate": np.array(best)}

    return Cell(f"{method}-{seed}", compute)


def _cell(options: Options, method: str, pair: PairOptions, steps: int) -> Cell:
    """One run; an interrupted one goes on from its latest checkpoint."""
    built = {} if pair.agents else {name: one.fingerprint() for name, one in recipes(pair.size, pair.answers).items()}
    settings = {**asdict(pair), "method": method, "steps": steps, "built": built}
    name = f"language_models-{method}-{pair.seed}"
    folder = Cell(name, dict, settings).path(Path(options.cache_dir)).with_suffix("")
    return Cell(name, partial(train, pair, method, steps, folder), settings)


def train(pair: PairOptions, method: str, steps: int, folder: Path) -> dict[str, np.ndarray]:
    """Train and evaluate as ``llm_pair.py`` does.

    Args:
        pair: settings.
        method: what to train with.
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
        run_arm(folder, resolved, steps, method, sources, world, prompts)
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
