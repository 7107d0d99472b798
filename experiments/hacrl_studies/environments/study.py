"""What is trained: a pair of agents in each environment with several methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Annotated

import numpy as np
import torch
import tyro
from tqdm.auto import tqdm

from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import SettingError
from hacrl_lab.evaluation import evaluate
from hacrl_lab.trainer import Trainer
from hacrl_runs.cache import Cell
from hacrl_studies.common.cli import check_methods
from hacrl_studies.common.options import OutputOptions
from hacrl_studies.common.training import crossed_clip_fraction
from hacrl_studies.common.tuning import Sweep, tuned_cell
from hacrl_studies.environments.agents import ENVIRONMENTS, Setting, make_agents

EVALUATION = 10**6  # added to a seed, so that evaluation draws other numbers than training


@dataclass(frozen=True)
class Options(OutputOptions):
    """Train pairs of agents in Gymnasium environments with several methods, each for its number of steps."""

    seeds: int = 16
    """Independent pairs of agents."""
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = TrainingConfig(prompts_per_step=8)
    environments: tuple[str, ...] = tuple(ENVIRONMENTS)
    """Which environments."""
    methods: tuple[str, ...] = ("gspo", "hacpo", "hacpo_lagged_loo_capped")
    """What to train with; later ones are compared with the first."""
    eval_episodes: int = 64
    """Episodes of each agent before and after training, for every seed."""
    sweep: Annotated[Sweep, tyro.conf.OmitArgPrefixes] = field(default_factory=Sweep)

    @property
    def tuning_seeds(self) -> int:
        """On how many seeds learning rates are chosen."""
        return len(self.sweep.seeds(self.seeds))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seeds < 2:
            raise SettingError(f"seeds must be ≥ 2, got {self.seeds}")
        if not self.environments or set(self.environments) - set(ENVIRONMENTS):
            given = ", ".join(self.environments) or "none"
            raise SettingError(f"environments must be at least one of {', '.join(ENVIRONMENTS)}, got {given}")
        check_methods(self.methods, self.training, least=2)
        if self.eval_episodes < 1:
            raise SettingError(f"eval_episodes must be ≥ 1, got {self.eval_episodes}")


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[tuple[str, str], Cell]:
    """(environment, method) -> its training."""
    shared = {
        "training": asdict(options.training),
        "eval_episodes": options.eval_episodes,
    }
    return {
        (name, method): tuned_cell(
            f"environments-{name}-{method}",
            partial(train, ENVIRONMENTS[name], method, options),
            success_after,
            options.seeds,
            options.sweep,
            {**shared, "method": method, "setting": ENVIRONMENTS[name].description()},
        )
        for name in options.environments
        for method in options.methods
    }


def success_after(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Success after training, mean over the agents: (S,)."""
    return arrays["after"].mean(0)


def train(
    setting: Setting, method: str, options: Options, seeds: Sequence[int], rate: float
) -> Mapping[str, np.ndarray]:
    """One method in one environment with a multiple of the learning rate.

    Returns:
        ``before`` and ``after``, sampled success (agents, S); ``curve``, success of the training episodes
        (steps, agents, S); ``length``, tokens of an episode, and ``clipped``, share of cross rollouts, (agents, S).
    """
    world = setting.world()
    agents = make_agents(setting, world, seeds)
    for agent in agents:
        agent.scale_learning_rate(rate)
    # seeds go on where the one before stopped, so that together they see all initial states equally often
    order = torch.arange(len(seeds) * options.eval_episodes).reshape(len(seeds), -1) % len(world.starts)
    prompts = world.starts_at(world.starts[order])
    unseen = [EVALUATION + seed for seed in seeds]

    def success() -> np.ndarray:
        values = evaluate(agents, world, prompts, 1, unseen)
        return np.stack([values[agent.name].mean(-1) for agent in agents])

    before = success()
    trainer = Trainer(agents, world, method, options.training, list(seeds))
    names = trainer.names
    history = [
        trainer.step() for _ in tqdm(range(setting.steps), desc=f"{setting.name}, {trainer.method.label}", leave=None)
    ]

    def series(kind: str) -> np.ndarray:
        return np.stack([[np.asarray(metrics[f"{kind}/{name}"]) for name in names] for metrics in history])

    return {
        "before": before,
        "after": success(),
        "curve": series("accuracy"),
        "length": series("response_length").mean(0),
        "clipped": np.mean([crossed_clip_fraction(metrics, names) for metrics in history], axis=0),
    }
