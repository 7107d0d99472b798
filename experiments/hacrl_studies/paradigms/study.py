"""What is trained: some of the six pairs, in every way of :mod:`hacrl_studies.paradigms.arms`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from hacrl_runs.cache import Cell
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.common.teams import PAIRS, Team, check_pairs
from hacrl_studies.common.testbeds import CHAIN
from hacrl_studies.common.tuning import tuned_cell
from hacrl_studies.paradigms.arms import ARMS, train

REFERENCE = "gspo"


@dataclass(frozen=True)
class Options(ComparisonOptions):
    """Train the same two agents in every way of the paper's Figure 1."""

    pairs: tuple[int, ...] = (0, 2, 4)
    """Which of the six pairs of agents, 0 to 5."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.training.check(REFERENCE)
        check_pairs(self.pairs, "pairs")

    @property
    def teams(self) -> list[Team]:
        """The pairs."""
        return [PAIRS[index] for index in self.pairs]


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[tuple[str, str], Cell]:
    """(pair, way to train) -> its training."""
    settings = {**options.loop_settings(), "testbed": {CHAIN.name: CHAIN.sizes()}}
    return {
        (team.name, arm.name): tuned_cell(
            f"paradigms-{team.name}-{arm.name}",
            partial(train, team, arm, options.training, options.steps),
            arm.success,
            options.seeds,
            options.sweep,
            {**settings, "team": repr(team), "arm": arm.name},
        )
        for team in options.teams
        for arm in ARMS
    }
