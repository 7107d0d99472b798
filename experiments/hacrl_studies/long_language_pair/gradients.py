"""Why a method gains or not: does a step's gradient point where an agent's own accuracy grows?

From the agents before training, each method makes the gradient of one step, many times with other problems. Own
rollouts alone give an unbiased estimate of the direction in which an agent's own accuracy grows; its mean over many
steps is close to that direction. A method helps a learner as far as the cosine of its gradient with it is larger.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from hacrl_lab.agents.state import STEM
from hacrl_lab.checkpoint import load_part
from hacrl_lab.config import TrainingConfig
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.trainer import Trainer
from hacrl_lab.worlds import World
from hacrl_runs.resolve import prepared_run
from hacrl_studies.common.arms import REFERENCE, RunValues

FIRST_SEED = 3_000_000
"""Of these steps' problems and answers, apart from all training seeds."""
MOMENT = "exp_avg/"
"""Adam's first moment, which after one update is a multiple of that update's gradient."""


def cosines(pair: RunValues, methods: Sequence[str], steps: int) -> dict[str, np.ndarray]:
    """Cosines of one-step gradients with the mean of the reference's gradients in the other steps.

    Args:
        pair: the agents and settings.
        methods: with one update for all rollouts of a step, :data:`hacrl_studies.common.arms.REFERENCE` among them.
        steps: of each method; the same problems and own answers for all methods.

    Returns:
        ``agents``: names, (n,). By method: (n, steps).
    """
    minibatches = {"training": replace(pair["training"], minibatches=1)}
    with prepared_run(**{**pair, **minibatches}) as job, tempfile.TemporaryDirectory() as folder:
        agents = job.load_agents()
        states = _saved(agents, Path(folder) / "start")
        gradients = {
            method: [
                _gradients(agents, states, job.worlds.training, method, job.training, FIRST_SEED + step, Path(folder))
                for step in tqdm(range(steps), desc=f"Gradients of {method}", unit="step", leave=False)
            ]
            for method in methods
        }
    by_method = {method: np.array(_cosines(gradients[method], gradients[REFERENCE])).T for method in methods}
    return {"agents": np.array([agent.name for agent in agents]), **by_method}


def _cosines(gradients: list[list[torch.Tensor]], reference: list[list[torch.Tensor]]) -> list[list[float]]:
    """By step and agent; a step is left out of the mean that it is compared with."""
    sums = [torch.stack(each).sum(0) for each in zip(*reference, strict=True)]
    return [
        [float(torch.cosine_similarity(mine, total - own, dim=0)) for mine, total, own in zip(*row, strict=True)]
        for row in ((gradients[step], sums, reference[step]) for step in range(len(reference)))
    ]


def _gradients(
    agents: Sequence[CausalLMAgent],
    starts: Sequence[Path],
    world: World,
    method: str,
    training: TrainingConfig,
    seed: int,
    folder: Path,
) -> list[torch.Tensor]:
    """Of each agent from its start, in one vector."""
    for agent, saved in zip(agents, starts, strict=True):
        agent.load(saved)
    Trainer(agents, world, method, training, seed).step()
    with tempfile.TemporaryDirectory(dir=folder) as after:
        states = [load_part(saved / STEM)[0] for saved in _saved(agents, Path(after) / "agents")]
    return [
        torch.cat([state[name].flatten().double() for name in sorted(state) if name.startswith(MOMENT)])
        for state in states
    ]


def _saved(agents: Sequence[CausalLMAgent], folder: Path) -> list[Path]:
    """Every agent's state in a folder of its own."""
    folders = [folder / str(k) for k in range(len(agents))]
    for agent, agent_folder in zip(agents, folders, strict=True):
        agent_folder.mkdir(parents=True)
        agent.save(agent_folder)
    return folders
