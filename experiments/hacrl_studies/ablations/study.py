"""What is trained: HACPO and its variants on one pair; clip and weight exchanged on several pairs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from hacrl_lab.config import TrainingConfig
from hacrl_lab.methods import get_method
from hacrl_runs.cache import Cell
from hacrl_studies.common.options import ComparisonOptions
from hacrl_studies.common.teams import PAIRS, Team, check_pairs
from hacrl_studies.common.testbeds import BANDIT, CHAIN, Testbed
from hacrl_studies.common.training import team_cell

REFERENCE = "HACPO"
ALONE = "gspo"
EXCHANGES = ("hacpo", "hacpo_alpha0", "hacpo_ppo_clip", "hacpo_ppo_clip_alpha0", "naive")
"""Both clips of cross rollouts × with and without the exponential weight, and plain pooling."""
EXCHANGE_TESTBEDS: tuple[Testbed[Any, Any], ...] = (CHAIN, BANDIT)
PAPER_EPSILON = {"epsilon_low": 3e-4, "epsilon_high": 4e-4}
"""Clip widths of GSPO on own rollouts at full scale (Appendix A)."""
METHODS = {
    "Table 2": ("hacpo_no_advantage",),
    "Table 3": ("hacpo_no_omega",),
    "Table 4": ("hacpo_alpha0", "hacpo_alpha2", "hacpo_alpha3"),
    "Figure 4": ("hacpo_no_stepwise", "hacpo_no_clip"),
    "this lab": ("hacpo_lagged", "hacpo_loo", "hacpo_calibrated", "hacpo_capped", "hacpo_lagged_loo_capped"),
    "no mechanism": ("naive",),
    "clip exchanged": ("hacpo_ppo_clip", "naive_hard_clip"),
    "α = 0, clip exchanged": ("hacpo_ppo_clip_alpha0", "hacpo_ppo_lower_alpha0", "hacpo_ppo_upper_alpha0"),
    "no sharing": ("gspo",),
}
"""Variants that are methods, by what they belong to in the paper or what they change."""


@dataclass(frozen=True)
class Options(ComparisonOptions):
    """Train one pair on the token chain with HACPO and with variants that change one thing."""

    pair: int = 0
    """Which of the six pairs, 0 to 5."""
    exchange_pairs: tuple[int, ...] = tuple(range(len(PAIRS)))
    """Pairs on which clip and weight are exchanged."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pairs((self.pair,), "pair")
        check_pairs(self.exchange_pairs, "exchange_pairs")
        for variant in variants(self.training):
            variant.training.check(variant.method)

    @property
    def team(self) -> Team:
        """The pair of the variants."""
        return PAIRS[self.pair]


@dataclass(frozen=True)
class Variant:
    """One change."""

    label: str
    """Key of its cell."""
    group: str
    """What it belongs to in the paper, or what it varies."""
    method: str
    training: TrainingConfig


def variants(training: TrainingConfig) -> list[Variant]:
    """HACPO first, then everything else."""

    def objective(**changes: float) -> TrainingConfig:
        return replace(training, objective=replace(training.objective, **changes))

    settings = {
        "window": {f"K = {k}": replace(training, capability_window=k) for k in (1, 20)},
        "group": {f"G = {g}": replace(training, group_size=g) for g in (4, 16)},
        "mini-batches": {f"{m} mini-batches": replace(training, minibatches=m) for m in (1, 4)},
        "width": {f"δ = {delta}": objective(delta=delta) for delta in (0.1, 0.5)},
    }
    methods = [(get_method(name).label, group, name) for group, names in METHODS.items() for name in names]
    tight = [(f"{get_method(name).label}, ε of the paper", name) for name in ("hacpo", "naive", "gspo")]
    return [
        Variant(REFERENCE, "reference", "hacpo", training),
        *(Variant(label, group, name, training) for label, group, name in methods),
        *(
            Variant(f"HACPO, {label}", group, "hacpo", changed)
            for group, changes in settings.items()
            for label, changed in changes.items()
        ),
        *(Variant(label, "own clip", name, objective(**PAPER_EPSILON)) for label, name in tight),
    ]


PUBLISHED = (Options(),)


def cells(options: Options) -> dict[Hashable, Cell]:
    """Label of a variant -> its training; (testbed, pair, method) -> that of an exchange."""
    size = options.steps, options.seeds, options.sweep
    ablated = {
        variant.label: team_cell(CHAIN, options.team, variant.method, variant.training, *size)
        for variant in variants(options.training)
    }
    exchanged = {
        (testbed.name, pair, method): team_cell(testbed, PAIRS[pair], method, options.training, *size)
        for testbed, pair, method in product(EXCHANGE_TESTBEDS, options.exchange_pairs, (ALONE, *EXCHANGES))
    }
    return {**ablated, **exchanged}
