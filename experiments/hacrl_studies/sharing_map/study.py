"""What is trained: two agents at every point of the map, alone and with every method that shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from typing import Annotated

import numpy as np
import tyro

from hacrl_lab.errors import SettingError
from hacrl_lab.methods import get_method
from hacrl_lab.trainer import Trainer
from hacrl_runs.cache import Cell
from hacrl_studies.common.cli import check_methods
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.common.testbeds import BANDIT
from hacrl_studies.common.training import final_success, train_with
from hacrl_studies.common.tuning import Sweep, tuned_cell
from hacrl_studies.sharing_map.agents import MapPoint, make_agents, mean_cross_ratios

REFERENCE = "gspo"
GAPS, OVERLAPS, DISTANCES = (0.0, 0.4, 0.8), (0.0, 0.5, 1.0), (0.0, 0.5, 1.0)
MAP_POINTS = [MapPoint(*values) for values in product(GAPS, OVERLAPS, DISTANCES)]


@dataclass(frozen=True)
class Options(ComparisonOptions):
    """Train two agents at every point of a map of gap, overlap and distance."""

    seeds: int = 64
    """Independent bandits, each with agents of its own."""
    steps: int = 8
    """Training steps."""
    methods: tuple[str, ...] = (
        "hacpo",
        "naive",
        "hacpo_lagged_loo_capped",
        "hacpo_alpha0",
        "hacpo_ppo_clip",
        "hacpo_ppo_clip_alpha0",
    )
    """What to compare with GSPO."""
    knowledge: float = 2.0
    """How much larger the stronger agent's logits are along a right answer that it knows."""
    learning_rate: float = 0.5
    """Learning rate of Adam, of which multiples are tried."""
    sweep: Annotated[Sweep, tyro.conf.OmitArgPrefixes] = field(default_factory=partial(Sweep, tuning_share=0.25))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_methods((REFERENCE, *self.methods), self.training, least=2)
        if unshared := [method for method in self.methods if not get_method(method).shares]:
            raise SettingError(f"methods must be ones that share rollouts, got {', '.join(unshared)}")


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[tuple[MapPoint, str], Cell]:
    """(point, method) -> its training."""
    settings = {
        **options.loop_settings(),
        "testbed": {BANDIT.name: BANDIT.sizes()},
        "knowledge": options.knowledge,
        "learning_rate": options.learning_rate,
    }
    return {
        (point, method): tuned_cell(
            f"map-{point.gap}-{point.overlap}-{point.distance}-{method}",
            partial(train, options, point, method),
            final_success,
            options.seeds,
            options.sweep,
            {**settings, **asdict(point), "method": method},
        )
        for point, method in product(MAP_POINTS, (REFERENCE, *options.methods))
    }


def train(
    options: Options, point: MapPoint, method: str, seeds: Sequence[int], rate: float
) -> Mapping[str, np.ndarray]:
    """One point with one method and a multiple of the learning rate.

    Returns:
        ``success`` and ``clipped`` of ``train_with``, and ``ratio``, E_Q[s] at the start.
    """
    world = BANDIT.world(seeds)
    agents = make_agents(point, world, seeds, options.knowledge, options.learning_rate)
    ratio = mean_cross_ratios(agents, world).numpy()
    for agent in agents:
        agent.scale_learning_rate(rate)
    trainer = Trainer(agents, world, method, options.training, list(seeds))
    arrays = train_with(trainer, options.steps, partial(BANDIT.success, world=world, seeds=seeds), "a point of the map")
    return {"success": arrays["success"], "clipped": arrays["clipped"], "ratio": ratio}
