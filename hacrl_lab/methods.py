"""A method = whose rollouts + which baseline + which objective, by name (the table of the paper's §5).

grpo, gspo          single agent
gspo_x2             single agent with twice the rollouts and updates a step
naive               pooled rollouts, no mechanism
hacpo               all four mechanisms
hacpo_no_advantage  (i) replaced by the plain group mean              Table 2
hacpo_no_omega      (ii) dropped from the update                      Table 3
hacpo_alpha<α>      (iii) with another α, for instance hacpo_alpha2   Table 4
hacpo_no_stepwise   (iv) with a constant bound                        Figure 4
hacpo_no_clip       (iv) dropped                                      Figure 4

Sound alternatives of this project; ``docs/theory.md`` has the statement that each satisfies exactly:

hacpo_lagged        capability from a window that excludes the current batch
hacpo_loo           no reward is part of its own capability-aware baseline
hacpo_calibrated    a capability ratio of each prompt's own, shrunk towards the global one
hacpo_capped        cross weights are capped at 1 instead of clipped there: no lost gradient
hacpo_sound         lagged, leave-one-out and capped together

Controls of this project, which exchange parts between HACPO and Naive (``docs/ablations.md``):

hacpo_pessimistic   (iv) with GSPO's pessimistic minimum instead of a clip on both sides
hacpo_open          (iii) dropped and (iv) with the pessimistic minimum: an unlikely right answer teaches with s itself
hacpo_open_below    (iii) dropped and (iv) without its lower bound for A > 0: the half that frees right answers
hacpo_open_above    (iii) dropped and (iv) without its upper bound for A < 0: the half that frees wrong ones
naive_two_sided     plain pooling whose clip of the others' rollouts is on both sides
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from hacrl_lab.advantages import (
    Baseline,
    calibrated_baseline,
    capability_aware_baseline,
    group_mean_baseline,
    leave_one_out_capability_baseline,
)
from hacrl_lab.capability import CapabilityTracker, LaggedCapabilityTracker
from hacrl_lab.importance import capped_weight, free_above_ratio, free_below_ratio, pessimistic_ratio
from hacrl_lab.objectives import (
    Objective,
    ObjectiveSettings,
    epsilon_bounds,
    grpo_objective,
    gspo_objective,
    hacpo_objective,
    lower_bound_only,
    no_bounds,
    unit_coefficient,
)


@dataclass(frozen=True)
class Method:
    """One way of learning from a step's rollouts."""

    name: str
    """As written on the command line."""
    label: str
    """As written in tables and figures."""
    baseline: Baseline
    """What a reward is compared with."""
    objective: Objective
    """What is maximised."""
    shares: bool = False
    """Whether a learner learns from everyone's rollouts or from its own."""
    rollout_factor: int = 1
    """Multiplies the group size and the number of mini-batches: rollouts and updates a step."""
    tracker: Callable[[int], CapabilityTracker] = CapabilityTracker
    """Makes what measures capabilities, from the window K."""
    overrides: Mapping[str, float] = field(default_factory=dict)
    """Objective settings that the method fixes."""

    def pool(self, learner: int, agents: int) -> list[int]:
        """The samplers that a learner learns from, as agent indices in ascending order."""
        return list(range(agents)) if self.shares else [learner]

    def settings(self, settings: ObjectiveSettings) -> ObjectiveSettings:
        """The run's objective settings with the method's own in their place."""
        return replace(settings, **self.overrides)


HACPO = Method("hacpo", "HACPO", capability_aware_baseline, hacpo_objective, shares=True)

CAPPED = partial(hacpo_objective, cross_bounds=lower_bound_only, cross_weight=capped_weight)

METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("grpo", "GRPO", group_mean_baseline, grpo_objective),
        Method("gspo", "GSPO", group_mean_baseline, gspo_objective),
        Method("gspo_x2", "GSPO×2", group_mean_baseline, gspo_objective, rollout_factor=2),
        Method("naive", "Naive", group_mean_baseline, gspo_objective, shares=True),
        HACPO,
        replace(HACPO, name="hacpo_no_advantage", label="HACPO − advantage", baseline=group_mean_baseline),
        replace(
            HACPO,
            name="hacpo_no_omega",
            label="HACPO − ω",
            objective=partial(hacpo_objective, coefficient=unit_coefficient),
        ),
        replace(HACPO, name="hacpo_no_stepwise", label="HACPO − stepwise", overrides={"delta_step": 0.0}),
        replace(
            HACPO,
            name="hacpo_no_clip",
            label="HACPO − clip",
            objective=partial(hacpo_objective, cross_bounds=no_bounds),
        ),
        replace(HACPO, name="hacpo_lagged", label="HACPO, lagged ω", tracker=LaggedCapabilityTracker),
        replace(HACPO, name="hacpo_loo", label="HACPO, leave-one-out", baseline=leave_one_out_capability_baseline),
        replace(HACPO, name="hacpo_calibrated", label="HACPO, calibrated", baseline=calibrated_baseline),
        replace(HACPO, name="hacpo_capped", label="HACPO, capped", objective=CAPPED),
        replace(
            HACPO,
            name="hacpo_sound",
            label="HACPO, sound",
            baseline=leave_one_out_capability_baseline,
            objective=CAPPED,
            tracker=LaggedCapabilityTracker,
        ),
        replace(
            HACPO,
            name="hacpo_pessimistic",
            label="HACPO, pessimistic",
            objective=partial(hacpo_objective, cross_clip=pessimistic_ratio),
        ),
        replace(
            HACPO,
            name="hacpo_open",
            label="HACPO, open",
            objective=partial(hacpo_objective, cross_clip=pessimistic_ratio),
            overrides={"alpha": 0.0},
        ),
        replace(
            HACPO,
            name="hacpo_open_below",
            label="HACPO, open below",
            objective=partial(hacpo_objective, cross_clip=free_below_ratio),
            overrides={"alpha": 0.0},
        ),
        replace(
            HACPO,
            name="hacpo_open_above",
            label="HACPO, open above",
            objective=partial(hacpo_objective, cross_clip=free_above_ratio),
            overrides={"alpha": 0.0},
        ),
        replace(
            HACPO,
            name="naive_two_sided",
            label="Naive, two-sided",
            baseline=group_mean_baseline,
            objective=partial(hacpo_objective, coefficient=unit_coefficient, cross_bounds=epsilon_bounds),
            overrides={"alpha": 0.0},
        ),
    )
}

_ALPHA_NAME = re.compile(r"hacpo_alpha(\d+(?:\.\d+)?)")


def get_method(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: an unknown name; the message lists the known ones.

    >>> get_method("hacpo_alpha2").overrides
    {'alpha': 2.0}
    """
    if name in METHODS:
        return METHODS[name]
    if match := _ALPHA_NAME.fullmatch(name):
        return replace(HACPO, name=name, label=f"HACPO, α = {match[1]}", overrides={"alpha": float(match[1])})
    raise ValueError(f"unknown method {name!r}; choose one of {', '.join(METHODS)} or hacpo_alpha<number>")
