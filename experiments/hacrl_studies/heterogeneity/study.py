"""What is trained: every team with every method in one world, and the time that seeds take together."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from hacrl_lab.config import TrainingConfig
from hacrl_lab.errors import SettingError
from hacrl_runs.cache import Cell
from hacrl_studies.common.cli import check_methods
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.common.teams import PAIRS, TEAMS
from hacrl_studies.common.testbeds import TESTBEDS, Testbed
from hacrl_studies.common.training import team_cells, train
from hacrl_studies.common.tuning import Sweep

REFERENCE = "gspo"
METHODS = ("grpo", "gspo", "gspo_x2", "naive", "hacpo", "hacpo_lagged_loo_capped", "hacpo_ppo_clip_alpha0")
SEED_COUNTS = (1, 2, 4, 8, 16, 32)
TIMED_METHOD, TIMED_STEPS, REPEATS = "hacpo", 8, 3
SECONDS = "seconds"
"""Key of the cell of :func:`time_of_seeds`; the others are (name of the team, method)."""
World = Literal["chain", "bandit", "frozen_lake"]


@dataclass(frozen=True)
class Options(ComparisonOptions):
    """Train teams of different agents in a small world with every method."""

    world: World = "chain"
    """The token chain, the contextual bandit or Gymnasium's FrozenLake."""
    methods: tuple[str, ...] = METHODS
    """What to train with; gspo must be among them, the others are compared with it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_methods(self.methods, self.training, least=2)
        if REFERENCE not in self.methods:
            raise SettingError(f"methods must contain {REFERENCE}, the reference, got {', '.join(self.methods)}")

    @property
    def suffix(self) -> str:
        """A page for each world; the token chain's has the study's name."""
        return "" if self.world == "chain" else f"_{self.world}"

    @property
    def testbed(self) -> Testbed[Any, Any]:
        """The world with its agents."""
        return TESTBEDS[self.world]

    @property
    def others(self) -> list[str]:
        """The methods that are compared with the reference."""
        return [method for method in self.methods if method != REFERENCE]

    @property
    def seed_counts(self) -> list[int]:
        """The numbers of seeds that are timed."""
        return [count for count in SEED_COUNTS if count <= self.seeds]


BY_WORLD: dict[World, Options] = {
    "chain": Options(),
    "bandit": Options(world="bandit"),
    "frozen_lake": Options(
        world="frozen_lake", training=TrainingConfig(prompts_per_step=8), sweep=Sweep(tuning_share=0.25)
    ),
}
PUBLISHED = tuple(BY_WORLD.values())


def cells(options: Options) -> dict[Hashable, Cell]:
    """Every team with every method, and the time of seeds."""
    training = options.loop_settings()["training"]
    timed = {"training": training, "world": options.testbed.sizes(), "counts": options.seed_counts}
    return {
        **team_cells(options.testbed, [*PAIRS, *TEAMS[1:]], options.methods, options),
        SECONDS: Cell(f"{options.world}-{SECONDS}", partial(time_of_seeds, options), timed),
    }


def time_of_seeds(options: Options) -> dict[str, np.ndarray]:
    """Seconds of a few HACPO steps of the first pair, median of repeats in turn: (numbers of seeds,)."""

    def seconds(count: int) -> float:
        arrays = train(options.testbed, PAIRS[0], TIMED_METHOD, options.training, TIMED_STEPS, range(count))
        return float(arrays["seconds"])

    times = [[seconds(count) for count in options.seed_counts] for _ in range(REPEATS)]
    return {"seconds": np.median(times, axis=0)}
