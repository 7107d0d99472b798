"""The cells of studies that train pairs of language models: every arm with the learning rate that is best for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hacrl_runs.cache import Cell
from hacrl_runs.figures import INITIAL
from hacrl_runs.own_pair.recipes import Answers, recipes
from hacrl_studies.common.arms import REFERENCE, ArmOptions, RunValues, arm_parts, tuned_runs

RunOptions = Callable[[str, int, float], RunValues]
"""The settings of one run by its arm, its training seed and the multiple of the study's learning rate."""
RunCell = Callable[[RunValues, int], Cell]
"""The cell of one run by its settings and its number of training steps, 0 for none."""


def arm_run(options: ArmOptions, pair: RunValues, arm: str, seed: int, rate: float) -> RunValues:
    """The settings of one run.

    Args:
        options: of the study.
        pair: what the study says of its agents, problems and answers.
        arm: of the run.
        seed: of training.
        rate: multiple of the study's learning rate.
    """
    method, training = arm_parts(arm, options.training)
    return {
        **pair,
        "method": method,
        "compare": "none",
        "steps": options.steps,
        "training": training,
        "learning_rate": options.learning_rate * rate,
        "eval_prompts": options.eval_prompts,
        "eval_samples": options.eval_samples,
        "seed": seed,
        "device": "cpu",
    }


def arm_cells(
    options: ArmOptions, study: str, run_options: RunOptions, run_cell: RunCell, settings: Mapping[str, Any]
) -> dict[str, Cell]:
    """INITIAL -> the agents before training; arm -> its training with the learning rate that is best for it.

    A run of one seed with one learning rate is what is kept, so that an interrupted study continues within an arm.

    Args:
        options: of the study.
        study: the beginning of the cells' names.
        run_options, run_cell: of one run; both can be pickled.
        settings: everything that the arms' results depend on.
    """
    trained = {
        arm: Cell(
            f"{study}-{arm.replace('/', '-')}",
            partial(_tuned, options, run_options, run_cell, arm),
            {**settings, "arms": arm},
        )
        for arm in options.arms
    }
    return {INITIAL: run_cell(run_options(REFERENCE, 0, 1.0), 0), **trained}


def _tuned(options: ArmOptions, run_options: RunOptions, run_cell: RunCell, arm: str) -> dict[str, np.ndarray]:
    """See :func:`hacrl_studies.common.arms.tuned_runs`."""

    def run(seed: int, rate: float) -> Cell:
        return run_cell(run_options(arm, seed, rate), options.steps)

    return tuned_runs(run, options.seeds, options.sweep, Path(options.cache_dir))


def own_pair_fingerprints(agents: Sequence[str], answers: Answers) -> dict[str, str]:
    """What the lab's own pair was made from, by name; nothing of other agents.

    Args:
        agents: the models in its place, if any.
        answers: that the pair writes.
    """
    return {} if agents else {name: recipe.fingerprint() for name, recipe in recipes("tiny", answers).items()}
