"""Studies that train a pair of language models with several methods: options, single runs, learning rates.

An arm is a method, or a method and a schedule: ``hacpo`` or ``hacpo/mixed_2u``. A single run, one seed with one
learning rate, is what is kept; an interrupted one continues from its latest checkpoint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hacrl_lab.config import TrainingConfig, flat
from hacrl_lab.errors import SettingError
from hacrl_lab.interrupt import Interrupted, Terminated
from hacrl_lab.metrics import read_metrics
from hacrl_lab.seeding import RandomStream
from hacrl_runs.cache import Cell, cell_path, computed
from hacrl_runs.figures import INITIAL
from hacrl_runs.folder import read_evaluation
from hacrl_runs.resolve import prepared_run
from hacrl_runs.settings import train_settings
from hacrl_runs.train import run_arm
from hacrl_runs.worlds import EVALUATION_SEED
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.common.tuning import FIRST_SEED, Arrays, Sweep, tuned

REFERENCE = "gspo"
TIMINGS = "timings.jsonl"
RunValues = Mapping[str, Any]
"""Settings of a run by the names of their options; what is not in it has its default."""
KNOWN_BY_ITSELF = ("problems", "prompt_template", "system_prompt", "reward")
"""Settings that may hold several values."""
ONCE_DEFAULTS = {"generation": "transformers"}
"""Values that were defaults when runs were recorded."""
CURVE = "curve/"
"""Before the names of metrics among a cell's arrays."""


@dataclass(frozen=True)
class ArmOptions(ComparisonOptions):
    """What these studies have in common."""

    arms: tuple[str, ...] = (REFERENCE, "hacpo")
    """What to train with, METHOD or METHOD/SCHEDULE."""
    learning_rate: float = 3e-4
    """AdamW's learning rate, of which multiples are tried."""
    eval_prompts: int = 256
    """Problems in the evaluation before and after training."""
    eval_samples: int = 2
    """Answers to each of them."""

    def check_arms(self, agents: int) -> None:
        """Refuse arms before anything is trained.

        Raises:
            SettingError: none, one of them twice, an unknown one, or one that the settings do not allow.
        """
        if not self.arms or len(set(self.arms)) < len(self.arms):
            raise SettingError(f"arms must be at least one and different, got {self.arms}")
        for arm in self.arms:
            method, training = arm_parts(arm, self.training)
            training.check(method, agents=agents)


def arm_parts(arm: str, training: TrainingConfig) -> tuple[str, TrainingConfig]:
    """The method of an arm, and the training settings with the arm's schedule.

    >>> arm_parts("hacpo/mixed_2u", TrainingConfig())[1].schedule
    'mixed_2u'
    """
    method, _, schedule = arm.partition("/")
    return method, replace(training, schedule=schedule) if schedule else training  # type: ignore[arg-type]


def run_cell(
    study: str,
    pair: RunValues,
    steps: int,
    settings: dict[str, Any],
    train: Callable[[RunValues, int, Path], Arrays],
    cache: Path,
) -> Cell:
    """The cell of one run.

    Args:
        study: the beginning of its name.
        pair: method, learning rate, seed and settings.
        steps: of training, 0 for none.
        settings: everything else that the run depends on.
        train: makes the run in the given folder.
        cache: folder of all cells.
    """
    known = {**run_key(pair), "steps": steps, **settings}
    run = train_settings(**pair).run
    name = f"{study}-{run.method if steps else INITIAL}-{run.seed}"
    folder = cell_path(cache, name, known).with_suffix("")
    return Cell(name, partial(train, pair, steps, folder), known)


def given(value: str | None) -> tuple[str, ...]:
    """An option of one value as a setting that may hold several.

    >>> given("a.jsonl"), given(None)
    (('a.jsonl',), ())
    """
    return () if value is None else (value,)


def run_key(pair: RunValues) -> dict[str, Any]:
    """The non-default settings, and what samples if it is not generate, identify a run, also when settings are added.

    A default that is changed needs another ``RESULTS_VERSION``. One prompt or one file of problems is known by itself.
    """
    defaults = {**flat(train_settings()), **ONCE_DEFAULTS}
    values = {name: value for name, value in flat(train_settings(**pair)).items() if value != defaults[name]}
    alone = {name: values[name][0] for name in KNOWN_BY_ITSELF if len(values.get(name, ())) == 1}
    return {**values, **alone}


def tuned_runs(run: Callable[[int, float], Cell], seeds: int, sweep: Sweep, cache: Path) -> dict[str, np.ndarray]:
    """See :func:`hacrl_studies.common.tuning.tuned`; arrays get an axis of seeds, after the agents if there are any.

    Args:
        run: the cell of a seed with a multiple of the learning rate.
        seeds, sweep: see there.
        cache: folder of all cells.
    """

    def train_seeds(seeds: Sequence[int], rate: float) -> dict[str, np.ndarray]:
        runs = [computed(run(seed, rate), cache) for seed in seeds]
        keys = [key for key in runs[0] if key not in ("accuracy", "agents")]
        numbers = {key: np.stack([arrays[key] for arrays in runs]) for key in keys}
        return {**numbers, "accuracy": np.stack([arrays["accuracy"] for arrays in runs], axis=1)}

    return tuned(train_seeds, mean_accuracy, seeds, sweep)


def mean_accuracy(arrays: Arrays) -> np.ndarray:
    """Mean over agents and evaluation problems of each seed: (S,)."""
    return arrays["accuracy"].mean((0, -1))


def train(pair: RunValues, steps: int, folder: Path) -> dict[str, np.ndarray]:
    """:func:`trained` with nothing left of the run but its arrays."""
    arrays = trained(pair, steps, folder)
    shutil.rmtree(folder)
    return arrays


def trained(pair: RunValues, steps: int, folder: Path) -> dict[str, np.ndarray]:
    """Train and evaluate as ``llm_pair.py`` does; the seeds for tuning have evaluation problems of their own.

    Args:
        pair: method, learning rate, seed and settings.
        steps: of training, 0 for none.
        folder: of the run, which holds its checkpoints and the trained ``agents/`` afterwards.

    Returns:
        ``agents``: names, (n,). ``accuracy``: (n, problems). ``topics``: those of each problem, joined by spaces.
        ``seconds``: of all steps. And with CURVE before its name every metric of training, (steps,).
    """
    with prepared_run(**pair) as job:
        of_tuning = (1,) if job.run.seed >= FIRST_SEED else ()
        stream = RandomStream(EVALUATION_SEED, *of_tuning)
        prompts = job.worlds.test.sample_prompts(job.evaluation.eval_prompts, stream)
        try:
            run_arm(folder, replace(job, eval_prompts=prompts), steps, job.run.method)
        except Interrupted as stop:
            # which ends a study; the run continues from its checkpoint
            raise (KeyboardInterrupt if stop.status == 130 else Terminated) from stop
    evaluation = read_evaluation(folder)
    arrays = {
        "agents": np.array(list(evaluation.accuracy)),
        "accuracy": np.array(list(evaluation.accuracy.values())),
        "topics": np.array([" ".join(topics) for topics in evaluation.topics]),
    }
    if steps > 0:
        arrays |= {f"{CURVE}{key}": np.array(values) for key, values in read_metrics(folder).items()}
        timings = (folder / TIMINGS).read_text().splitlines()
        arrays["seconds"] = np.array(sum(json.loads(line)["seconds"] for line in timings))
    return arrays
