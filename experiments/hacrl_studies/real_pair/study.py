"""What is trained: every arm of each pair with several learning rates on a seed for tuning, then with its best."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from hacrl_envs.reasoning import ReasoningWorld, parse_task
from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import SettingError
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_runs.cache import Cell
from hacrl_runs.describe import statistics
from hacrl_runs.resolve import Job, prepared_run
from hacrl_studies.common.arm_cells import arm_cells, arm_run
from hacrl_studies.common.arms import REFERENCE, ArmOptions, RunValues, run_cell, trained
from hacrl_studies.common.tuning import Sweep
from hacrl_studies.real_pair.build import TEMPLATE, build
from hacrl_studies.real_pair.pairs import MODEL, RECIPES, TASKS, pair_of

ARMS = (REFERENCE, "naive", "hacpo", "hacpo_released", "shares_nothing_released")
ANSWER_RULE = "last_number"
SHOWN = 6
"""Questions whose answers are kept as samples."""
SHOWN_SEED = 123_456_789
"""Of these questions and answers, the same before and after training."""
START = "start/"
"""Before the names of :func:`hacrl_runs.describe.statistics` among the arrays before training."""


@dataclass(frozen=True)
class Options(ArmOptions):
    """Train pairs out of a real pre-trained model with every method, each with its best learning rate."""

    seeds: int = 3
    """Training seeds, from 0 on; all start from the same models."""
    steps: int = 10
    """Training steps."""
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = field(
        default_factory=partial(TrainingConfig, prompts_per_step=8, group_size=4)
    )
    sweep: Annotated[Sweep, tyro.conf.OmitArgPrefixes] = field(default_factory=partial(Sweep, 1 / 3))
    arms: tuple[str, ...] = ARMS
    """What to train with, METHOD or METHOD/SCHEDULE; without gspo nothing is compared with it."""
    learning_rate: float = 1e-5
    """AdamW's learning rate, of which multiples are tried; the Qwen3 has twenty times as much."""
    eval_prompts: int = 96
    """Questions in the evaluation before and after training."""
    pairs: tuple[str, ...] = tuple(RECIPES)
    """Which pairs: state, model."""
    model: str = MODEL
    """Folder of the pre-trained model; left out: what the environment variable HACRL_LAB_REAL_MODEL says."""
    max_new_tokens: int = 6
    """Length limit of an answer, in each agent's own tokens."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_arms(agents=2)
        if not self.pairs or len(set(self.pairs)) < len(self.pairs) or not set(self.pairs) <= set(RECIPES):
            raise SettingError(f"pairs must be at least one of {', '.join(RECIPES)} and different, got {self.pairs}")

    def settings(self) -> dict[str, Any]:
        """Everything that results depend on; the model is known by its weights, not by where it is."""
        return {name: value for name, value in super().settings().items() if name != "model"}

    def pair(self, name: str, arm: str, seed: int, rate: float) -> RunValues:
        """One run, as options of the language pair, without its agents, which may not be built yet.

        Args:
            name: of the pair.
            arm: of the run.
            seed: of training.
            rate: multiple of the learning rate.
        """
        pair = {
            "tasks": TASKS,
            "answer_rule": ANSWER_RULE,
            "prompt_template": (TEMPLATE,),
            "rate_factors": RECIPES[name].rate_factors,
            "max_new_tokens": self.max_new_tokens,
            "dtype": "bfloat16",
            "generation": "transformers",  # as recorded
        }
        return arm_run(self, pair, arm, seed, rate)


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """(pair, INITIAL) and (pair, arm) -> see :func:`hacrl_studies.common.arm_cells.arm_cells`."""
    by_pair: dict[Hashable, Cell] = {}
    for name in options.pairs:
        settings = {**options.settings(), "pairs": name, **_built(options, name)}
        of_pair = arm_cells(
            options, f"real_{name}", partial(options.pair, name), partial(_run_cell, options, name), settings
        )
        by_pair |= {(name, key): cell for key, cell in of_pair.items()}
    return by_pair


def _run_cell(options: Options, name: str, pair: RunValues, steps: int) -> Cell:
    make = partial(train, name, options.model)
    return run_cell(f"real_{name}", pair, steps, _built(options, name), make, Path(options.cache_dir))


def _built(options: Options, name: str) -> dict[str, Any]:
    return {"built": pair_of(name, options.model).fingerprints()}


def train(name: str, model: str, pair: RunValues, steps: int, folder: Path) -> dict[str, np.ndarray]:
    """One run, of agents that are built first if they are not in the cache.

    Args:
        name: of the pair.
        model: folder of the pre-trained model.
        pair: method, learning rate, seed and settings, without agents.
        steps: of training, 0 for none.
        folder: of the run while it is not finished.

    Returns:
        What :func:`hacrl_studies.common.arms.trained` and :func:`sample_answers` return; before training, with START
        before their names, the numbers of :func:`hacrl_runs.describe.statistics`; ``peak_gib``, the most memory that
        the process had until then.
    """
    pair = {**pair, "agents": tuple(map(str, build(pair_of(name, model)).values()))}
    arrays = trained(pair, steps, folder)
    with prepared_run(**pair) as job:
        if steps > 0:
            job = replace(job, sources={agent: str(folder / "agents" / agent) for agent in job.sources})
        arrays |= sample_answers(job)
        if steps == 0:
            arrays |= {f"{START}{key}": np.array(value) for key, value in at_the_start(job).items()}
    arrays["peak_gib"] = np.array(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
    shutil.rmtree(folder)
    return arrays


def sample_answers(job: Job) -> dict[str, np.ndarray]:
    """``questions`` of the evaluation's kind, (Q,); an answer of each agent to each, ``answers``, and its ``rewards``:
    (n, Q).
    """
    world = _world("test")
    prompts = world.sample_prompts(SHOWN, RandomStream(SHOWN_SEED))
    batches = [agent.generate(prompts, 1, RandomStream(SHOWN_SEED)) for agent in job.load_agents()]
    return {
        "questions": np.array(prompts.questions),
        "answers": np.array([[answer for (answer,) in batch.responses] for batch in batches]),
        "rewards": np.array([world.verify(prompts, batch)[:, 0].numpy() for batch in batches]),
    }


def at_the_start(job: Job) -> dict[str, float]:
    """Lengths, accuracy and importance ratios of agents, on questions of training."""
    return statistics(job.load_agents(), _world("training"), job.training.objective, SHOWN_SEED)


def _world(part: Any) -> ReasoningWorld:
    return ReasoningWorld([parse_task(text) for text in TASKS], ANSWER_RULES[ANSWER_RULE], part)
